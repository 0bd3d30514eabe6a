"""The density of a linear regression with unknown noise, under three priors; see `targets.linear_regression`."""

import math

import numpy as np

from targets.kernel import density, helper, kernel
from targets.lanes import WIDTH as LANES
from targets.logistic_regression import BLOCK, BLOCK_VALUES, add_rows, margins_of

NOISE_SHAPE, NOISE_RATE = 2.0, 1.0
SHAPE, RATE = 2.0, 0.1
RATIO = 10.0

_LOG_2PI = math.log(2 * math.pi)
NOISE_LEVEL = NOISE_SHAPE * math.log(NOISE_RATE) - math.lgamma(NOISE_SHAPE)
LEVEL = SHAPE * math.log(RATE) - math.lgamma(SHAPE)


@helper
def _padded(x, columns):  # type: ignore[no-untyped-def]
    """What the rows are multiplied by for the residuals, with the sign turned."""
    padded = np.zeros(columns)
    for j in range(1, min(x.shape[0], columns)):
        padded[j] = x[j]
    padded[0] = -1.0
    return padded


@kernel
def likelihood(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: the response; the covariates; then zeros up to a multiple of 8, to meet what it does not read of x."""
    rows, columns = data.shape
    margin, slope = np.empty(BLOCK), np.zeros(columns)
    padded = _padded(x, columns)
    block = max(LANES, min(BLOCK, BLOCK_VALUES // columns))
    squares = 0.0
    for start in range(0, rows, block):
        size = min(block, rows - start)
        margins_of(data, start, size, padded, margin)
        for k in range(size):
            squares += margin[k] * margin[k]
        add_rows(data, start, size, margin, slope)
    noise = math.exp(x[0])
    for j in range(1, x.shape[0]):
        gradient[j] = -noise * slope[j] if j < columns else 0.0
    gradient[0] = 0.5 * (rows - noise * squares)
    return 0.5 * (rows * (x[0] - _LOG_2PI) - noise * squares)


@density
def likelihood_density(x, data):  # type: ignore[no-untyped-def]
    """As `likelihood`, without gradient."""
    margin = np.empty(BLOCK)
    padded = _padded(x, data.shape[1])
    squares = 0.0
    for start in range(0, data.shape[0], BLOCK):
        size = min(BLOCK, data.shape[0] - start)
        margins_of(data, start, size, padded, margin)
        for k in range(size):
            squares += margin[k] * margin[k]
    return 0.5 * (data.shape[0] * (x[0] - _LOG_2PI) - math.exp(x[0]) * squares)


@helper
def _add_ratio(x, gradient):  # type: ignore[no-untyped-def]
    """The log of the prior, whose gradient is added to `gradient`."""
    count = x.shape[0] - 1
    noise, squares = math.exp(x[0]), 0.0
    for j in range(1, x.shape[0]):
        squares += x[j] * x[j]
        gradient[j] -= RATIO * noise * x[j]
    gradient[0] += NOISE_SHAPE - NOISE_RATE * noise + 0.5 * (count - RATIO * noise * squares)
    level = NOISE_LEVEL + NOISE_SHAPE * x[0] - NOISE_RATE * noise
    return level + 0.5 * (count * (x[0] + math.log(RATIO) - _LOG_2PI) - RATIO * noise * squares)


@helper
def _add_shared(x, gradient):  # type: ignore[no-untyped-def]
    """As `_add_ratio`."""
    count = x.shape[0] - 2
    last = x[count + 1]
    noise, precision, squares = math.exp(x[0]), math.exp(last), 0.0
    for j in range(1, count + 1):
        squares += x[j] * x[j]
        gradient[j] -= precision * x[j]
    gradient[0] += NOISE_SHAPE - NOISE_RATE * noise
    gradient[count + 1] += SHAPE - RATE * precision + 0.5 * (count - precision * squares)
    level = NOISE_LEVEL + NOISE_SHAPE * x[0] - NOISE_RATE * noise
    level += LEVEL + SHAPE * last - RATE * precision
    return level + 0.5 * (count * (last - _LOG_2PI) - precision * squares)


@helper
def _add_ard(x, gradient):  # type: ignore[no-untyped-def]
    """As `_add_ratio`."""
    count = (x.shape[0] - 1) // 2
    noise = math.exp(x[0])
    level = NOISE_LEVEL + NOISE_SHAPE * x[0] - NOISE_RATE * noise
    gradient[0] += NOISE_SHAPE - NOISE_RATE * noise
    for j in range(1, count + 1):
        last = x[count + j]
        precision = math.exp(last)
        squares = precision * x[j] * x[j]
        gradient[j] -= precision * x[j]
        gradient[count + j] += SHAPE - RATE * precision + 0.5 * (1.0 - squares)
        level += LEVEL + SHAPE * last - RATE * precision + 0.5 * (last - _LOG_2PI - squares)
    return level


@kernel
def ratio_prior(x, gradient, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Reads no data."""
    for j in range(x.shape[0]):
        gradient[j] = 0.0
    return _add_ratio(x, gradient)


@kernel
def shared_prior(x, gradient, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Reads no data."""
    for j in range(x.shape[0]):
        gradient[j] = 0.0
    return _add_shared(x, gradient)


@kernel
def ard_prior(x, gradient, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Reads no data."""
    for j in range(x.shape[0]):
        gradient[j] = 0.0
    return _add_ard(x, gradient)


@kernel
def ratio_posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: as `likelihood`."""
    value = likelihood(x, gradient, data)
    return value + _add_ratio(x, gradient)


@kernel
def shared_posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: as `likelihood`, with at least one column of zeros."""
    value = likelihood(x, gradient, data)
    return value + _add_shared(x, gradient)


@kernel
def ard_posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: as `likelihood`, as many as coordinates at least."""
    value = likelihood(x, gradient, data)
    return value + _add_ard(x, gradient)


@density
def ratio_density(x, data):  # type: ignore[no-untyped-def]
    """As `ratio_posterior`."""
    return likelihood_density(x, data) + _add_ratio(x, np.zeros(x.shape[0]))


@density
def shared_density(x, data):  # type: ignore[no-untyped-def]
    """As `shared_posterior`."""
    return likelihood_density(x, data) + _add_shared(x, np.zeros(x.shape[0]))


@density
def ard_density(x, data):  # type: ignore[no-untyped-def]
    """As `ard_posterior`."""
    return likelihood_density(x, data) + _add_ard(x, np.zeros(x.shape[0]))


KERNELS = {  # posterior, its density without gradient, and prior
    "ratio": (ratio_posterior, ratio_density, ratio_prior),
    "shared": (shared_posterior, shared_density, shared_prior),
    "ard": (ard_posterior, ard_density, ard_prior),
}
