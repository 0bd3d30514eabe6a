"""The inner loops of reparameterised reverse KL: stochastic natural-gradient steps for Gaussian families.

Draws are mean +- factor e, in antithetic pairs: on a Gaussian target the gradient of the mean carries no noise. A step
moves the mean after each pair, and the scales after each block of pairs, whose directions are orthogonal
(`variational.orthogonal`). Gradients are path derivatives ("sticking the landing", Roeder, Wu and Duvenaud 2017).
Together they leave no noise at all at the optimum on a Gaussian target, mean field included, whose off-diagonal terms
would be noise otherwise; elsewhere they leave several times less than independent draws. Steps are natural (Amari
1998), in units of the approximation, so that the target's scale does not matter.

Sums and stores are kept in loops apart: one loop with both is vectorised behind a check of how far the arrays lie from
each other, and would round differently from call to call.
"""

import numpy as np
from numba import float64, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, distinct_loop
from variational.orthogonal import DIRECTIONS, direct, open_block

MOMENTUM = 0.9  # of the mean: a step of 1 is stable up to curvatures of 38 / variance
MEAN_CAP = 1.0  # sd that a mean may move in a step
KICK_CAP = 3.0  # sd that a single pair may move it, all its momentum included
SCALE_CAP = 0.5  # the same for the logarithm of a scale
HOPELESS = 8  # blocks in a row without a finite gradient, after which a loop returns

INTEGERS = int64[::1]

# What `tally` counts: pairs drawn, those skipped because something was not finite, those used in this block, and blocks
# in a row with none to use.
DRAWN, SKIPPED, USED, STALLED = range(4)
# What `sums` (6, dim) gathers over the steps: mean - anchor and its square, variance, log sd and its square; then the
# anchor itself.
MEANS, MEAN_SQUARES, VARIANCES, LOGS, LOG_SQUARES, ANCHOR = range(6)
# What `heights` gathers: pairs, their level above the first one's, its square, and the level of the first.
COUNT, RISE, RISE_SQUARE, LEVEL = range(4)


@distinct_loop(
    types.int64(
        KERNEL, DATA, types.npy_rng, DIRECTIONS, INTEGERS, VECTOR, VECTOR, VECTOR, VECTOR,
        VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, MATRIX, VECTOR, int64, float64, float64,
    )
)  # fmt: skip
def meanfield(  # type: ignore[no-untyped-def]
    kernel, data, rng, directions, tally, mean, log_sd, velocity, pull, drawn, x, above, below,
    sd, sums, heights, steps, rate, pace,
):  # fmt: skip
    """Make `steps` steps with `rate` for the means and `pace` for the log sds; two gradients each. Returns how many.

    They are fewer only where `HOPELESS` blocks in a row had nothing finite. All vectors are
    (dim,): `pull` gathers the gradient of the log sds over a block, `drawn`, `x`, `above`, `below`, `sd`
    are scratch. `heights` (4,) gathers, over the pairs, what is left of the log density once its slope is taken out:
    the height of the mean alone where the density is Gaussian.
    """
    dim = mean.shape[0]
    rows = directions.order.shape[0]
    cap = MEAN_CAP / rate
    kick = KICK_CAP / rate
    for i in range(dim):
        sd[i] = np.exp(log_sd[i])
    for step in range(steps):
        turn = tally[DRAWN] % rows
        if turn == 0:
            open_block(rng, directions)
            for i in range(dim):
                pull[i] = 0.0
            tally[USED] = 0
        weight = direct(directions, turn, drawn)
        tally[DRAWN] += 1
        for i in range(dim):
            x[i] = mean[i] + sd[i] * drawn[i]
        value = kernel(x, above, data)
        for i in range(dim):
            x[i] = mean[i] - sd[i] * drawn[i]
        value += kernel(x, below, data)
        size = abs(value)
        slope = 0.0
        for i in range(dim):
            size += abs(above[i]) + abs(below[i])
            slope += sd[i] * drawn[i] * (above[i] - below[i])
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
                half = 0.5 * sd[i]
                push = min(max(weight * half * (above[i] + below[i]), -kick), kick)
                speed = MOMENTUM * velocity[i] + (1.0 - MOMENTUM) * push
                speed = min(max(speed, -cap), cap)
                velocity[i] = speed
                mean[i] += rate * sd[i] * speed
                pull[i] += weight * drawn[i] * (half * (above[i] - below[i]) + drawn[i])
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
            for i in range(dim):
                change = 0.5 * pace * pull[i] / used if used > 0 else -SCALE_CAP
                log_sd[i] += min(max(change, -SCALE_CAP), SCALE_CAP)
                sd[i] = np.exp(log_sd[i])
                sums[VARIANCES, i] += rows * sd[i] * sd[i]
                sums[LOGS, i] += rows * log_sd[i]
                sums[LOG_SQUARES, i] += rows * log_sd[i] * log_sd[i]
            if tally[STALLED] >= HOPELESS:
                return step + 1
    return steps


