"""Coordinates without bounds for numbers with bounds, compiled for kernels and in NumPy for maps."""

import math

import numpy as np
from scipy.special import expit

from targets.exponential import log_one_plus
from targets.kernel import Vector, helper


@helper
def shares(x):  # type: ignore[no-untyped-def]
    """Give p = 1 / (1 + exp(-x)) and 1 - p, and their logarithms, each to full accuracy."""
    small = math.exp(-abs(x))
    inverse = 1.0 / (1.0 + small)
    log_inverse = -log_one_plus(small)
    if x < 0.0:
        return small * inverse, inverse, x + log_inverse, log_inverse
    return inverse, small * inverse, log_inverse, log_inverse - x


def share(x: Vector) -> Vector:
    """(n,) 1 / (1 + exp(-x))."""
    return np.asarray(expit(x))


def log_odds(p: Vector, rest: Vector) -> Vector:
    """(n,) log(p / rest), the inverse of `share` where p + rest = 1; `rest` is given so that nothing cancels."""
    return np.asarray(np.log(p) - np.log(rest))
