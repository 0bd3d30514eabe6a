"""An exponential that vectorises, as the C library's does not, and log(1 + u) faster than the C library's `log1p`."""

import math

import numpy as np

from targets.kernel import helper

_LOG2_E = math.log2(math.e)
_LOG_2 = math.log(2.0)
_LARGEST = 700.0  # exp(-700) = 1e-304 is still a normal number
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12 = (1.0 / math.factorial(k) for k in range(2, 13))


@helper
def exp_minus(a):  # type: ignore[no-untyped-def]
    """exp(-a) for a >= 0, within (1 + a) 2e-16 of its value; exp(-700) for a > 700; NaN for NaN.

    exp(-a) = 2^-k exp(r) with k the integer nearest to a / log 2. |r| <= log(2) / 2, where the Taylor series cut at
    degree 12 errs by 2e-16; the power of two is made from its bits. Only a conversion to 32 bits vectorises everywhere.
    """
    a = _LARGEST if a > _LARGEST else a  # noqa: FURB136 (`min` would lose a NaN)
    k = np.int32(a * _LOG2_E + 0.5)
    r = k * _LOG_2 - a
    p = _C12 * r + _C11
    p = p * r + _C10
    p = p * r + _C9
    p = p * r + _C8
    p = p * r + _C7
    p = p * r + _C6
    p = p * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    p = (p * r + 1.0) * r + 1.0
    return p * np.int64((np.int64(1023) - np.int64(k)) << np.int64(52)).view(np.float64)


@helper
def log_one_plus(u):  # type: ignore[no-untyped-def]
    """log(1 + u) for u >= 0, within 1e-14 of its value. `log` takes a third of the time of `log1p`."""
    return math.log(1.0 + u) if u > 0.02 else math.log1p(u)
