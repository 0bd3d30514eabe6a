"""The inner loop of reverse KL for Gaussians of a graph: natural-gradient steps of means, regressions and scales.

The approximation is a chain of regressions: x_i - m_i = sum_j w_ij (x_j - m_j) + sd_i e_i over the parents j of i. Sums
over the graph, forwards for draws and backwards for gradients, cost as many operations as there are edges. The Fisher
information of a regression is C_i / sd_i^2 of its weights, with C_i the covariance of its parents, and 2 of its log sd;
between regressions there is none. So natural steps (Amari 1998) are regressions too. Draws, path derivatives,
momentum and caps are those of `variational.descent`; nothing is left to chance on a Gaussian target.
"""

import numpy as np
from numba import float64, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, helper, lean_loop
from variational.descent import (
    ANCHOR,
    COUNT,
    DRAWN,
    HOPELESS,
    KICK_CAP,
    LEVEL,
    LOG_SQUARES,
    LOGS,
    MEAN_CAP,
    MEAN_SQUARES,
    MEANS,
    MOMENTUM,
    RISE,
    RISE_SQUARE,
    SCALE_CAP,
    SKIPPED,
    STALLED,
    USED,
    VARIANCES,
)
from variational.orthogonal import DIRECTIONS, direct, open_block

INTEGERS, TABLE = int64[::1], int64[:, ::1]


@helper
def solve_in_place(matrix, right, size):  # type: ignore[no-untyped-def]
    """Solve for `right` with the leading part of a positive definite matrix, by Cholesky; both are overwritten."""
    for j in range(size):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        matrix[j, j] = np.sqrt(max(matrix[j, j], 1e-300))
        for i in range(j + 1, size):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    for i in range(size):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for back in range(size):
        i = size - 1 - back
        for k in range(i + 1, size):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]


@helper
def clique_covariances(order, parents, places, weights, log_sd, cliques):  # type: ignore[no-untyped-def]
    """Fill `cliques` (dim, width + 1, width + 1): the covariance of the parents of i, followed by i itself."""
    width = parents.shape[1]
    for at in range(order.shape[0]):
        i = order[at]
        count = 0
        while count < width and parents[i, count] >= 0:
            count += 1
        if count > 0:
            last = parents[i, count - 1]
            for a in range(count):
                for b in range(count):
                    cliques[i, a, b] = cliques[last, places[i, a], places[i, b]]
        own = np.exp(2.0 * log_sd[i])
        for a in range(count):
            total = 0.0
            for b in range(count):
                total += cliques[i, a, b] * weights[i, b]
            cliques[i, a, count] = total
            cliques[i, count, a] = total
        for a in range(count):
            own += weights[i, a] * cliques[i, a, count]
        cliques[i, count, count] = own


