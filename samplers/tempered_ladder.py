"""The ladder of temperatures: what it is at the start, and what warm-up learns of it from all systems' counts."""

import math
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from samplers.chain import Values
from samplers.metric import PRIOR, shrunk
from samplers.tempered_replicas import (
    COUNTED,
    DISTANCE,
    FIRST,
    LONG,
    NOTED,
    NOTES,
    SHORT,
    SLOPE,
    SQUARED,
    SQUARED_SLOPE,
    Replicas,
)
from samplers.tempered_scan import Ladder
from samplers.tempering import Reference
from targets.kernel import Matrix, Vector, aligned, zeros

FEWEST = 3  # levels
LEVELS_A_NAT = 2.0  # intervals for each unit of the barrier: fewest evaluations a round trip, at rejection 1/2
LEAST_REJECTION = 1e-4  # of an interval, so that the barrier rises everywhere
REFERENCE_BARRIER = 0.5  # what the width of the last reference may cost; see `fitted`
PATH_GROWTH, BETTER = 1.5, 1.2  # of the mean trajectory, and how much better longer ones must do
SHORTEST = 1.1  # mean number of leapfrogs: some trajectories are longer, so that longer ones are tried


class Counts(NamedTuple):
    """What all systems counted of the levels in use since warm-up last learned.

    Attributes:
        n: scans, over all systems.
        rejections: (levels - 1,) mean rejection probability of swaps.
        log_ratios: (levels - 1,) log ratio of normalisers of neighbours.
        moments: (4, levels, dim) means: positions less the centre and their squares, slopes and their squares.
        jumps: (levels, 4) means; see `samplers.tempered_replicas.SHORT`.
    """

    n: float
    rejections: Vector
    log_ratios: Vector
    moments: Values
    jumps: Matrix


def log_ratios(forwards: Vector, backwards: Vector, shifts: Vector) -> Vector:
    """(levels - 1,) log ratios of normalisers from Bennett's two sums; see `samplers.tempering.bennett`.

    Not finite where neighbours do not overlap at all.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(shifts + np.log(forwards) - np.log(backwards))


def log_normaliser(systems: list[Replicas], ladder: Ladder) -> tuple[float, float]:
    """Sum along the ladder of Bennett's estimates from the sums of all systems, and its standard error.

    To first order the estimate is the mean over scans of sum_k (f_k / F_k - b_k / B_k), with f_k and b_k Bennett's two
    terms for pair k and F_k, B_k their means over all scans, whatever correlates pairs of neighbours and scans. The
    error is that of the means of batches of scans, 8 to 15 a system (Geyer 1992, section 3.2), or of whole systems
    where that is larger. NaN where neighbours do not overlap, or before there are batches.
    """
    pairs = len(ladder.betas) - 1
    scans = [float(system.counts[COUNTED]) for system in systems]
    sums = np.array([np.stack([system.forwards[:pairs], system.backwards[:pairs]]) for system in systems])
    means = np.sum(sums, axis=0) / sum(scans)
    value = float(np.sum(log_ratios(means[0], means[1], ladder.shifts[:-1])))
    if not math.isfinite(value):
        return value, math.nan

    def linear(terms: Values) -> Vector:
        shares = terms / means
        return np.asarray(np.sum(shares[..., 0, :] - shares[..., 1, :], axis=-1))

    apart = linear(sums / np.array(scans)[:, None, None])
    squares = [np.var(apart, ddof=1) / len(systems) if len(systems) > 1 else 0.0]
    batches, length = [], float(systems[0].counts[DISTANCE])
    for system in systems:
        notes = system.history[: int(system.counts[NOTED])].reshape(-1, 2, system.history.shape[1] // 2)[..., :pairs]
        batches.append(linear(np.diff(notes, axis=0, prepend=0.0) / length))
    found = np.concatenate(batches)
    if len(found) < NOTES // 2:
        return value, math.nan
    squares.append(float(np.mean((found - np.mean(apart)) ** 2)) * length / sum(scans))
    return value, math.sqrt(max(squares))


def pooled(systems: list[Replicas], ladder: Ladder, counted: int) -> Counts:
    """The counts of all systems, each of which counted so many scans."""
    levels = len(ladder.betas)
    pairs = levels - 1
    n = float(counted * len(systems))

    def mean(name: str, rows: int) -> Values:
        return np.asarray(np.sum([getattr(system, name)[:rows] for system in systems], axis=0) / n)

    ratios = log_ratios(mean("forwards", pairs), mean("backwards", pairs), ladder.shifts[:-1])
    lower, upper = mean("lowers", pairs), mean("uppers", pairs)  # which bound the ratio in expectation
    ratios = np.where(np.isfinite(ratios), ratios, np.where(np.isfinite(lower), 0.5 * (lower + upper), upper))
    moments = mean("sums", 4 * levels).reshape(levels, 4, -1).transpose(1, 0, 2)
    return Counts(n, mean("rejections", pairs), ratios, moments, mean("jumps", levels))


def gaussian_barrier(dim: int, log_ratio: float) -> float:
    """About the barrier between Gaussians whose widths in `dim` dimensions differ by a factor exp(log_ratio).

    V = log target - log reference has standard deviation sqrt(dim / 2) |d log precision / d beta| at each beta, and the
    local barrier is E|V - V'| / 2, here that of a normal V: sd / sqrt(pi) (Syed et al. 2022, section 4.1).
    """
    return math.sqrt(dim / (2.0 * math.pi)) * 2.0 * abs(log_ratio)


def gaussian_betas(levels: int, log_ratio: float) -> Vector:
    """(levels,) at equal rejection between Gaussians, the target narrower by exp(log_ratio): even log precisions."""
    growth = 2.0 * max(log_ratio, 1e-3)
    betas = np.expm1(growth * np.linspace(0.0, 1.0, levels)) / math.expm1(growth)
    betas[-1] = 1.0
    return np.asarray(betas)


def levels_for(barrier: float, most: int) -> int:
    """How many levels a barrier is worth."""
    return min(most, max(FEWEST, 1 + round(LEVELS_A_NAT * barrier)))


def first_ladder(reference: Reference, sd: Vector, most: int, leapfrogs: float) -> Ladder:
    """Before anything is known but a guess of the target's standard deviations (dim,)."""
    dim = len(sd)
    log_ratio = float(np.mean(np.abs(np.log(reference.sd / sd))))
    levels = levels_for(gaussian_barrier(dim, log_ratio), most)
    betas = gaussian_betas(levels, log_ratio)
    return Ladder(
        aligned(betas),
        aligned(between(betas, sd, reference.sd)),
        aligned(np.full(levels, leapfrogs)),
        zeros(levels),
        reference.matrix,
        aligned([reference.log_height]),
    )


