"""Quantiles of a sum of two independent variables, by the trapezoidal rule over normal scores of one of them."""

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from targets.kernel import Matrix, Vector

_NODES = np.linspace(-8.5, 8.5, 161)  # the rule errs by less than 1e-12 where integrands are smooth
_SHARES = np.exp(-0.5 * _NODES**2) * (_NODES[1] - _NODES[0]) / math.sqrt(2 * math.pi)
_HALVINGS = 60


def gamma_nodes(shapes: Vector) -> Matrix:
    """(nodes, K) quantiles of Gamma(shape, 1) variables, each from the nearer tail."""
    scores = _NODES[:, None]
    low = special.gammaincinv(shapes, special.ndtr(np.minimum(scores, 0.0)))
    return np.where(scores < 0, low, special.gammainccinv(shapes, special.ndtr(-np.maximum(scores, 0.0))))


def of_sum(p: Matrix, nodes: Matrix, distribution: Callable[[Matrix], Matrix]) -> Matrix:
    """(m, K) quantiles, at p (m, 1), of the sum of a variable with values at the nodes, (nodes, K), and another one.

    `distribution` is the other's distribution function, (..., K) of (..., K).
    """

    def below(x: Matrix) -> Matrix:
        return np.asarray(np.einsum("i,imk->mk", _SHARES, distribution(x - nodes[:, None, :])))

    low = np.tile(nodes.min(axis=0) - 1.0, (len(p), 1))
    high = np.tile(nodes.max(axis=0) + 1.0, (len(p), 1))
    width = 1.0
    while np.any(below(low) > p) or np.any(below(high) < p):
        low, high, width = low - width, high + width, 2 * width
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        less = below(middle) < p
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return np.asarray(0.5 * (low + high))
