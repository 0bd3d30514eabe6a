"""The compiled sweep of a Gaussian mixture: assignments given parameters, and parameters given assignments."""

import math

import numpy as np
from numba import float64, void

from samplers.chain import RNG
from targets.kernel import DATA, MATRIX, VECTOR, helper, loop
from targets.shares import BLOCK, log_gaussians, over_largest

TENSOR = float64[:, :, ::1]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@helper
def _log_gamma_draw(rng, shape):  # type: ignore[no-untyped-def]
    """The logarithm of a Gamma(shape, 1) draw, finite where the draw itself is not above zero (Marsaglia and Tsang)."""
    if shape >= 1.0:
        return math.log(rng.standard_gamma(shape))
    return math.log(rng.standard_gamma(shape + 1.0)) + math.log(1.0 - rng.random()) / shape


@helper
def _assign(data, rng, log_weights, constants, means, factors, counts, sums, squares, share, total, scaled):  # type: ignore[no-untyped-def]
    """Draw the component of every observation; write how many there are of each, and their moments about its mean.

    data (d, n) holds observation i in column i. Precision k is factors[k] factors[k]', lower triangular. sums (K, d)
    and squares (K, d, d) are those of (x - means[k]): about a mean that is near, so that nothing is lost far from zero.
    """
    d, n = data.shape
    components = len(log_weights)
    counts[:], sums[:], squares[:] = 0.0, 0.0, 0.0
    for k in range(components):
        constants[k] = log_weights[k] - d * _HALF_LOG_2PI
        for a in range(d):
            constants[k] += math.log(factors[k, a, a])
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        log_gaussians(data, start, size, constants, means, factors, share, total, scaled)
        over_largest(components, size, share, total)
        for k in range(1, components):
            for i in range(size):
                share[k, i] += share[k - 1, i]
        for i in range(size):
            left, drawn = rng.random() * share[components - 1, i], 0
            while drawn < components - 1 and share[drawn, i] <= left:
                drawn += 1
            counts[drawn] += 1.0
            for a in range(d):
                off = data[a, start + i] - means[drawn, a]
                sums[drawn, a] += off
                for b in range(a + 1):
                    squares[drawn, a, b] += off * (data[b, start + i] - means[drawn, b])


@helper
def _draw(  # type: ignore[no-untyped-def]
    rng, prior_mean, prior_scale, prior, counts, sums, squares, log_amounts, log_weights, means, factors, scratch
):
    """Draw all parameters given `counts`, `sums` and `squares` as `_assign` wrote them about the present means.

    prior (3,): weight_concentration, mean_precision, degrees_of_freedom. The weights are gamma variables over their
    sum. `log_amounts` (K,) are the logarithms of gamma variables whose ratios are the same, and whose sum has its
    prior's distribution, K concentrations: data say nothing of it. The normal-Wishart conditional is equations 10.60
    to 10.63 of Bishop 2006; the Wishart by Bartlett's decomposition, with the factor of the scale from below:
    scale = U U' with U upper triangular, so that the precision's factor, inverse(U') times Bartlett's, is lower.
    """
    components, d = means.shape
    scale, bartlett, centre, normal = scratch
    top = -np.inf
    for k in range(components):
        log_amounts[k] = _log_gamma_draw(rng, prior[0] + counts[k])
        top = max(top, log_amounts[k])
    amount = 0.0
    for k in range(components):
        amount += math.exp(log_amounts[k] - top)
    log_total = _log_gamma_draw(rng, components * prior[0])
    for k in range(components):
        log_weights[k] = log_amounts[k] - top - math.log(amount)
        log_amounts[k] = log_weights[k] + log_total
        n = counts[k]
        precision = prior[1] + n
        for a in range(d):
            mean_a = sums[k, a] / n if n > 0.0 else 0.0  # of the observations, less the present mean
            from_a = means[k, a] + mean_a - prior_mean[a]
            for b in range(a + 1):
                mean_b = sums[k, b] / n if n > 0.0 else 0.0
                from_b = means[k, b] + mean_b - prior_mean[b]
                scale[a, b] = prior_scale[a, b] + squares[k, a, b] - n * mean_a * mean_b
                scale[a, b] += prior[1] * n / precision * from_a * from_b
            centre[a] = prior_mean[a] + n / precision * from_a
        for j in range(d - 1, -1, -1):  # scale = U U', with U[i, j] kept in scale[j, i]
            for c in range(j + 1, d):
                scale[j, j] -= scale[c, j] * scale[c, j]
            scale[j, j] = math.sqrt(scale[j, j])
            for i in range(j):
                for c in range(j + 1, d):
                    scale[j, i] -= scale[c, i] * scale[c, j]
                scale[j, i] /= scale[j, j]
        for a in range(d):
            bartlett[a, a] = math.sqrt(2.0 * rng.standard_gamma(0.5 * (prior[2] + n - a)))
            for b in range(a):
                bartlett[a, b] = rng.standard_normal()
        for b in range(d):
            for a in range(b, d):
                value = bartlett[a, b]
                for c in range(b, a):
                    value -= scale[a, c] * factors[k, c, b]
                factors[k, a, b] = value / scale[a, a]
        for a in range(d):
            normal[a] = rng.standard_normal()
        for a in range(d - 1, -1, -1):
            value = normal[a]
            for b in range(a + 1, d):
                value -= factors[k, b, a] * normal[b]
            normal[a] = value / factors[k, a, a]
            means[k, a] = centre[a] + normal[a] / math.sqrt(precision)