def between(betas: Vector, sd: Vector, reference_sd: Vector) -> Matrix:
    """(levels, dim) standard deviations along the path between Gaussians with independent coordinates."""
    share = betas[:, None]
    return np.asarray((share * sd**-2.0 + (1.0 - share) * reference_sd**-2.0) ** -0.5)


def communication(rejections: Vector) -> Vector:
    """(levels,) Lambda(beta): the barrier from the reference up to each level (Syed et al. 2022, equation 22)."""
    return np.concatenate([[0.0], np.cumsum(np.maximum(rejections, LEAST_REJECTION))])


def equal_betas(betas: Vector, barrier: Vector, levels: int) -> Vector:
    """(levels,) at equal steps of the barrier, which is known at `betas`, by monotone interpolation."""
    found = PchipInterpolator(barrier, betas)(np.linspace(0.0, barrier[-1], levels))
    found[0], found[-1] = 0.0, 1.0
    return np.asarray(np.maximum.accumulate(found))


def standard_deviations(counts: Counts, before: Matrix) -> Matrix:
    """(levels, dim) the scales that bring positions and slopes of each level to the same size, shrunk to those before.

    (Var x / Var slope)^(1/4) is the standard deviation of an independent Gaussian, and between modes that lie apart it
    is shorter than their distance (Seyboldt, Carlson & Carpenter 2026, arXiv:2603.18845).
    """
    m = counts.moments
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = (m[SQUARED] - m[FIRST] ** 2) / (m[SQUARED_SLOPE] - m[SLOPE] ** 2)
    return shrunk(ratio, 4, counts.n, before, PRIOR)


def mean_leapfrogs(counts: Counts, before: Vector, most: float) -> Vector:
    """(levels,) longer where the longer half of the trajectories jumped farther an evaluation, shorter where nearer.

    What is compared is the squared jump in units of the scale over evaluations (Pasarica & Gelman 2010).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        short = counts.jumps[:, SHORT] / counts.jumps[:, SHORT + 1]
        long = counts.jumps[:, LONG] / counts.jumps[:, LONG + 1]
    change = np.where(long > BETTER * short, PATH_GROWTH, np.where(long < short, 1.0 / PATH_GROWTH, 1.0))
    return np.clip(before * change, min(SHORTEST, most), most)


def fitted(values: Values, before: Reference, barrier: float = REFERENCE_BARRIER) -> Reference:
    """A reference about the draws (systems, n, dim) at the target, wider than they are.

    A narrow one makes short ladders, and a wide one finds what the draws have not seen. It is as much wider as costs
    that barrier on a Gaussian; 1/2 is 1.9 times in one dimension, 1.2 times in ten, and hardly in a thousand.
    """
    flat = values.reshape(-1, values.shape[2])
    wider = math.exp(barrier / gaussian_barrier(flat.shape[1], 1.0))
    sd = flat.std(axis=0)
    return Reference(flat.mean(axis=0), np.where(sd > 0.0, wider * sd, before.sd))


def improved(ladder: Ladder, counts: Counts, most: int, longest: float) -> tuple[Ladder, Vector]:
    """The next ladder with the same reference, and where in the old one (levels,) each of its levels lies."""
    barrier = communication(counts.rejections)
    levels = levels_for(float(barrier[-1]), most)
    betas = equal_betas(ladder.betas, barrier, levels)
    old = np.arange(len(ladder.betas), dtype=np.float64)
    at = np.interp(np.linspace(0.0, barrier[-1], levels), barrier, old)
    log_sds = np.log(standard_deviations(counts, ladder.scales))
    log_sds[0] = log_sds[1]  # at the reference nothing is explored
    leapfrogs = mean_leapfrogs(counts, ladder.leapfrogs, longest)
    leapfrogs[0] = leapfrogs[1]
    return (
        Ladder(
            aligned(betas),
            aligned(np.exp(along(log_sds, at))),
            aligned(along(leapfrogs[:, None], at)[:, 0]),
            aligned(shifted(barrier, counts.log_ratios, levels)),
            ladder.reference,
            ladder.height,
        ),
        at,
    )


def along(rows: Matrix, at: Vector) -> Matrix:
    """(len(at), columns) the rows at fractional indices."""
    low = np.minimum(at.astype(np.intp), len(rows) - 2)
    share = (at - low)[:, None]
    return np.asarray((1.0 - share) * rows[low] + share * rows[low + 1])


def shifted(barrier: Vector, ratios: Vector, levels: int) -> Vector:
    """(levels,) log ratios of normalisers for new levels at equal steps of the barrier; the last is not used."""
    total = PchipInterpolator(barrier, np.concatenate([[0.0], np.cumsum(ratios)]))
    return np.append(np.diff(total(np.linspace(0.0, barrier[-1], levels))), 0.0)
