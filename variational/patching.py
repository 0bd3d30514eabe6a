"""Batch and match for covariances diag(psi) + factor factor': each update is patched into the family again.

With few draws the closed-form update of `variational.matching` adds a matrix of low rank to the covariance, so that it
never has to be formed: diag(psi) + R R' - Z Z'. The patch is the nearest member of the family under
KL(updated || member), by EM for factor analysis from the last member (Modi, Cai and Saul 2025). All of it costs
O(dim (rank + batch)^2) a step, and memory is linear in the dimension.
"""

import numpy as np
from numba import float64, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, helper, loop
from variational.matching import (
    ANCHOR,
    COUNT,
    DRAWN,
    HOPELESS,
    JITTER,
    LARGEST,
    LEVEL,
    LOG_SQUARES,
    LOGS,
    MEAN_SQUARES,
    MEANS,
    REVERTED,
    RISE,
    RISE_SQUARE,
    SHRINK,
    SKIPPED,
    STALLED,
)
from variational.matrices import eigh, product, solve, svd

PATCHES, PATCHED = 50, 1e-3  # steps of EM at most, and the change of log psi at which they end
PSI = ANCHOR + 1  # beside the rows of `sums` that `variational.matching` names


@helper
def widened(mean, psi, factor, points, slopes, gain):  # type: ignore[no-untyped-def]
    """The update before the patch, from points and gradients (b, dim): its mean (dim,), R and Z (dim, .)."""
    count, dim = points.shape
    rank = factor.shape[1]
    share = np.sqrt(gain / (1.0 - gain) / count)
    middle, slope = np.zeros(dim), np.zeros(dim)
    for b in range(count):
        for i in range(dim):
            middle[i] += points[b, i] / count
            slope[i] += slopes[b, i] / count
    spread, pull = np.empty((dim, rank + count + 1)), np.empty((dim, count + 1))
    for i in range(dim):
        for k in range(rank):
            spread[i, k] = factor[i, k]
        for b in range(count):
            spread[i, rank + b] = share * (points[b, i] - middle[i])
            pull[i, b] = share * (slopes[b, i] - slope[i])
        spread[i, rank + count] = np.sqrt(gain) * (middle[i] - mean[i])
        pull[i, count] = np.sqrt(gain) * slope[i]
    moved = product(spread, product(spread.T, pull))
    for i in range(dim):
        for b in range(count + 1):
            moved[i, b] += psi[i] * pull[i, b]
    inner = product(pull.T, moved)
    values, vectors = eigh(0.5 * (inner + inner.T))
    less = product(moved, vectors / (0.5 + np.sqrt(np.maximum(values, 0.0) + 0.25)))
    centre = product(spread, product(spread.T, slope)) - product(less, product(less.T, slope))
    for i in range(dim):
        centre[i] = mean[i] + gain * (centre[i] + psi[i] * slope[i] + middle[i] - mean[i])
    return centre, spread, less


@helper
def patch(psi, spread, less, first, factor):  # type: ignore[no-untyped-def]
    """The `first` psi (dim,) and `factor` (dim, rank) moved towards diag(psi) + R R' - Z Z' by EM; new ones."""
    dim, rank = factor.shape
    total = np.empty(dim)
    for i in range(dim):
        total[i] = psi[i]
        for k in range(spread.shape[1]):
            total[i] += spread[i, k] * spread[i, k]
        for k in range(less.shape[1]):
            total[i] -= less[i, k] * less[i, k]
    diagonal, loading = first.copy(), factor.copy()
    scaled = np.empty((dim, rank))
    for _ in range(PATCHES):
        for i in range(dim):
            for k in range(rank):
                scaled[i, k] = loading[i, k] / diagonal[i]
        inner = product(loading.T, scaled)
        for k in range(rank):
            inner[k, k] += 1.0
        beta = np.ascontiguousarray(solve(inner, np.ascontiguousarray(scaled.T)).T)  # (dim, rank)
        cross = product(spread, product(spread.T, beta)) - product(less, product(less.T, beta))
        for i in range(dim):
            for k in range(rank):
                cross[i, k] += psi[i] * beta[i, k]
        second = product(beta.T, cross) - product(beta.T, loading)
        for k in range(rank):
            second[k, k] += 1.0
        second = 0.5 * (second + second.T)
        loading = np.ascontiguousarray(solve(second, np.ascontiguousarray(cross.T)).T)
        change = 0.0
        for i in range(dim):
            new = total[i]
            for k in range(rank):
                new -= loading[i, k] * cross[i, k]
            new = max(new, JITTER * total[i])
            change = max(change, abs(np.log(new / diagonal[i])))
            diagonal[i] = new
        if not change > PATCHED:
            break
    return diagonal, loading


