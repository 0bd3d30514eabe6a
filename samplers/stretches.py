"""The affine-invariant stretch move of an ensemble of walkers, in a compiled loop."""

import math
from typing import NamedTuple

from numba import boolean, float64, int64, types, void

from samplers.chain import RNG, STATS, TALLY, metropolis, record
from samplers.gradient_free import height
from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, VECTOR, Matrix, Vector, aligned, loop, zeros


class Ensemble(NamedTuple):
    """Walkers: positions (walkers, dim) and log densities (walkers,); the rest, (dim,), is of one move."""

    positions: Matrix
    log_densities: Vector
    proposal: Vector
    gradient: Vector


ENSEMBLE = types.NamedTuple((MATRIX, VECTOR, VECTOR, VECTOR), Ensemble)


def ensemble_at(positions: Matrix, log_densities: Vector) -> Ensemble:
    """Walkers at positions (walkers, dim)."""
    dim = positions.shape[1]
    return Ensemble(aligned(positions), aligned(log_densities), zeros(dim), zeros(dim))


@loop(void(DENSITY, KERNEL, boolean, DATA, RNG, ENSEMBLE, TALLY, MATRIX, STATS, int64, float64))
def stretches(log_density, kernel, gradient_free, data, rng, ensemble, tally, draws, stats, thin, stretch):  # type: ignore[no-untyped-def]
    """Advance all walkers by `thin` moves for every row of `draws`, and write their positions there one by one.

    Walker k of one half is stretched about a walker j of the other, y = x_j + s (x_k - x_j), with density of s
    proportional to s^(-1/2) on [1 / a, a], a = `stretch`, and accepted with probability s^(dim - 1) p(y) / p(x_k)
    (Goodman & Weare 2010, section 3). The halves take turns, so that each is moved given the other (Foreman-Mackey et
    al. 2013, algorithm 3).
    """
    positions, log_densities = ensemble.positions, ensemble.log_densities
    proposal, gradient = ensemble.proposal, ensemble.gradient
    walkers, dim = positions.shape
    half = walkers // 2
    for row in range(draws.shape[0]):
        acceptance = 0.0
        for _ in range(thin):
            for k in range(walkers):
                other = half if k < half else 0
                j = other + min(int(half * rng.random()), half - 1)
                root = 1.0 + (stretch - 1.0) * rng.random()
                s = root * root / stretch
                for i in range(dim):
                    proposal[i] = positions[j, i] + s * (positions[k, i] - positions[j, i])
                there = height(log_density, kernel, gradient_free, proposal, gradient, data)
                probability = metropolis((dim - 1.0) * math.log(s) + there - log_densities[k])
                acceptance += probability
                if rng.random() < probability:
                    log_densities[k] = there
                    for i in range(dim):
                        positions[k, i] = proposal[i]
        total = 0.0
        for k in range(walkers):
            total += log_densities[k]
            for i in range(dim):
                draws[row, k * dim + i] = positions[k, i]
        stats[row].lp = total / walkers
        stats[row].acceptance_rate = acceptance / (thin * walkers)
        stats[row].n_steps = thin * walkers
    record(tally, log_densities[0], draws.shape[0], draws.shape[0] * thin * walkers)
