"""Kernels of the full mixture posterior; `targets.gmm_full` states the model.

Data: row d holds coordinate d of the observations, column i observation i. Coordinates: for each component log_g,
mu[1], mu[2], log_sd[1], log_sd[2].
"""

import math

import numpy as np

from targets.exponential import exp_minus
from targets.kernel import density, helper, kernel
from targets.shares import BLOCK, log_sums, over_largest, sum_of_weights

CONCENTRATION = 2.0
MEAN_SD = 5.0
SIZE = 5  # coordinates a component

_LOG_2PI = math.log(2 * math.pi)
_CONSTANT = math.lgamma(CONCENTRATION) + 2 * math.log(MEAN_SD) + 2 * _LOG_2PI  # of a component's prior


@helper
def _prior(x, components, amount):  # type: ignore[no-untyped-def]
    value = -amount
    for at in range(0, SIZE * components, SIZE):
        value += CONCENTRATION * x[at] - _CONSTANT
        value -= 0.5 * ((x[at + 1] ** 2 + x[at + 2] ** 2) / MEAN_SD**2 + x[at + 3] ** 2 + x[at + 4] ** 2)
    return value


@helper
def _prior_gradient(x, components, amount, log_total, n, gradient):  # type: ignore[no-untyped-def]
    """Of the prior, and of -n log_total in the likelihood; overwrites."""
    for at in range(0, SIZE * components, SIZE):
        gradient[at] = CONCENTRATION - (amount + n) * math.exp(x[at] - log_total)
        gradient[at + 1], gradient[at + 2] = -x[at + 1] / MEAN_SD**2, -x[at + 2] / MEAN_SD**2
        gradient[at + 3], gradient[at + 4] = -x[at + 3], -x[at + 4]


@helper
def _shares(x, log_total, data, start, size, share, total):  # type: ignore[no-untyped-def]
    """Log likelihood of a block; writes each component's density over the largest, (K, size), and their sum (size,)."""
    components = x.shape[0] // SIZE
    for i in range(size):
        total[i] = -math.inf
    for k in range(components):
        at = SIZE * k
        inverse_0, inverse_1 = math.exp(-x[at + 3]), math.exp(-x[at + 4])
        constant = x[at] - log_total - x[at + 3] - x[at + 4] - _LOG_2PI
        mean_0, mean_1 = x[at + 1], x[at + 2]
        for i in range(size):
            z0 = (data[0, start + i] - mean_0) * inverse_0
            z1 = (data[1, start + i] - mean_1) * inverse_1
            value = constant - 0.5 * (z0 * z0 + z1 * z1)
            share[k, i] = value
            total[i] = value if value > total[i] else total[i]  # noqa: FURB136 (vectorises, unlike `max`)
    largest = over_largest(components, size, share, total)
    return largest + log_sums(components, size, share, total)


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Any number of components, from `x`. See the module for the data."""
    components, n = x.shape[0] // SIZE, data.shape[1]
    share, total = np.empty((components, BLOCK)), np.empty(BLOCK)
    amount, log_total = sum_of_weights(x, components, SIZE)
    value = _prior(x, components, amount)
    _prior_gradient(x, components, amount, log_total, n, gradient)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        value += _shares(x, log_total, data, start, size, share, total)
        for i in range(size):
            total[i] = 1.0 / total[i]
        for k in range(components):
            at = SIZE * k
            inverse_0, inverse_1 = math.exp(-x[at + 3]), math.exp(-x[at + 4])
            mean_0, mean_1 = x[at + 1], x[at + 2]
            count, sum_0, sum_1, square_0, square_1 = 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(size):
                r = share[k, i] * total[i]
                z0 = (data[0, start + i] - mean_0) * inverse_0
                z1 = (data[1, start + i] - mean_1) * inverse_1
                count += r
                sum_0 += r * z0
                sum_1 += r * z1
                square_0 += r * z0 * z0
                square_1 += r * z1 * z1
            gradient[at] += count
            gradient[at + 1] += sum_0 * inverse_0
            gradient[at + 2] += sum_1 * inverse_1
            gradient[at + 3] += square_0 - count
            gradient[at + 4] += square_1 - count
    return value


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`, without gradient."""
    components, n = x.shape[0] // SIZE, data.shape[1]
    share, total = np.empty((components, BLOCK)), np.empty(BLOCK)
    amount, log_total = sum_of_weights(x, components, SIZE)
    value = _prior(x, components, amount)
    for start in range(0, n, BLOCK):
        value += _shares(x, log_total, data, start, min(BLOCK, n - start), share, total)
    return value


