"""The inner loops of natural-gradient VI with mixtures of Gaussians, dense and diagonal.

For a component o of q = sum_k w_k q_k the natural gradient of the ELBO, divided by w_o, is that of a single Gaussian
with the log density log p - log q in place of log p (Lin, Khan and Schmidt 2019, theorem 3; Arenz et al. 2023, section
3). With y = F_o^-1 (x - m_o) and g = F_o^T grad (log p - log q)(x), both by reparameterised first-order gradients,

    m_o <- m_o + rate F_o E_o[g],    F_o <- F_o (I + rate S / 2),    S the symmetric part of E_o[y g^T],

and w_o <- w_o exp(pace E_o[log p - log q]), normalised. All of it is zero, noise included, where q = p.

Every draw serves every component: it comes from q_k, and stands for draws of q_o with the weight q_o / mean_j q_j, at
most the number of components (the balance heuristic: Veach and Guibas 1995; sample reuse in Arenz et al. 2023). Within
a component draws are antithetic and orthogonal, as in `variational.descent`.
"""

import numpy as np
from numba import float64, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, helper, lean_loop
from variational.descent import INTEGERS
from variational.orthogonal import DIRECTIONS, direct, open_block

MEAN_CAP = 1.0  # sd that a mean may move in a step, in any whitened coordinate
SCALE_CAP = 0.5  # the same for the logarithm of a scale
WEIGHT_CAP = 1.0  # the same for the logarithm of a weight
FAINT = 1e-9  # share of a draw below which it is not worth a product
LOWEST = -40.0  # log weight
TENSOR = float64[:, :, ::1]

# What `tally` counts: draws, and those skipped because something was not finite.
DRAWN, SKIPPED = range(2)


@helper
def shares(logs, heights, kept, balance, count):  # type: ignore[no-untyped-def]
    """Log density of the mixture from the components' `heights` (k,); fills `kept` (k,) and `balance` (k,).

    `kept` are the responsibilities w_k q_k / q, `balance` the weights q_k / mean_j q_j over all `count` components.
    """
    top = -np.inf
    best = -np.inf
    for k in range(count):
        top = max(top, heights[k])
        best = max(best, heights[k] + logs[k])
    for k in range(count):
        balance[k] = np.exp(heights[k] - top)
        kept[k] = np.exp(heights[k] + logs[k] - best)
    total = 0.0
    mixed = 0.0
    for k in range(count):
        total += balance[k]
        mixed += kept[k]
    for k in range(count):
        balance[k] *= count / total
        kept[k] /= mixed
    return best + np.log(mixed)


@helper
def reweigh(logs, gains, masses, used, pace, count):  # type: ignore[no-untyped-def]
    """Natural-gradient step of the log weights (k,) from `gains`, sums of log p - log q; returns the ELBO before it.

    The sums are divided by the `masses` of what was summed, so that a constant added to log p changes nothing. A
    component none of whose draws could be evaluated loses as much as a step may.
    """
    centre = 0.0
    held = 0.0
    for k in range(count):
        if used[k] > 0:
            gains[k] /= masses[k]
            centre += np.exp(logs[k]) * gains[k]
            held += np.exp(logs[k])
    centre /= max(held, 1e-300)
    for k in range(count):
        change = pace * (gains[k] - centre) if used[k] > 0 else -WEIGHT_CAP
        logs[k] += min(max(change, -WEIGHT_CAP), WEIGHT_CAP)
        logs[k] = max(logs[k], LOWEST)
    total = 0.0
    for k in range(count):
        total += np.exp(logs[k])
    for k in range(count):
        logs[k] -= np.log(total)
    return centre