@helper
def _keep(log_amounts, log_weights, means, factors, rows, row, inverse):  # type: ignore[no-untyped-def]
    """Write weights (K,), means (K, d), covariances (K, d, d) and log amounts (K,) into a row, one after the other."""
    components, d = means.shape
    at_means, at_covariances = components, components * (1 + d)
    at_amounts = components * (1 + d + d * d)
    for k in range(components):
        rows[row, k] = math.exp(log_weights[k])
        rows[row, at_amounts + k] = log_amounts[k]
        for a in range(d):
            rows[row, at_means + d * k + a] = means[k, a]
        for b in range(d):  # of the factor
            for a in range(b, d):
                value = 1.0 if a == b else 0.0
                for c in range(b, a):
                    value -= factors[k, a, c] * inverse[c, b]
                inverse[a, b] = value / factors[k, a, a]
        for a in range(d):
            for b in range(a + 1):
                value = 0.0
                for c in range(a, d):  # covariance = inverse(factor)' inverse(factor)
                    value += inverse[c, a] * inverse[c, b]
                rows[row, at_covariances + (k * d + a) * d + b] = value
                rows[row, at_covariances + (k * d + b) * d + a] = value


@loop(void(DATA, RNG, VECTOR, MATRIX, VECTOR, VECTOR, VECTOR, MATRIX, TENSOR, MATRIX))
def sweep(data, rng, prior_mean, prior_scale, prior, log_amounts, log_weights, means, factors, rows):  # type: ignore[no-untyped-def]
    """A sweep for every row, which it writes; see `_assign`, `_draw` and `_keep`. The state is the parameters alone."""
    components, d = means.shape
    share, total, scaled = np.empty((components, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    counts, sums, squares = np.empty(components), np.empty((components, d)), np.empty((components, d, d))
    scratch = np.empty((d, d)), np.empty((d, d)), np.empty(d), np.empty(d)
    inverse, constants = np.empty((d, d)), np.empty(components)
    for row in range(rows.shape[0]):
        _assign(data, rng, log_weights, constants, means, factors, counts, sums, squares, share, total, scaled)
        _draw(
            rng,
            prior_mean,
            prior_scale,
            prior,
            counts,
            sums,
            squares,
            log_amounts,
            log_weights,
            means,
            factors,
            scratch,
        )
        _keep(log_amounts, log_weights, means, factors, rows, row, inverse)