@kernel
def posterior_of_two(x, gradient, data):  # type: ignore[no-untyped-def]
    """Two components: one exponential an observation, of the log odds, in one pass; two to three times faster."""
    n = data.shape[1]
    amount, log_total = sum_of_weights(x, 2, SIZE)
    value = _prior(x, 2, amount)
    _prior_gradient(x, 2, amount, log_total, n, gradient)
    a0, a1, b0, b1 = x[1], x[2], x[6], x[7]
    p0, p1, q0, q1 = math.exp(-x[3]), math.exp(-x[4]), math.exp(-x[8]), math.exp(-x[9])
    constant_a = x[0] - log_total - x[3] - x[4] - _LOG_2PI
    constant_b = x[5] - log_total - x[8] - x[9] - _LOG_2PI
    count_a, sum_a0, sum_a1, square_a0, square_a1 = 0.0, 0.0, 0.0, 0.0, 0.0
    count_b, sum_b0, sum_b1, square_b0, square_b1 = 0.0, 0.0, 0.0, 0.0, 0.0
    larger, logs = 0.0, 0.0
    for start in range(0, n, BLOCK):
        product = 1.0
        for i in range(min(BLOCK, n - start)):
            y0, y1 = data[0, start + i], data[1, start + i]
            u0, u1, v0, v1 = (y0 - a0) * p0, (y1 - a1) * p1, (y0 - b0) * q0, (y1 - b1) * q1
            log_a = constant_a - 0.5 * (u0 * u0 + u1 * u1)
            log_b = constant_b - 0.5 * (v0 * v0 + v1 * v1)
            odds = log_a - log_b
            t = exp_minus(abs(odds))
            inverse = 1.0 / (1.0 + t)
            share_a = (1.0 if odds > 0.0 else t) * inverse
            share_b = (t if odds > 0.0 else 1.0) * inverse  # not 1 - share_a: far out a tiny share meets huge squares
            count_a += share_a
            count_b += share_b
            sum_a0 += share_a * u0
            sum_a1 += share_a * u1
            square_a0 += share_a * u0 * u0
            square_a1 += share_a * u1 * u1
            sum_b0 += share_b * v0
            sum_b1 += share_b * v1
            square_b0 += share_b * v0 * v0
            square_b1 += share_b * v1 * v1
            larger += log_a if odds > 0.0 else log_b
            product *= 1.0 + t
        logs += math.log(product)
    gradient[0] += count_a
    gradient[1] += sum_a0 * p0
    gradient[2] += sum_a1 * p1
    gradient[3] += square_a0 - count_a
    gradient[4] += square_a1 - count_a
    gradient[5] += count_b
    gradient[6] += sum_b0 * q0
    gradient[7] += sum_b1 * q1
    gradient[8] += square_b0 - count_b
    gradient[9] += square_b1 - count_b
    return value + larger + logs


@density
def posterior_of_two_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior_of_two`, without gradient."""
    n = data.shape[1]
    amount, log_total = sum_of_weights(x, 2, SIZE)
    a0, a1, b0, b1 = x[1], x[2], x[6], x[7]
    p0, p1, q0, q1 = math.exp(-x[3]), math.exp(-x[4]), math.exp(-x[8]), math.exp(-x[9])
    constant_a = x[0] - log_total - x[3] - x[4] - _LOG_2PI
    constant_b = x[5] - log_total - x[8] - x[9] - _LOG_2PI
    larger, logs = 0.0, 0.0
    for start in range(0, n, BLOCK):
        product = 1.0
        for i in range(min(BLOCK, n - start)):
            y0, y1 = data[0, start + i], data[1, start + i]
            log_a = constant_a - 0.5 * (((y0 - a0) * p0) ** 2 + ((y1 - a1) * p1) ** 2)
            log_b = constant_b - 0.5 * (((y0 - b0) * q0) ** 2 + ((y1 - b1) * q1) ** 2)
            odds = log_a - log_b
            larger += log_a if odds > 0.0 else log_b
            product *= 1.0 + exp_minus(abs(odds))
        logs += math.log(product)
    return _prior(x, 2, amount) + larger + logs
