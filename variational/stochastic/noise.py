"""Base noise for reparameterised families: standard normal and standard logistic numbers, many at once.

numba's `Generator.standard_normal` takes 9 ns a number and does not vectorise. Uniform numbers take 2.5 ns, and what
makes normal ones of them (Box and Muller 1958) vectorises, with a logarithm, sine and cosine that are polynomials.
"""

import math

import numpy as np

from targets.exponential import exp_minus
from targets.kernel import helper

GAUSSIAN, LOGISTIC = range(2)

_TINY = 2.0**-54  # half of the step between uniform numbers: keeps them from zero
_MANTISSA = 0x000FFFFFFFFFFFFF
_ONE = 0x3FF0000000000000
_LOG_2 = math.log(2.0)
_HALF_PI = 0.5 * math.pi
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_L = tuple(2.0 / (2 * k + 1) for k in range(11))  # log((1 + s) / (1 - s)) = sum of _L[k] s^(2 k + 1)
_S = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(9))
_C = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(9))
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8, _L9, _L10 = _L
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7, _S8 = _S
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8 = _C


@helper
def exponential(a):  # type: ignore[no-untyped-def]
    """exp(a), within (1 + |a|) 2e-16 of its value, where |a| <= 700."""
    inverse = exp_minus(abs(a))
    return 1.0 / inverse if a > 0.0 else inverse


@helper
def logarithm(u):  # type: ignore[no-untyped-def]
    """Log u for normal numbers 0 < u < inf, to 4e-16 absolute or relative.

    u = 2^k m with m between sqrt(1/2) and sqrt(2); log m = 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.172, by its
    series cut after s^21.
    """
    bits = np.float64(u).view(np.int64)
    m = np.int64((bits & _MANTISSA) | _ONE).view(np.float64)
    k = np.float64(np.int32(bits >> 52)) - 1023.0
    large = m > 1.4142135623730951
    m = 0.5 * m if large else m
    k = k + 1.0 if large else k
    s = (m - 1.0) / (m + 1.0)
    t = s * s
    p = _L10 * t + _L9
    p = p * t + _L8
    p = p * t + _L7
    p = p * t + _L6
    p = p * t + _L5
    p = p * t + _L4
    p = p * t + _L3
    p = p * t + _L2
    p = p * t + _L1
    p = p * t + _L0
    return k * _LOG_2 + s * p


@helper
def inside(u):  # type: ignore[no-untyped-def]
    """A uniform number as numpy makes it, moved off zero."""
    return u + _TINY if u < 0.5 else u


@helper
def normals(rng, drawn):  # type: ignore[no-untyped-def]
    """Fill `drawn` (n,), n even, with standard normal numbers.

    (r cos a, r sin a) with r^2 = -2 log u. The angle a is a multiple of a quarter turn, and a rest within an eighth.
    """
    half = drawn.shape[0] // 2
    for i in range(2 * half):
        drawn[i] = rng.random()
    for i in range(half):
        radius = np.sqrt(-2.0 * logarithm(inside(drawn[i])))
        turn = 4.0 * drawn[half + i]
        quarter = np.int32(turn)
        x = (turn - quarter - 0.5) * _HALF_PI
        t = x * x
        s = _S8 * t + _S7
        s = s * t + _S6
        s = s * t + _S5
        s = s * t + _S4
        s = s * t + _S3
        s = s * t + _S2
        s = s * t + _S1
        s = (s * t + _S0) * x
        c = _C8 * t + _C7
        c = c * t + _C6
        c = c * t + _C5
        c = c * t + _C4
        c = c * t + _C3
        c = c * t + _C2
        c = c * t + _C1
        c = c * t + _C0
        radius = -radius if quarter >= 2 else radius
        odd = (quarter & 1) == 1
        first = -s if odd else c  # a quarter turn further on, (c, s) is (-s, c)
        second = c if odd else s
        drawn[i] = radius * first
        drawn[half + i] = radius * second


@helper
def refill(noise, rng, drawn, slope):  # type: ignore[no-untyped-def]
    """Fill `drawn` (n,), n even, with base noise, and `slope` (n,) with minus the derivatives of its log density there.

    That is the number itself where it is normal, and `slope` is left as it is: the loops read one for the other.
    """
    if noise == GAUSSIAN:
        normals(rng, drawn)
    else:
        for i in range(drawn.shape[0]):
            slope[i] = rng.random()
        for i in range(drawn.shape[0]):
            u = inside(slope[i])
            drawn[i] = logarithm(u) - logarithm(1.0 - u)
            slope[i] = 2.0 * u - 1.0


@helper
def height(noise, number):  # type: ignore[no-untyped-def]
    """The log density of one number of base noise."""
    if noise == GAUSSIAN:
        return -0.5 * number * number - _HALF_LOG_2PI
    size = abs(number)
    return -size - 2.0 * logarithm(1.0 + exp_minus(size))