@lean_loop(
    int64(
        KERNEL, DATA, types.npy_rng, DIRECTIONS, INTEGERS, INTEGERS, TABLE, TABLE,
        VECTOR, MATRIX, VECTOR, VECTOR, VECTOR, MATRIX, float64[:, :, ::1], MATRIX, MATRIX, VECTOR,
        MATRIX, float64[:, :, ::1], VECTOR, int64, float64, float64,
    )
)  # fmt: skip
def structured(  # type: ignore[no-untyped-def]
    kernel, data, rng, directions, tally, order, parents, places,
    mean, weights, log_sd, velocity, pull, pulls, cliques, scratch, matrix, right,
    sums, gathered, heights, steps, rate, pace,
):  # fmt: skip
    """As `variational.descent.meanfield`; two gradients a step. Returns how many were made.

    `weights` (dim, width) and `log_sd` (dim,) are those of the regressions; `pulls` and `pull` gather their gradients
    over a block. `cliques` (dim, width + 1, width + 1) `scratch` (8, dim), `matrix` (width, width) and
    `right` (width,) are worked in; `gathered` (2, dim, width)
    gathers weights and their squares over the steps.
    """
    dim, width = weights.shape
    rows = directions.order.shape[0]
    cap = MEAN_CAP / rate
    kick = KICK_CAP / rate
    drawn, sd, offset, x = scratch[0], scratch[1], scratch[2], scratch[3]
    above, below, difference, total = scratch[4], scratch[5], scratch[6], scratch[7]
    for i in range(dim):
        sd[i] = np.exp(log_sd[i])
    for step in range(steps):
        turn = tally[DRAWN] % rows
        if turn == 0:
            open_block(rng, directions)
            for i in range(dim):
                pull[i] = 0.0
                for j in range(width):
                    pulls[i, j] = 0.0
            tally[USED] = 0
        weight = direct(directions, turn, drawn)
        tally[DRAWN] += 1
        for at in range(dim):
            i = order[at]
            here = sd[i] * drawn[i]
            for j in range(width):
                if parents[i, j] >= 0:
                    here += weights[i, j] * offset[parents[i, j]]
            offset[i] = here
        for i in range(dim):
            x[i] = mean[i] + offset[i]
        value = kernel(x, above, data)
        for i in range(dim):
            x[i] = mean[i] - offset[i]
        value += kernel(x, below, data)
        size = abs(value)
        slope = 0.0
        for i in range(dim):
            size += abs(above[i]) + abs(below[i])
            slope += offset[i] * (above[i] - below[i])
        if size < np.inf:  # `isfinite` is a difference that the compiler may cancel under fast math
            tally[USED] += 1
            level = 0.5 * value - 0.25 * slope
            if heights[COUNT] == 0.0:
                heights[LEVEL] = level
            rise = level - heights[LEVEL]
            heights[COUNT] += 1.0
            heights[RISE] += weight * rise
            heights[RISE_SQUARE] += weight * rise * rise
            for i in range(dim):
                difference[i] = 0.5 * (above[i] - below[i])
                total[i] = 0.5 * (above[i] + below[i])
            for back in range(dim):  # what a coordinate does to those that depend on it
                i = order[dim - 1 - back]
                for j in range(width):
                    if parents[i, j] >= 0:
                        difference[parents[i, j]] += weights[i, j] * difference[i]
                        total[parents[i, j]] += weights[i, j] * total[i]
            for i in range(dim):
                along = weight * (sd[i] * difference[i] + drawn[i])
                pull[i] += along * drawn[i]
                for j in range(width):
                    if parents[i, j] >= 0:
                        pulls[i, j] += along * offset[parents[i, j]]
            for i in range(dim):
                push = min(max(weight * sd[i] * total[i], -kick), kick)
                speed = MOMENTUM * velocity[i] + (1.0 - MOMENTUM) * push
                velocity[i] = min(max(speed, -cap), cap)
            for at in range(dim):
                i = order[at]
                move = sd[i] * velocity[i]
                for j in range(width):
                    if parents[i, j] >= 0:
                        move += weights[i, j] * total[parents[i, j]]
                total[i] = move
            for i in range(dim):
                mean[i] += rate * total[i]
        else:
            tally[SKIPPED] += 1
            for i in range(dim):
                velocity[i] = 0.0
        for i in range(dim):
            shift = mean[i] - sums[ANCHOR, i]
            sums[MEANS, i] += shift
            sums[MEAN_SQUARES, i] += shift * shift
        if turn == rows - 1:
            used = tally[USED]
            tally[STALLED] = 0 if used > 0 else tally[STALLED] + 1
            if used > 0:
                clique_covariances(order, parents, places, weights, log_sd, cliques)
            for i in range(dim):
                count = 0
                while count < width and parents[i, count] >= 0:
                    count += 1
                if used > 0 and count > 0:
                    for a in range(count):
                        right[a] = pulls[i, a] / used
                        for b in range(count):
                            matrix[a, b] = cliques[i, a, b]
                    solve_in_place(matrix, right, count)
                    norm = 0.0
                    for a in range(count):
                        norm += right[a] * pulls[i, a] / used
                    shrink = min(1.0, SCALE_CAP / max(pace * np.sqrt(max(norm, 0.0)), 1e-300))
                    for a in range(count):
                        weights[i, a] += shrink * pace * sd[i] * right[a]
                change = 0.5 * pace * pull[i] / used if used > 0 else -SCALE_CAP
                log_sd[i] += min(max(change, -SCALE_CAP), SCALE_CAP)
            for i in range(dim):
                sd[i] = np.exp(log_sd[i])
                sums[VARIANCES, i] += rows * sd[i] * sd[i]
                sums[LOGS, i] += rows * log_sd[i]
                sums[LOG_SQUARES, i] += rows * log_sd[i] * log_sd[i]
                for j in range(width):
                    gathered[0, i, j] += rows * weights[i, j]
                    gathered[1, i, j] += rows * weights[i, j] * weights[i, j]
            if tally[STALLED] >= HOPELESS:
                return step + 1
    return steps
