"""The inner loops of reparameterised reverse KL: stochastic natural-gradient steps for Gaussian families.

Draws are mean +- factor e, in antithetic pairs: on a Gaussian target the gradient of the mean carries no noise. A step
moves the mean after each pair, and the scales after each block of pairs. Within a block the signs of e are rows of a
Hadamard matrix over one set of magnitudes, so that sum e_i e_j vanishes for i != j while each single e is standard
normal; four blocks in a row share out the sizes of each e_i by strata. Gradients are path derivatives ("sticking the
landing", Roeder, Wu and Duvenaud 2017). Together they leave no noise at all at the optimum on a Gaussian target, mean
field included, whose off-diagonal terms would be noise otherwise. Where noise stays all the same the target is not
Gaussian, and magnitudes that a block shares would make it larger: then each pair has its own. Steps are natural (Amari
1998), in units of the approximation, so that the target's scale does not matter.
"""

import numpy as np
from numba import float64, int8, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, helper, loop

MOMENTUM = 0.9  # of the mean: a step of 1 is stable up to curvatures of 38 / variance
MEAN_CAP = 1.0  # sd that a mean may move in a step
SCALE_CAP = 0.5  # the same for the logarithm of a scale

SIGNS = int8[:, ::1]
INTEGERS = int64[::1]

STRATA = 4  # quarters of the distribution of |e_i|: four draws of magnitudes in a row hold one of each
QUARTILES = 0.31863936396437514, 0.6744897501960817, 1.1503493803760079

# What `tally` counts: pairs drawn, those skipped because something was not finite, those used in this block, and blocks
# in a row with none to use.
DRAWN, SKIPPED, USED, STALLED = range(4)
# What `sums` (6, dim) gathers over the steps: mean - anchor and its square, variance, log sd and its square; then the
# anchor itself.
MEANS, MEAN_SQUARES, VARIANCES, LOGS, LOG_SQUARES, ANCHOR = range(6)
# What `heights` gathers: pairs, their level above the first one's, its square, and the level of the first.
COUNT, RISE, RISE_SQUARE, LEVEL = range(4)


@helper
def stratum(value):  # type: ignore[no-untyped-def]
    """The quarter, 0 to 3, of the distribution of |N(0, 1)| that a value lies in."""
    size = abs(value)
    return (size > QUARTILES[0]) + (size > QUARTILES[1]) + (size > QUARTILES[2])


@loop(
    types.void(
        KERNEL, DATA, types.npy_rng, SIGNS, INTEGERS, INTEGERS, INTEGERS, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR,
        VECTOR, VECTOR, VECTOR, VECTOR, MATRIX, VECTOR, int64, int64, float64, float64,
    )
)  # fmt: skip
def meanfield(  # type: ignore[no-untyped-def]
    kernel, data, rng, signs, order, strata, tally, magnitudes, mean, log_sd, velocity, pull, x, above, below,
    sd, sums, heights, fresh, steps, rate, pace,
):  # fmt: skip
    """Make `steps` steps with `rate` for the means and `pace` for the log sds; two gradients each.

    All vectors are (dim,): `pull` gathers the gradient of the log sds over a block, `x`, `above`, `below` and `sd` are
    scratch. With `fresh` each pair has magnitudes of its own. `heights` (4,) gathers, over the pairs, what is left of
    the log density once its slope is taken out: the height of the mean alone where the density is Gaussian.
    """
    dim = mean.shape[0]
    rows = order.shape[0]
    cap = MEAN_CAP / rate
    for i in range(dim):
        sd[i] = np.exp(log_sd[i])
    for _ in range(steps):
        turn = tally[DRAWN] % rows
        if turn == 0:
            for k in range(rows - 1, 0, -1):
                other = int(rng.random() * (k + 1))
                order[k], order[other] = order[other], order[k]
            for i in range(dim):
                pull[i] = 0.0
            tally[USED] = 0
        if turn == 0 or fresh != 0:
            lasts = 1 if fresh != 0 else rows
            if tally[DRAWN] % (STRATA * lasts) == 0:
                for i in range(dim):
                    strata[i] = int(rng.random() * STRATA)
            for i in range(dim):
                strata[i] = (strata[i] + 1) % STRATA
                magnitudes[i] = rng.standard_normal()
                while stratum(magnitudes[i]) != strata[i]:
                    magnitudes[i] = rng.standard_normal()
        row = order[turn]
        tally[DRAWN] += 1
        for i in range(dim):
            x[i] = mean[i] + sd[i] * signs[row, i] * magnitudes[i]
        value = kernel(x, above, data)
        for i in range(dim):
            x[i] = mean[i] - sd[i] * signs[row, i] * magnitudes[i]
        value += kernel(x, below, data)
        size = abs(value)
        for i in range(dim):
            size += abs(above[i]) + abs(below[i])
        if size < np.inf:  # `isfinite` is a difference that the compiler may cancel under fast math
            tally[USED] += 1
            level = 0.5 * value
            for i in range(dim):
                level -= 0.25 * sd[i] * signs[row, i] * magnitudes[i] * (above[i] - below[i])
            if heights[COUNT] == 0.0:
                heights[LEVEL] = level
            heights[COUNT] += 1.0
            heights[RISE] += level - heights[LEVEL]
            heights[RISE_SQUARE] += (level - heights[LEVEL]) ** 2
            for i in range(dim):
                half = 0.5 * sd[i]
                drawn = signs[row, i] * magnitudes[i]
                speed = MOMENTUM * velocity[i] + (1.0 - MOMENTUM) * half * (above[i] + below[i])
                speed = min(max(speed, -cap), cap)
                velocity[i] = speed
                mean[i] += rate * sd[i] * speed
                pull[i] += drawn * (half * (above[i] - below[i]) + drawn)
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


