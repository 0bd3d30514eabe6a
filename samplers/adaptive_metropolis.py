"""Adaptive Metropolis in compiled loops: a chain that learns the covariance of its proposals from its own past."""

import math
from typing import NamedTuple

import numpy as np
from numba import boolean, float64, int64, types, void

from samplers.chain import RNG, STATS, TALLY, metropolis, record
from samplers.factor import along_columns, rank_one
from samplers.gradient_free import height
from samplers.scale import Scale
from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, VECTOR, Matrix, Vector, aligned, loop, zeros

REACH = 2.38  # over sqrt(dim): the best scale of proposals for a Gaussian in many dimensions (Gelman et al. 1996)
SMALL_SHARE, SMALL_REACH = 0.05, 0.1  # of Roberts & Rosenthal 2009, section 2
WEIGHT = 5.0  # draws that a covariance known before counts as much as (Stan's number)
EXPONENT = 2.0 / 3.0  # RAM's step falls as n^-2/3 (Vihola 2012, section 5)


class Learner(NamedTuple):
    """A chain that learns.

    Attributes:
        position, proposal, gradient, z, shift: (dim,); only `position` outlives an iteration.
        small: (dim,) standard deviations of Haario's fixed proposals.
        mean: (dim,) of the draws since the covariance was last begun.
        seen: (1,) how many these are, or how many proposals RAM has learned from.
        columns: (dim, dim) column by column a lower factor: of WEIGHT + `seen` times the covariance; or RAM's.
    """

    position: Vector
    proposal: Vector
    gradient: Vector
    z: Vector
    shift: Vector
    small: Vector
    mean: Vector
    seen: Vector
    columns: Matrix


LEARNER = types.NamedTuple((VECTOR,) * 8 + (MATRIX,), Learner)


def learner(position: Vector, scale: Scale, size: float) -> Learner:
    """A chain at `position` (dim,) whose factor is that of the scale's covariance, times `size`."""
    dim = len(position)
    small = aligned(SMALL_REACH / math.sqrt(dim) * scale.deviations)
    columns = aligned(size * lower_factor(scale).T)
    proposal, gradient, z, shift, mean = (zeros(dim) for _ in range(5))
    return Learner(aligned(position), proposal, gradient, z, shift, small, mean, zeros(1), columns)


def lower_factor(scale: Scale) -> Matrix:
    """(dim, dim) the lower triangular factor of the scale's covariance."""
    if scale.is_dense:
        return scale.factor
    if len(scale.stretches):
        return np.asarray(np.linalg.cholesky(scale.covariance))
    return np.diag(scale.diagonal)


def begin_again(chain: Learner) -> None:
    """Let what the chain knows of the covariance count as WEIGHT draws, no more."""
    chain.columns[...] *= math.sqrt(WEIGHT / (WEIGHT + chain.seen[0]))
    chain.seen[0] = 0.0


@loop(void(DENSITY, KERNEL, boolean, DATA, RNG, LEARNER, TALLY, MATRIX, STATS, int64, boolean))
def haario(log_density, kernel, gradient_free, data, rng, chain, tally, draws, stats, thin, adapting):  # type: ignore[no-untyped-def]
    """Advance one chain by `thin` proposals for every row of `draws`, and write each last position there.

    A proposal is x + 2.38 / sqrt(dim) L z, with L L' the covariance of the rows so far (Haario, Saksman & Tamminen
    2001), or with probability 0.05 a small one that never changes (Roberts & Rosenthal 2009). While `adapting`, every
    row is learned from.
    """
    position, proposal, gradient, z, shift = chain.position, chain.proposal, chain.gradient, chain.z, chain.shift
    mean, columns = chain.mean, chain.columns
    dim = position.shape[0]
    here = tally[0].log_density
    for row in range(draws.shape[0]):
        reach = REACH / math.sqrt(dim * (WEIGHT + chain.seen[0]))
        acceptance = 0.0
        for _ in range(thin):
            is_small = rng.random() < SMALL_SHARE
            for i in range(dim):
                z[i] = rng.standard_normal()
            if is_small:
                for i in range(dim):
                    proposal[i] = position[i] + chain.small[i] * z[i]
            else:
                along_columns(columns, z, shift)
                for i in range(dim):
                    proposal[i] = position[i] + reach * shift[i]
            there = height(log_density, kernel, gradient_free, proposal, gradient, data)
            probability = metropolis(there - here)
            acceptance += probability
            if rng.random() < probability:
                here = there
                for i in range(dim):
                    position[i] = proposal[i]
        for i in range(dim):
            draws[row, i] = position[i]
        if adapting:
            seen = chain.seen[0] + 1.0
            chain.seen[0] = seen
            part = math.sqrt((seen - 1.0) / seen)  # of the square about the old mean, what is about both means
            for i in range(dim):
                away = position[i] - mean[i] if seen > 1.0 else 0.0
                mean[i] = mean[i] + away / seen if seen > 1.0 else position[i]
                shift[i] = part * away
            rank_one(columns, shift, 1.0)
        stats[row].lp = here
        stats[row].acceptance_rate = acceptance / thin
        stats[row].step_size = REACH / math.sqrt(dim)
        stats[row].n_steps = thin
    record(tally, here, draws.shape[0], draws.shape[0] * thin)


@loop(void(DENSITY, KERNEL, boolean, DATA, RNG, LEARNER, TALLY, MATRIX, STATS, int64, float64))
def ram(log_density, kernel, gradient_free, data, rng, chain, tally, draws, stats, thin, target):  # type: ignore[no-untyped-def]
    """As `haario`, with proposals x + S z, where S learns from every proposal unless `target` is 0 (Vihola 2012).

    S S' becomes S (I + eta (acceptance - target) z z' / |z|^2) S', eta = min(1, dim n^-2/3): wider along proposals that
    were accepted more often than `target`, narrower along others.
    """
    position, proposal, gradient, z, shift = chain.position, chain.proposal, chain.gradient, chain.z, chain.shift
    dim = position.shape[0]
    here = tally[0].log_density
    for row in range(draws.shape[0]):
        acceptance = 0.0
        for _ in range(thin):
            squares = 0.0
            for i in range(dim):
                z[i] = rng.standard_normal()
                squares += z[i] * z[i]
            along_columns(chain.columns, z, shift)
            for i in range(dim):
                proposal[i] = position[i] + shift[i]
            there = height(log_density, kernel, gradient_free, proposal, gradient, data)
            probability = metropolis(there - here)
            acceptance += probability
            if rng.random() < probability:
                here = there
                for i in range(dim):
                    position[i] = proposal[i]
            if target > 0.0:
                chain.seen[0] += 1.0
                excess = min(1.0, dim * chain.seen[0] ** -EXPONENT) * (probability - target)
                size = math.sqrt(abs(excess) / squares)
                for i in range(dim):
                    shift[i] *= size
                rank_one(chain.columns, shift, 1.0 if excess > 0.0 else -1.0)
        stats[row].lp = here
        stats[row].acceptance_rate = acceptance / thin
        stats[row].step_size = 1.0
        stats[row].n_steps = thin
        for i in range(dim):
            draws[row, i] = position[i]
    record(tally, here, draws.shape[0], draws.shape[0] * thin)
