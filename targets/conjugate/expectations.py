"""exp(digamma(x)), which Dirichlet expectations are made of, in straight-line arithmetic that compilers vectorise."""

import math

import numpy as np
from numba import float64, int64
from numba.core import types
from numba.extending import intrinsic

from targets.kernel import VECTOR, helper, loop

SMALLEST = 0.002  # below, exp(digamma(x)) is kept from underflowing: digamma(0.002) is -500.6

LOG2_E = math.log2(math.e)
LN_2 = math.log(2.0)
SHIFTED = 6755399441055744.0  # 1.5 * 2^52: the last bits of a double of this size are a whole number


@intrinsic
def _double(typing_context, bits):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """The double of these 64 bits."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return float64(int64), generate


@intrinsic
def _bits(typing_context, double):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """The 64 bits of this double."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return builder.bitcast(arguments[0], context.get_value_type(types.int64))

    return int64(float64), generate


@helper
def exponential(z):  # type: ignore[no-untyped-def]
    """exp(z) for z from -600 to 600, and at the nearer end beyond, to a few units in the last place."""
    z = min(max(z, -600.0), 600.0)
    whole = np.floor(z * LOG2_E + 0.5)
    r = z - whole * LN_2
    p = 1.0 / 479001600.0
    p = 1.0 / 39916800.0 + r * p
    p = 1.0 / 3628800.0 + r * p
    p = 1.0 / 362880.0 + r * p
    p = 1.0 / 40320.0 + r * p
    p = 1.0 / 5040.0 + r * p
    p = 1.0 / 720.0 + r * p
    p = 1.0 / 120.0 + r * p
    p = 1.0 / 24.0 + r * p
    p = 1.0 / 6.0 + r * p
    p = 0.5 + r * p
    p = 1.0 + r * p
    p = 1.0 + r * p
    return p * _double((_bits(whole + SHIFTED) + 1023) << 52)  # type: ignore[call-arg]


@helper
def exp_digamma(x):  # type: ignore[no-untyped-def]
    """exp(digamma(x)) for x from 0.002 (`SMALLEST`) to 1e30, to 1e-13 relative.

    digamma(x) is digamma(x + 8) less the sum of 1 / (x + i) over i = 0, ..., 7, which is one fraction in u = x (x + 7);
    that of y = x + 8 is log y and an asymptotic series (Abramowitz and Stegun 6.3.18), so that no logarithm is left.
    """
    y = x + 8.0
    u = x * (x + 7.0)
    below = u * (720.0 + u * (252.0 + u * (28.0 + u)))
    above = (2.0 * x + 7.0) * (720.0 + u * (504.0 + u * (84.0 + u * 4.0)))
    shared = 1.0 / (y * below)
    inverse = below * shared
    v = inverse * inverse
    series = v * (1 / 12 - v * (1 / 120 - v * (1 / 252 - v * (1 / 240 - v * (1 / 132 - v * (691 / 32760 - v / 12))))))
    return y * exponential(-0.5 * inverse - series - above * y * shared)


@loop(float64[::1](VECTOR))
def exp_digammas(x):  # type: ignore[no-untyped-def]
    """`exp_digamma` of each number."""
    values = np.empty_like(x)
    for i in range(x.shape[0]):
        values[i] = exp_digamma(x[i])
    return values