@loop(
    types.void(
        KERNEL, DATA, types.npy_rng, SIGNS, INTEGERS, INTEGERS, INTEGERS, VECTOR, VECTOR, MATRIX, VECTOR, MATRIX,
        VECTOR, VECTOR, VECTOR, VECTOR, MATRIX, MATRIX, MATRIX, VECTOR, int64, int64, float64, float64,
    )
)  # fmt: skip
def fullrank(  # type: ignore[no-untyped-def]
    kernel, data, rng, signs, order, strata, tally, magnitudes, mean, factor, velocity, pull, x, above, below,
    offset, moves, sums, factors, heights, fresh, steps, rate, pace,
):  # fmt: skip
    """As `meanfield`, for a dense `factor` (dim, dim), whose sum over the steps is gathered in `factors`.

    The factor moves to factor (I + pace S / 2), with S the symmetric part of the whitened gradient `pull` (Lin et al.
    2021): it stays a square root of the covariance, but not a triangular one. Logs are those of the marginal sds.
    `moves` (2, dim) is scratch.
    """
    dim = mean.shape[0]
    rows = order.shape[0]
    cap = MEAN_CAP / rate
    for _ in range(steps):
        turn = tally[DRAWN] % rows
        if turn == 0:
            for k in range(rows - 1, 0, -1):
                other = int(rng.random() * (k + 1))
                order[k], order[other] = order[other], order[k]
            for i in range(dim):
                for j in range(dim):
                    pull[i, j] = 0.0
            tally[USED] = 0
        if turn == 0 or fresh != 0:
            lasts = 1 if fresh != 0 else rows
            if tally[DRAWN] % (STRATA * lasts) == 0:
                for i in range(dim):
                    strata[i] = int(rng.random() * STRATA)
            for i in range(dim):
                strata[i] = (strata[i] + 1) % STRATA
                magnitudes[i] = rng.standard_normal()
                while stratum(magnitudes[i]) != strata[i]:
                    magnitudes[i] = rng.standard_normal()
        row = order[turn]
        tally[DRAWN] += 1
        for i in range(dim):
            moves[0, i] = signs[row, i] * magnitudes[i]
        for i in range(dim):
            total = 0.0
            for j in range(dim):
                total += factor[i, j] * moves[0, j]
            offset[i] = total
        for i in range(dim):
            x[i] = mean[i] + offset[i]
        value = kernel(x, above, data)
        for i in range(dim):
            x[i] = mean[i] - offset[i]
        value += kernel(x, below, data)
        size = abs(value)
        for i in range(dim):
            size += abs(above[i]) + abs(below[i])
        if size < np.inf:  # `isfinite` is a difference that the compiler may cancel under fast math
            tally[USED] += 1
            level = 0.5 * value
            for i in range(dim):
                level -= 0.25 * offset[i] * (above[i] - below[i])
            if heights[COUNT] == 0.0:
                heights[LEVEL] = level
            heights[COUNT] += 1.0
            heights[RISE] += level - heights[LEVEL]
            heights[RISE_SQUARE] += (level - heights[LEVEL]) ** 2
            for j in range(dim):
                offset[j] = 0.0
                moves[1, j] = moves[0, j]
            for i in range(dim):
                half_sum = 0.5 * (above[i] + below[i])
                half_difference = 0.5 * (above[i] - below[i])
                for j in range(dim):
                    offset[j] += factor[i, j] * half_sum
                    moves[1, j] += factor[i, j] * half_difference
            for j in range(dim):
                speed = MOMENTUM * velocity[j] + (1.0 - MOMENTUM) * offset[j]
                velocity[j] = min(max(speed, -cap), cap)
            for i in range(dim):
                move = 0.0
                along = moves[1, i]
                for j in range(dim):
                    move += factor[i, j] * velocity[j]
                    pull[i, j] += along * moves[0, j]
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
            squares = 0.0
            widest = 0.0
            for i in range(dim):
                across = 0.0
                for j in range(i + 1):
                    entry = 0.25 * pace * (pull[i, j] + pull[j, i]) / max(used, 1)
                    pull[i, j] = entry
                    pull[j, i] = entry
                for j in range(dim):
                    squares += pull[i, j] ** 2 if j < i else 0.0
                squares += 0.5 * pull[i, i] ** 2
            for i in range(dim):
                across = 0.0
                for j in range(dim):
                    across += abs(pull[i, j])
                widest = max(widest, across)
            bound = min(np.sqrt(2.0 * squares), widest)
            shrink = min(1.0, SCALE_CAP / max(bound, 1e-300))
            for i in range(dim):
                for j in range(dim):
                    offset[j] = 0.0
                for k in range(dim):
                    here = shrink * factor[i, k]
                    for j in range(dim):
                        offset[j] += here * pull[k, j]
                norm = 0.0
                for j in range(dim):
                    entry = factor[i, j] + offset[j]
                    if used == 0:
                        entry = factor[i, j] * np.exp(-SCALE_CAP)
                    factor[i, j] = entry
                    factors[i, j] += rows * entry
                    norm += entry * entry
                norm = 0.5 * np.log(norm)
                sums[LOGS, i] += rows * norm
                sums[LOG_SQUARES, i] += rows * norm * norm
