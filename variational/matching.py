"""Closed-form updates of a Gaussian from a batch of scores, and the loop that makes them.

An update is computed where the approximation is standard normal: draws e, whitened scores s = factor^T gradient, and a
Gaussian N(shift, A) that takes the place of N(0, I). So updates do not change under affine maps. In the space that a
batch of b draws and scores spans, which has at most 2 b dimensions, A is a small matrix; outside of it A is the
identity. With b < dim / 2 a step costs O(dim^2 b) beside the gradients, and O(dim^3) otherwise.

- `BAM`, batch and match (Cai et al. 2024, equations 9 to 12), minimises the batch's score-based divergence plus
  2 / lambda KL(last || next). The gain lambda / (1 + lambda) is what the mean moves.
- `GSM` (Modi et al. 2023, algorithm 1): for each draw, the Gaussian nearest in KL whose score there is the target's;
  averaged over the batch, and over the last one by 1 - gain. A gain of one is as published.
- `NATURAL`: a natural-gradient step of the precision that keeps it positive definite (Lin, Schmidt and Khan 2020,
  equation 7), with the Hessian by Stein's identity, from draws and path-derivative gradients.
"""

import numpy as np
from numba import float64, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, helper, loop
from variational.matrices import cholesky, eigh, orthonormal, product

BAM, GSM, NATURAL = range(3)
JITTER = (
    1e-6  # variance that a step leaves of one at least; of BaM, where that is what 1 / lambda allows, and less else
)
LARGEST = 1e200  # squared whitened scores above it are not worked with
CAP = 1.0  # of a natural step: relative change of the precision in any direction
KICK = 3.0  # and how far the mean may move, in sd
SHRINK = 0.5  # of log sds after a batch that could not be evaluated at all
HOPELESS = 8  # such batches in a row, after which the loop returns

# What `tally` counts: draws, those that were not finite, batches in a row without a finite one, updates taken back.
DRAWN, SKIPPED, STALLED, REVERTED = range(4)
# What `sums` (5, dim) gathers over the steps: mean - anchor and its square, log sd and its square; then the anchor.
MEANS, MEAN_SQUARES, LOGS, LOG_SQUARES, ANCHOR = range(5)
# What `heights` gathers: draws, the level of the log density above the first one's, its square, and that first level.
COUNT, RISE, RISE_SQUARE, LEVEL = range(4)


@helper
def root_of(values, vectors):  # type: ignore[no-untyped-def]
    """The symmetric root with these eigenvalues, no smaller than `JITTER`."""
    return product(vectors * np.sqrt(np.maximum(values, JITTER)), vectors.T)


@helper
def batch_and_match(e, s, gain):  # type: ignore[no-untyped-def]
    """From draws and scores (b, r): a root of A, the shift, and the smallest eigenvalue.

    A solves A U A + A = V. With V = C C^T, A = C X C^T, where X^2 M + X = I and M = C^T U C: in the eigenvectors of M,
    x = 2 / (1 + sqrt(1 + 4 m)). That needs no root of an unsymmetric matrix.
    """
    count, dim = e.shape
    weight = gain / (1.0 - gain)
    e_mean, s_mean = np.zeros(dim), np.zeros(dim)
    for b in range(count):
        for i in range(dim):
            e_mean[i] += e[b, i] / count
            s_mean[i] += s[b, i] / count
    spread, pull = np.empty((count + 1, dim)), np.empty((count + 1, dim))
    share = np.sqrt(weight / count)
    for b in range(count):
        for i in range(dim):
            spread[b, i] = share * (e[b, i] - e_mean[i])
            pull[b, i] = share * (s[b, i] - s_mean[i])
    for i in range(dim):
        spread[count, i] = np.sqrt(gain) * e_mean[i]
        pull[count, i] = np.sqrt(gain) * s_mean[i]
    lower = cholesky(np.eye(dim) + product(spread.T, spread))
    pulled = product(pull, lower)
    values, vectors = eigh(product(pulled.T, pulled))
    shrunk = 2.0 / (1.0 + np.sqrt(1.0 + 4.0 * np.maximum(values, 0.0)))
    root = product(lower, vectors * np.sqrt(np.maximum(shrunk, JITTER * (1.0 - gain))))
    shift = gain * (product(root, product(root.T, s_mean)) + e_mean)
    return root, shift, shrunk.min()


@helper
def gaussian_score_matching(e, s, gain):  # type: ignore[no-untyped-def]
    """As `batch_and_match`."""
    count, dim = e.shape
    shift = np.zeros(dim)
    left = np.empty((count, dim))
    for b in range(count):
        squared, along = 0.0, 0.0
        for i in range(dim):
            squared += s[b, i] * s[b, i]
            along += e[b, i] * s[b, i]
        rho = 0.5 * (np.sqrt(1.0 + 4.0 * (squared + along * along)) - 1.0)
        back = (squared + along) / (1.0 + rho - along)
        for i in range(dim):
            move = (s[b, i] + e[b, i] + back * e[b, i]) / (1.0 + rho)
            shift[i] += gain / count * move
            left[b, i] = move - e[b, i]
    share = gain / count
    values, vectors = eigh(np.eye(dim) + share * (product(e.T, e) - product(left.T, left)))
    return root_of(values, vectors), shift, values.min()