@distinct_loop(
    types.int64(
        KERNEL, DATA, types.npy_rng, DIRECTIONS, INTEGERS, VECTOR, MATRIX, VECTOR, MATRIX,
        VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, MATRIX, MATRIX, VECTOR, int64, float64, float64,
    )
)  # fmt: skip
def fullrank(  # type: ignore[no-untyped-def]
    kernel, data, rng, directions, tally, mean, factor, velocity, pull, drawn, x, above, below,
    offset, along, sums, factors, heights, steps, rate, pace,
):  # fmt: skip
    """As `meanfield`, for a dense `factor` (dim, dim), whose sum over the steps is gathered in `factors`.

    The factor moves to factor (I + pace S / 2), with S the symmetric part of the whitened gradient `pull` (Lin et al.
    2021): it stays a square root of the covariance, but not a triangular one. Logs are those of the marginal sds.
    `offset` and `along` (dim,) are scratch.
    """
    dim = mean.shape[0]
    rows = directions.order.shape[0]
    cap = MEAN_CAP / rate
    kick = KICK_CAP / rate
    for step in range(steps):
        turn = tally[DRAWN] % rows
        if turn == 0:
            open_block(rng, directions)
            for i in range(dim):
                for j in range(dim):
                    pull[i, j] = 0.0
            tally[USED] = 0
        weight = direct(directions, turn, drawn)
        tally[DRAWN] += 1
        for i in range(dim):
            total = 0.0
            for j in range(dim):
                total += factor[i, j] * drawn[j]
            offset[i] = total
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
            for j in range(dim):
                offset[j] = 0.0
                along[j] = drawn[j]
            for i in range(dim):
                half_sum = 0.5 * weight * (above[i] + below[i])
                half_difference = 0.5 * (above[i] - below[i])
                for j in range(dim):
                    offset[j] += factor[i, j] * half_sum
                    along[j] += factor[i, j] * half_difference
            for j in range(dim):
                push = min(max(offset[j], -kick), kick)
                speed = MOMENTUM * velocity[j] + (1.0 - MOMENTUM) * push
                velocity[j] = min(max(speed, -cap), cap)
            for i in range(dim):
                heavy = weight * along[i]
                for j in range(dim):
                    pull[i, j] += heavy * drawn[j]
            for i in range(dim):
                move = 0.0
                for j in range(dim):
                    move += factor[i, j] * velocity[j]
                mean[i] += rate * move
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
            # symmetric, and no larger than the cap in either of two norms that bound its eigenvalues
            for i in range(dim):
                for j in range(i + 1):
                    entry = 0.25 * pace * (pull[i, j] + pull[j, i]) / max(used, 1)
                    pull[i, j] = entry
                    pull[j, i] = entry
            squares = 0.0
            widest = 0.0
            for i in range(dim):
                across = 0.0
                for j in range(dim):
                    across += abs(pull[i, j])
                    squares += pull[i, j] * pull[i, j]
                widest = max(widest, across)
            bound = min(np.sqrt(squares), widest)
            shrink = min(1.0, SCALE_CAP / max(bound, 1e-300))
            for i in range(dim):
                for j in range(dim):
                    offset[j] = 0.0
                for k in range(dim):
                    here = shrink * factor[i, k]
                    for j in range(dim):
                        offset[j] += here * pull[k, j]
                for j in range(dim):
                    entry = factor[i, j] + offset[j]
                    if used == 0:
                        entry = factor[i, j] * np.exp(-SCALE_CAP)
                    factor[i, j] = entry
                    factors[i, j] += rows * entry
                norm = 0.0
                for j in range(dim):
                    norm += factor[i, j] * factor[i, j]
                norm = 0.5 * np.log(norm)
                sums[LOGS, i] += rows * norm
                sums[LOG_SQUARES, i] += rows * norm * norm
            if tally[STALLED] >= HOPELESS:
                return step + 1
    return steps