@helper
def stretch(factors, inverses, pulls, square, k, share, usable):  # type: ignore[no-untyped-def]
    """Give component k the triangular factor of F (I + B)^2 F^T, B the symmetric part of 2 `share` pulls, capped.

    The cap holds for two norms that bound the eigenvalues of B. `square` (dim, dim) is scratch.
    """
    dim = square.shape[0]
    for i in range(dim):
        for j in range(i + 1):
            entry = share * (pulls[k, i, j] + pulls[k, j, i])
            pulls[k, i, j] = entry
            pulls[k, j, i] = entry
    squares = 0.0
    widest = 0.0
    for i in range(dim):
        across = 0.0
        for j in range(dim):
            across += abs(pulls[k, i, j])
            squares += pulls[k, i, j] * pulls[k, i, j]
        widest = max(widest, across)
    shrink = min(1.0, SCALE_CAP / max(min(np.sqrt(squares), widest), 1e-300))
    if not usable:
        shrink = 0.0
    for i in range(dim):  # square = F (I + B)
        for j in range(dim):
            square[i, j] = factors[k, i, j]
        for m in range(i + 1):
            heavy = shrink * factors[k, i, m]
            for j in range(dim):
                square[i, j] += heavy * pulls[k, m, j]
    for i in range(dim):  # its rows made orthogonal, after Gram and Schmidt: forming the covariance would lose digits
        for m in range(i):
            along = 0.0
            for j in range(dim):
                along += square[i, j] * square[m, j]
            for j in range(dim):
                square[i, j] -= along * square[m, j]
            factors[k, i, m] = along
        along = 0.0
        for j in range(dim):
            along += square[i, j] * square[i, j]
        along = np.sqrt(along)
        factors[k, i, i] = along
        for j in range(dim):
            square[i, j] /= along
    if not usable:
        for i in range(dim):
            for j in range(i + 1):
                factors[k, i, j] *= np.exp(-SCALE_CAP)
    for j in range(dim):
        inverses[k, j, j] = 1.0 / factors[k, j, j]
        for i in range(j + 1, dim):
            total = 0.0
            for m in range(j, i):
                total -= factors[k, i, m] * inverses[k, m, j]
            inverses[k, i, j] = total / factors[k, i, i]


@lean_loop(
    types.void(
        KERNEL, DATA, types.npy_rng, DIRECTIONS, INTEGERS, VECTOR, MATRIX, MATRIX, INTEGERS,
        VECTOR, VECTOR, VECTOR, MATRIX, MATRIX, MATRIX, INTEGERS, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR,
        MATRIX, MATRIX, VECTOR, VECTOR, int64, float64, float64,
    )
)  # fmt: skip
def diagonal(  # type: ignore[no-untyped-def]
    kernel, data, rng, directions, tally, logs, means, sds, free,
    drawn, x, gradient, white, pushes, pulls, used, gains, masses, heights, kept, balance,
    sum_means, sum_sds, sum_weights, sum_elbo, steps, rate, pace,
):  # fmt: skip
    """Make `steps` steps with `rate` for means and log sds and `pace` for log weights; 2 blocks of gradients each.

    `logs` (k,) are the log weights, `means` and `sds` (k, dim); only components that are `free` (k,) move, and all
    weights do. The sums gather the iterates after each step, and the ELBO before it up to dim / 2 log 2 pi. The others
    are scratch: three vectors (dim,), then three (k, dim), then (k,) each.
    """
    count, dim = means.shape
    rows = directions.order.shape[0]
    for _ in range(steps):
        for k in range(count):
            gains[k] = 0.0
            masses[k] = 0.0
            used[k] = 0
            for i in range(dim):
                pushes[k, i] = 0.0
                pulls[k, i] = 0.0
        for o in range(count):
            open_block(rng, directions)
            for turn in range(rows):
                load = direct(directions, turn, drawn)
                for side in range(2):
                    sign = 1.0 - 2.0 * side
                    for i in range(dim):
                        x[i] = means[o, i] + sign * sds[o, i] * drawn[i]
                    value = kernel(x, gradient, data)
                    tally[DRAWN] += 1
                    size = abs(value)
                    for i in range(dim):
                        size += abs(gradient[i])
                    if not size < np.inf:
                        tally[SKIPPED] += 1
                        continue
                    used[o] += 1
                    for k in range(count):
                        height = 0.0
                        for i in range(dim):
                            white[k, i] = (x[i] - means[k, i]) / sds[k, i]
                        for i in range(dim):
                            height -= 0.5 * white[k, i] * white[k, i] + np.log(sds[k, i])
                        heights[k] = height
                    gain = value - shares(logs, heights, kept, balance, count)
                    for k in range(count):
                        if kept[k] > FAINT:
                            for i in range(dim):
                                gradient[i] += kept[k] * white[k, i] / sds[k, i]
                    for k in range(count):
                        heavy = load * balance[k]
                        gains[k] += heavy * gain
                        masses[k] += heavy
                        if balance[k] > FAINT:
                            for i in range(dim):
                                push = heavy * sds[k, i] * gradient[i]
                                pushes[k, i] += push
                                pulls[k, i] += push * white[k, i]
        for k in range(count):
            if free[k] == 0:
                continue
            share = 1.0 / (count * max(used[k], 1))
            for i in range(dim):
                move = min(max(rate * share * pushes[k, i], -MEAN_CAP), MEAN_CAP)
                change = min(max(0.5 * rate * share * pulls[k, i], -SCALE_CAP), SCALE_CAP)
                means[k, i] += sds[k, i] * move
                sds[k, i] *= np.exp(change if used[k] > 0 else -SCALE_CAP)
        sum_elbo[0] += reweigh(logs, gains, masses, used, pace, count)
        for k in range(count):
            sum_weights[k] += np.exp(logs[k])
            for i in range(dim):
                sum_means[k, i] += means[k, i]
                sum_sds[k, i] += sds[k, i]