@helper
def natural_gradient(e, s, gain):  # type: ignore[no-untyped-def]
    """As `batch_and_match`: the precision moves to I - gain G + gain^2 G^2 / 2, with G = I + the whitened Hessian."""
    count, dim = e.shape
    path = e + s
    shift = np.zeros(dim)
    squared = 0.0
    for i in range(dim):
        for b in range(count):
            shift[i] += gain / count * path[b, i]
    for i in range(dim):
        squared += shift[i] * shift[i]
    shift *= min(1.0, KICK / max(np.sqrt(squared), 1e-300))
    crossed = product(path.T, e)
    values, vectors = eigh(0.5 / count * (crossed + crossed.T))
    values *= gain * min(1.0, CAP / max(gain * np.abs(values).max(), 1e-300))
    values = 1.0 / (1.0 - values + 0.5 * values * values)
    return root_of(values, vectors), shift, values.min()


@helper
def spanned(e, s):  # type: ignore[no-untyped-def]
    """An orthonormal basis (dim, 2 b) of the space of draws and scores (b, dim)."""
    count, dim = e.shape
    both = np.empty((dim, 2 * count))
    for b in range(count):
        for i in range(dim):
            both[i, b] = e[b, i]
            both[i, count + b] = s[b, i]
    return orthonormal(both)


@loop(
    int64(
        KERNEL, DATA, types.npy_rng, int64, VECTOR, MATRIX, MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, int64[::1], MATRIX,
        MATRIX, VECTOR, int64, float64,
    )
)  # fmt: skip
def match(  # type: ignore[no-untyped-def]
    kernel, data, rng, rule, mean, factor, covariance, e, slopes, x, gradient, tally, sums, spreads, heights, steps,
    gain,
):  # fmt: skip
    """Make `steps` steps of one batch each; returns how many, fewer only after `HOPELESS` batches with nothing finite.

    `mean` (dim,), a square root `factor` (dim, dim) of the covariance and the `covariance` itself move. `e` and
    `slopes` (batch, dim), `x` and `gradient` (dim,) are scratch. `spreads` (dim, dim) gathers covariances. An update
    that is not finite and positive definite is taken back.
    """
    dim = mean.shape[0]
    batch = e.shape[0]
    for step in range(steps):
        used = 0
        for _ in range(batch):
            squared = 0.0
            for i in range(dim):
                e[used, i] = rng.standard_normal()
                squared += e[used, i] * e[used, i]
            for i in range(dim):
                offset = 0.0
                for j in range(dim):
                    offset += factor[i, j] * e[used, j]
                x[i] = mean[i] + offset
            value = kernel(x, gradient, data)
            size = abs(value)
            for i in range(dim):
                size += abs(gradient[i])
            if size < np.inf:  # `isfinite` is a difference that the compiler may cancel under fast math
                for i in range(dim):
                    slopes[used, i] = gradient[i]
                used += 1
                level = value + 0.5 * squared
                if heights[COUNT] == 0.0:
                    heights[LEVEL] = level
                heights[COUNT] += 1.0
                heights[RISE] += level - heights[LEVEL]
                heights[RISE_SQUARE] += (level - heights[LEVEL]) * (level - heights[LEVEL])
        tally[DRAWN] += batch
        tally[SKIPPED] += batch - used
        if used == 0:
            tally[STALLED] += 1
            for i in range(dim):
                for j in range(dim):
                    factor[i, j] *= np.exp(-SHRINK)
                    covariance[i, j] *= np.exp(-2.0 * SHRINK)
        else:
            tally[STALLED] = 0
            drawn = e[:used]
            scores = product(slopes[:used], factor)
            squared = 0.0
            for b in range(used):
                for i in range(dim):
                    squared += scores[b, i] * scores[b, i]
            smallest = 0.0
            if squared < LARGEST:
                whole = 2 * used >= dim
                basis = np.eye(dim) if whole else spanned(drawn, scores)
                if not whole:
                    drawn, scores = product(drawn, basis), product(scores, basis)
                if rule == BAM:
                    root, shift, smallest = batch_and_match(drawn, scores, gain)
                elif rule == GSM:
                    root, shift, smallest = gaussian_score_matching(drawn, scores, gain)
                else:
                    root, shift, smallest = natural_gradient(drawn, scores, gain)
                within = factor.copy() if whole else product(factor, basis)
            if smallest > 0.0:
                mean += product(within, shift)
                if whole:
                    factor[:] = product(within, root)
                    covariance[:] = product(factor, factor.T)
                else:
                    unit = np.eye(basis.shape[1])
                    factor += product(product(within, root - unit), basis.T)
                    covariance += product(product(within, product(root, root.T) - unit), within.T)
            if not smallest > 0.0:
                tally[REVERTED] += 1
        for i in range(dim):
            shifted = mean[i] - sums[ANCHOR, i]
            log_sd = 0.5 * np.log(covariance[i, i])
            sums[MEANS, i] += shifted
            sums[MEAN_SQUARES, i] += shifted * shifted
            sums[LOGS, i] += log_sd
            sums[LOG_SQUARES, i] += log_sd * log_sd
            for j in range(dim):
                spreads[i, j] += covariance[i, j]
        if tally[STALLED] >= HOPELESS:
            return step + 1
    return steps
