"""Sites that expectation propagation multiplies a Gaussian prior by, as what a Gaussian times one of them comes to.

A site is a compiled function

    tilted(mean (w,), covariance (w, w), parameters (k,), new_mean (w,) written, new_covariance (w, w) written) -> log Z

of N(u; mean, covariance) site(u) / Z, u being the w linear combinations of the coordinates that the site depends on. It
never raises; where nothing can be said it returns NaN.
"""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import float64, types

from targets.kernel import FASTMATH, MATRIX, VECTOR, Distinct, helper

SITE_SIGNATURE = float64(VECTOR, MATRIX, VECTOR, VECTOR, MATRIX)
SITE = types.FunctionType(SITE_SIGNATURE)

TAIL = -5.0  # below which the normal distribution function is taken from its continued fraction
TERMS = 40  # of it: 1e-15 at the least argument
REACH = 8.5  # standard deviations from the mode beyond which exp(-36) of its height is left
STEP = 0.55  # of the trapezoidal rule, in sd of the Gaussian and in units of the site: errors below exp(-38)
NODES = 20_000  # at most

_LOG_2PI = math.log(2 * math.pi)


def site(function: Callable[..., float]) -> Any:
    """Compile `tilted` (see the module) under its signature, when it is first needed."""
    dispatcher: Any = numba.njit(
        cache=True, error_model="numpy", fastmath=set(FASTMATH), nogil=True, pipeline_class=Distinct, forceinline=True
    )(function)
    dispatcher.declared_signature = SITE_SIGNATURE
    return dispatcher


@helper
def invert_positive(matrix, inverse):  # type: ignore[no-untyped-def]
    """Write the inverse of a small symmetric matrix (Gauss and Jordan); log determinant, NaN if it is not positive."""
    size = matrix.shape[0]
    log_determinant = 0.0
    for i in range(size):
        for j in range(size):
            inverse[i, j] = matrix[i, j]
    for k in range(size):
        pivot = inverse[k, k]
        if not (pivot > 0.0 and pivot < np.inf):
            return np.nan
        log_determinant += math.log(pivot)
        inverse[k, k] = 1.0
        for j in range(size):
            inverse[k, j] /= pivot
        for i in range(size):
            if i != k:
                factor = inverse[i, k]
                inverse[i, k] = 0.0
                for j in range(size):
                    inverse[i, j] -= factor * inverse[k, j]
    return log_determinant


@helper
def log_normal_cdf(z):  # type: ignore[no-untyped-def]
    """The log of Phi(z), r = phi(z) / Phi(z), and z + r without cancellation (Abramowitz and Stegun 26.2.14)."""
    log_height = -0.5 * z * z - 0.5 * _LOG_2PI
    if z > TAIL:
        probability = 0.5 * math.erfc(-z / math.sqrt(2.0))
        ratio = math.exp(log_height) / probability
        return math.log(probability), ratio, z + ratio
    rest = 0.0
    for k in range(TERMS, 0, -1):
        rest = k / (rest - z)
    return log_height - math.log(rest - z), rest - z, rest


