"""Kernels of the conjugate mixture's posterior; `targets.conjugate_mixture` states the model.

Data: row a holds feature a. Column 0 is the prior mean; columns 1 to d the prior scale; columns d + 1 to d + 3 hold
weight_concentration, mean_precision and degrees_of_freedom in their first row; observation i is column d + 4 + i.
Coordinates: see `targets.conjugate.mixture_coordinates`.
"""

import math

import numpy as np

from targets.kernel import density, helper, kernel
from targets.shares import BLOCK, add_moments, log_gaussians, log_sums, over_largest, sum_of_weights

SETTINGS = 3  # columns beside the prior's mean and scale

_LOG_2PI = math.log(2 * math.pi)
_LOG_2 = math.log(2.0)


@helper
def _log_constant(data):  # type: ignore[no-untyped-def]
    """Of the prior of one component: gamma variable, normal, Wishart, and the 2^d of the Jacobian; NaN at no scale."""
    d = data.shape[0]
    concentration, precision, degrees = data[0, d + 1], data[0, d + 2], data[0, d + 3]
    root = np.empty((d, d))
    log_determinant = 0.0
    for a in range(d):
        for b in range(a + 1):
            value = data[a, 1 + b]
            for c in range(b):
                value -= root[a, c] * root[b, c]
            root[a, b] = math.sqrt(value) if a == b else value / root[b, b]
        log_determinant += 2.0 * math.log(root[a, a])
    value = -math.lgamma(concentration) + 0.5 * d * (math.log(precision) - _LOG_2PI) + d * _LOG_2
    value += 0.5 * degrees * (log_determinant - d * _LOG_2) - 0.25 * d * (d - 1) * math.log(math.pi)
    for a in range(d):
        value -= math.lgamma(0.5 * (degrees - a))
    return value


@helper
def _parameters(x, log_total, constants, means, factors):  # type: ignore[no-untyped-def]
    """Write the components' log constants (K,), means (K, d), and lower factors (K, d, d) of the precisions."""
    components, d = means.shape
    each = 1 + d + d * (d + 1) // 2
    for k in range(components):
        at = k * each + 1 + d
        constants[k] = x[k * each] - log_total - 0.5 * d * _LOG_2PI
        for a in range(d):
            means[k, a] = x[k * each + 1 + a]
            for b in range(a):
                factors[k, a, b] = x[at]
                factors[k, b, a] = 0.0
                at += 1
            constants[k] += x[at]
            factors[k, a, a] = math.exp(x[at])
            at += 1


@helper
def _prior(x, data, factors, amount):  # type: ignore[no-untyped-def]
    components, d = factors.shape[0], data.shape[0]
    size = 1 + d + d * (d + 1) // 2
    concentration, precision, degrees = data[0, d + 1], data[0, d + 2], data[0, d + 3]
    value = components * _log_constant(data) - amount
    for k in range(components):
        at = k * size
        value += concentration * x[at]
        trace, square = 0.0, 0.0
        for b in range(d):
            off = 0.0
            for a in range(b, d):
                off += factors[k, a, b] * (x[at + 1 + a] - data[a, 0])
                for c in range(b, d):
                    trace += data[a, 1 + c] * factors[k, a, b] * factors[k, c, b]
            square += off * off
            # |P|^((degrees - d) / 2), the Jacobian's L_bb^(d - b), and that of the logarithm
            value += (degrees - b + 1.0) * x[at + d + (b + 1) * (b + 2) // 2]
        value -= 0.5 * (trace + precision * square)
    return value


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Any number of components, from `x`, and of features, from `data`. See the module for the data."""
    d = data.shape[0]
    each, header = 1 + d + d * (d + 1) // 2, d + 1 + SETTINGS
    components, n = x.shape[0] // each, data.shape[1] - header
    concentration, precision, degrees = data[0, d + 1], data[0, d + 2], data[0, d + 3]
    share, total, scaled = np.empty((components, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    constants, means, factors = np.empty(components), np.empty((components, d)), np.empty((components, d, d))
    counts, sums, squares = np.zeros(components), np.zeros((components, d)), np.zeros((components, d, d))
    pull = np.empty(d)
    amount, log_total = sum_of_weights(x, components, each)
    _parameters(x, log_total, constants, means, factors)
    value = _prior(x, data, factors, amount)
    for start in range(0, n, BLOCK):
        first, size = header + start, min(BLOCK, n - start)
        log_gaussians(data, first, size, constants, means, factors, share, total, scaled)
        value += over_largest(components, size, share, total) + log_sums(components, size, share, total)
        add_moments(data, first, size, means, share, total, scaled, counts, sums, squares)
    for k in range(components):
        at = k * each
        gradient[at] = concentration + counts[k] - (amount + n) * math.exp(x[at] - log_total)
        # of the prior: precision observations at its mean, and the scale among the squares
        for a in range(d):
            off = data[a, 0] - x[at + 1 + a]
            sums[k, a] += precision * off
            for c in range(a + 1):
                squares[k, a, c] += precision * off * (data[c, 0] - x[at + 1 + c]) + data[a, 1 + c]
                squares[k, c, a] = squares[k, a, c]
        for b in range(d):
            pull[b] = 0.0
            for a in range(b, d):
                pull[b] += factors[k, a, b] * sums[k, a]
        below = at + 1 + d
        for a in range(d):
            gradient[at + 1 + a] = 0.0
            for b in range(a + 1):
                gradient[at + 1 + a] += factors[k, a, b] * pull[b]
                value_ab = 0.0
                for c in range(b, d):
                    value_ab -= squares[k, a, c] * factors[k, c, b]
                if a == b:
                    value_ab = value_ab * factors[k, a, a] + counts[k] + degrees - a + 1.0
                gradient[below] = value_ab
                below += 1
    return value


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`, without gradient."""
    d = data.shape[0]
    each, header = 1 + d + d * (d + 1) // 2, d + 1 + SETTINGS
    components, n = x.shape[0] // each, data.shape[1] - header
    share, total, scaled = np.empty((components, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    constants, means, factors = np.empty(components), np.empty((components, d)), np.empty((components, d, d))
    amount, log_total = sum_of_weights(x, components, each)
    _parameters(x, log_total, constants, means, factors)
    value = _prior(x, data, factors, amount)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        log_gaussians(data, header + start, size, constants, means, factors, share, total, scaled)
        value += over_largest(components, size, share, total) + log_sums(components, size, share, total)
    return value