@loop(
    int64(
        KERNEL, DATA, types.npy_rng, VECTOR, VECTOR, MATRIX, MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, int64[::1],
        MATRIX, MATRIX, VECTOR, int64, float64,
    )
)  # fmt: skip
def match(  # type: ignore[no-untyped-def]
    kernel, data, rng, mean, psi, factor, anchor, points, slopes, shared, gradient, tally, sums, factors, heights,
    steps, gain,
):  # fmt: skip
    """As `variational.matching.match`, for `psi` (dim,) and `factor` (dim, rank).

    Factors are turned towards the `anchor` (dim, rank), so that they can be averaged in `factors`. `points` and
    `slopes` (batch, dim), `shared` (rank,) and `gradient` (dim,) are scratch.
    """
    dim, rank = factor.shape
    batch = points.shape[0]
    x = np.empty(dim)
    values = np.empty(batch)
    for step in range(steps):
        used = 0
        for _ in range(batch):
            for k in range(rank):
                shared[k] = rng.standard_normal()
            for i in range(dim):
                offset = np.sqrt(psi[i]) * rng.standard_normal()
                for k in range(rank):
                    offset += factor[i, k] * shared[k]
                x[i] = mean[i] + offset
            value = kernel(x, gradient, data)
            size = abs(value)
            for i in range(dim):
                size += abs(gradient[i])
            if size < LARGEST:
                values[used] = value
                for i in range(dim):
                    points[used, i] = x[i]
                    slopes[used, i] = gradient[i]
                used += 1
        tally[DRAWN] += batch
        tally[SKIPPED] += batch - used
        if used == 0:
            tally[STALLED] += 1
            for i in range(dim):
                psi[i] *= np.exp(-2.0 * SHRINK)
                for k in range(rank):
                    factor[i, k] *= np.exp(-SHRINK)
        else:
            tally[STALLED] = 0
            # half the squared distance of each draw, which levels the log density out where q is exact (Woodbury)
            offsets, scaled = np.empty((used, dim)), np.empty((dim, rank))
            for i in range(dim):
                root = 1.0 / np.sqrt(psi[i])
                for b in range(used):
                    offsets[b, i] = (points[b, i] - mean[i]) * root
                for k in range(rank):
                    scaled[i, k] = factor[i, k] * root
            inner = product(scaled.T, scaled)
            for k in range(rank):
                inner[k, k] += 1.0
            along = product(offsets, scaled)
            solved = solve(inner, np.ascontiguousarray(along.T))
            for b in range(used):
                squared = 0.0
                for i in range(dim):
                    squared += offsets[b, i] * offsets[b, i]
                for k in range(rank):
                    squared -= along[b, k] * solved[k, b]
                level = values[b] + 0.5 * squared
                if heights[COUNT] == 0.0:
                    heights[LEVEL] = level
                heights[COUNT] += 1.0
                heights[RISE] += level - heights[LEVEL]
                heights[RISE_SQUARE] += (level - heights[LEVEL]) * (level - heights[LEVEL])
            total = 0.0
            for b in range(used):
                for i in range(dim):
                    total += psi[i] * slopes[b, i] * slopes[b, i]
            finite = False
            if total < LARGEST:
                centre, spread, less = widened(mean, psi, factor, points[:used], slopes[:used], gain)
                diagonal, loading = patch(psi, spread, less, psi, factor)
                total = 0.0
                least = np.inf
                for i in range(dim):
                    total += abs(centre[i]) + diagonal[i]
                    least = min(least, diagonal[i])
                    for k in range(rank):
                        total += abs(loading[i, k])
                finite = total < np.inf and least > 0.0
            if finite:
                for i in range(dim):
                    for k in range(rank):
                        scaled[i, k] = anchor[i, k] / diagonal[i]
                left, _, right = svd(product(loading.T, scaled))
                mean[:] = centre
                psi[:] = diagonal
                factor[:] = product(loading, product(left, right))
            else:
                tally[REVERTED] += 1
        for i in range(dim):
            shifted = mean[i] - sums[ANCHOR, i]
            variance = psi[i]
            for k in range(rank):
                variance += factor[i, k] * factor[i, k]
            log_sd = 0.5 * np.log(variance)
            sums[MEANS, i] += shifted
            sums[MEAN_SQUARES, i] += shifted * shifted
            sums[LOGS, i] += log_sd
            sums[LOG_SQUARES, i] += log_sd * log_sd
            sums[PSI, i] += psi[i]
        for i in range(dim):
            for k in range(rank):
                factors[i, k] += factor[i, k]
        if tally[STALLED] >= HOPELESS:
            return step + 1
    return steps