@site
def probit(mean, covariance, parameters, new_mean, new_covariance):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Phi(u), in closed form (Rasmussen and Williams 2006, section 3.9). No parameters."""
    variance = covariance[0, 0]
    width = math.sqrt(1.0 + variance)
    log_z, ratio, rest = log_normal_cdf(mean[0] / width)
    new_mean[0] = mean[0] + variance * ratio / width
    new_covariance[0, 0] = variance * (1.0 + variance * (1.0 - ratio * rest)) / (1.0 + variance)
    return log_z


@site
def normal(mean, covariance, parameters, new_mean, new_covariance):  # type: ignore[no-untyped-def]
    """N(y; u, variance), in closed form. Parameters: y and the variance."""
    variance, away = covariance[0, 0], parameters[0] - mean[0]
    total = variance + parameters[1]
    new_mean[0] = mean[0] + variance / total * away
    new_covariance[0, 0] = variance / total * parameters[1]
    return -0.5 * (away * away / total + math.log(total) + _LOG_2PI)


@helper
def tilt(log_site, unit, mean, covariance, parameters, new_mean, new_covariance):  # type: ignore[no-untyped-def]
    """As `tilted`, for one linear combination u and a log-concave site, by the trapezoidal rule about the mode.

    `log_site(u, parameters)` is a `targets.kernel.helper`, and analytic where |Im u| < pi `unit`. The integrand falls
    from its mode at least as fast as the Gaussian, so that the same reach holds it wherever the two meet.
    """
    centre, variance = mean[0], covariance[0, 0]
    sd = math.sqrt(variance)
    # the mode, to half an sd: away from the centre in doubling steps, then by thirds
    low, high = centre - sd, centre + sd
    middle = log_site(centre, parameters)
    way = 0.0
    if log_site(high, parameters) - 0.5 > middle:
        way = 1.0
    elif log_site(low, parameters) - 0.5 > middle:
        way = -1.0
    if way != 0.0:
        before, at, stride = centre, centre + way * sd, 2.0 * sd
        value = log_site(at, parameters) - 0.5
        ahead = at
        for _ in range(60):
            ahead = at + way * stride
            further = log_site(ahead, parameters) - 0.5 * (ahead - centre) ** 2 / variance
            if not further > value:
                break
            before, at, value = at, ahead, further
            stride *= 2.0
        low, high = (before, ahead) if way > 0.0 else (ahead, before)
    while high - low > sd:
        left, right = low + (high - low) / 3.0, high - (high - low) / 3.0
        at_left = log_site(left, parameters) - 0.5 * (left - centre) ** 2 / variance
        at_right = log_site(right, parameters) - 0.5 * (right - centre) ** 2 / variance
        if at_left < at_right:
            low = left
        else:
            high = right
    mode = 0.5 * (low + high)
    height = log_site(mode, parameters) - 0.5 * (mode - centre) ** 2 / variance
    reach = (REACH + 0.5) * sd
    step = STEP * min(sd, unit)
    half = min(int(reach / step) + 1, NODES // 2)
    step = reach / half
    zeroth, first, second = 0.0, 0.0, 0.0
    for k in range(-half, half + 1):
        offset = k * step
        u = mode + offset
        mass = math.exp(log_site(u, parameters) - 0.5 * (u - centre) ** 2 / variance - height)
        zeroth += mass
        first += mass * offset
        second += mass * offset * offset
    first /= zeroth
    new_mean[0] = mode + first
    new_covariance[0, 0] = second / zeroth - first * first
    return height + math.log(zeroth * step) - 0.5 * (math.log(variance) + _LOG_2PI)


@helper
def log_logistic(u, parameters):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """-log(1 + exp(-u))."""
    return min(u, 0.0) - math.log1p(math.exp(-abs(u)))


@site
def logistic(mean, covariance, parameters, new_mean, new_covariance):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-u)), by quadrature. No parameters."""
    return tilt(log_logistic, 1.0, mean, covariance, parameters, new_mean, new_covariance)


@site
def clutter(mean, covariance, parameters, new_mean, new_covariance):  # type: ignore[no-untyped-def]
    """(1 - share) N(y; u, I) + share N(y; 0, spread I), in closed form (Minka 2001, section 3.2).

    Parameters: share, spread, then y, as many numbers as u has.
    """
    width = mean.shape[0]
    total, inverse, gain = np.empty((width, width)), np.empty((width, width)), np.empty((width, width))
    away, shift = np.empty(width), np.empty(width)
    share, spread = parameters[0], parameters[1]
    squares = 0.0
    for i in range(width):
        away[i] = parameters[2 + i] - mean[i]
        squares += parameters[2 + i] * parameters[2 + i]
        for j in range(width):
            total[i, j] = covariance[i, j] + (1.0 if i == j else 0.0)
    log_determinant = invert_positive(total, inverse)
    distance = 0.0
    for i in range(width):
        shift[i] = 0.0
        for j in range(width):
            distance += away[i] * inverse[i, j] * away[j]
            gain[i, j] = 0.0
            for k in range(width):
                gain[i, j] += covariance[i, k] * inverse[k, j]
            shift[i] += gain[i, j] * away[j]
    signal = math.log(1.0 - share) - 0.5 * (distance + log_determinant + width * _LOG_2PI)
    noise = math.log(share) - 0.5 * (squares / spread + width * (math.log(spread) + _LOG_2PI))
    top = signal if signal > noise else noise  # noqa: FURB136
    log_z = top + math.log(math.exp(signal - top) + math.exp(noise - top))
    belief = math.exp(signal - log_z)
    doubt = math.exp(noise - log_z)
    for i in range(width):
        new_mean[i] = mean[i] + belief * shift[i]
        for j in range(width):
            reduced = 0.0
            for k in range(width):
                reduced += gain[i, k] * covariance[k, j]
            new_covariance[i, j] = covariance[i, j] - belief * reduced + belief * doubt * shift[i] * shift[j]
    return log_z