@lean_loop(
    types.void(
        KERNEL, DATA, types.npy_rng, DIRECTIONS, INTEGERS, VECTOR, MATRIX, TENSOR, TENSOR, INTEGERS,
        VECTOR, VECTOR, VECTOR, MATRIX, MATRIX, TENSOR, MATRIX, INTEGERS, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR,
        MATRIX, TENSOR, VECTOR, VECTOR, int64, float64, float64,
    )
)  # fmt: skip
def dense(  # type: ignore[no-untyped-def]
    kernel, data, rng, directions, tally, logs, means, factors, inverses, free,
    drawn, x, gradient, white, pushes, pulls, square, used, gains, masses, heights, kept, balance,
    sum_means, sum_factors, sum_weights, sum_elbo, steps, rate, pace,
):  # fmt: skip
    """As `diagonal`, for lower triangular `factors` (k, dim, dim) with their `inverses`.

    `pulls` (k, dim, dim) and `square` (dim, dim) are scratch as well.
    """
    count, dim = means.shape
    rows = directions.order.shape[0]
    for _ in range(steps):
        for k in range(count):
            gains[k] = 0.0
            masses[k] = 0.0
            used[k] = 0
            for i in range(dim):
                pushes[k, i] = 0.0
                for j in range(dim):
                    pulls[k, i, j] = 0.0
        for o in range(count):
            open_block(rng, directions)
            for turn in range(rows):
                load = direct(directions, turn, drawn)
                for side in range(2):
                    sign = 1.0 - 2.0 * side
                    for i in range(dim):
                        total = 0.0
                        for j in range(i + 1):
                            total += factors[o, i, j] * drawn[j]
                        x[i] = means[o, i] + sign * total
                    value = kernel(x, gradient, data)
                    tally[DRAWN] += 1
                    size = abs(value)
                    for i in range(dim):
                        size += abs(gradient[i])
                    if not size < np.inf:
                        tally[SKIPPED] += 1
                        continue
                    used[o] += 1
                    for k in range(count):
                        height = 0.0
                        for i in range(dim):
                            total = 0.0
                            for j in range(i + 1):
                                total += inverses[k, i, j] * (x[j] - means[k, j])
                            white[k, i] = total
                        for i in range(dim):
                            height += np.log(inverses[k, i, i]) - 0.5 * white[k, i] * white[k, i]
                        heights[k] = height
                    gain = value - shares(logs, heights, kept, balance, count)
                    for k in range(count):
                        if kept[k] > FAINT:
                            for i in range(dim):
                                heavy = kept[k] * white[k, i]
                                for j in range(i + 1):
                                    gradient[j] += heavy * inverses[k, i, j]
                    for k in range(count):
                        heavy = load * balance[k]
                        gains[k] += heavy * gain
                        masses[k] += heavy
                        if balance[k] > FAINT:
                            for j in range(dim):
                                push = 0.0
                                for i in range(j, dim):
                                    push += factors[k, i, j] * gradient[i]
                                push *= heavy
                                pushes[k, j] += push
                                for i in range(dim):
                                    pulls[k, j, i] += push * white[k, i]
        for k in range(count):
            if free[k] == 0:
                continue
            share = 1.0 / (count * max(used[k], 1))
            for i in range(dim):
                x[i] = min(max(rate * share * pushes[k, i], -MEAN_CAP), MEAN_CAP)
            for i in range(dim):
                total = 0.0
                for j in range(i + 1):
                    total += factors[k, i, j] * x[j]
                means[k, i] += total
            stretch(factors, inverses, pulls, square, k, 0.25 * rate * share, used[k] > 0)
        sum_elbo[0] += reweigh(logs, gains, masses, used, pace, count)
        for k in range(count):
            sum_weights[k] += np.exp(logs[k])
            for i in range(dim):
                sum_means[k, i] += means[k, i]
                for j in range(dim):
                    sum_factors[k, i, j] += factors[k, i, j]
