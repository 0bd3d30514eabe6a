"""Unconstrained coordinates of a mixture with full covariances, and what they name.

Component after component: log_g[k]; mean[k,a]; and row after row the lower triangle of the Cholesky factor L of the
precision L L', the logarithms on its diagonal: log_L[k,a,a] and L[k,a,b], a > b. weight_k = g_k / sum of g: the sum of
the g_k is one coordinate more than the weights need, and makes all relabellings plain exchanges of coordinates.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from targets.conjugate.mixture_model import MixtureParameters
from targets.kernel import Matrix

Array = npt.NDArray[np.float64]


def size(d: int) -> int:
    """Coordinates a component."""
    return 1 + d + d * (d + 1) // 2


class Parts(NamedTuple):
    """log_g (n, K), means (n, K, d), and the lower factors (n, K, d, d) of the precisions."""

    log_g: Matrix
    means: Array
    factors: Array


def parts(x: Matrix, components: int, d: int) -> Parts:
    """Of coordinates (n, dim)."""
    each = x.reshape(len(x), components, size(d))
    below, diagonal = np.tril_indices(d), np.arange(d)
    factors = np.zeros((len(x), components, d, d))
    factors[:, :, below[0], below[1]] = each[:, :, 1 + d :]
    with np.errstate(over="ignore"):
        factors[:, :, diagonal, diagonal] = np.exp(factors[:, :, diagonal, diagonal])
    return Parts(each[:, :, 0], each[:, :, 1 : 1 + d], factors)


def joined(found: Parts) -> Matrix:
    """The inverse of `parts`: coordinates (n, dim)."""
    n, components, d = found.means.shape
    below, diagonal = np.tril_indices(d), np.arange(d)
    factors = found.factors.copy()
    factors[:, :, diagonal, diagonal] = np.log(factors[:, :, diagonal, diagonal])
    triangle = factors[:, :, below[0], below[1]]
    return np.concatenate([found.log_g[:, :, None], found.means, triangle], axis=2).reshape(n, components * size(d))


def coordinates(parameters: Mapping[str, Array]) -> Matrix:
    """Coordinates (n, dim) of draws of `log_g` (n, K), `mean` (n, K, d) and `covariance` (n, K, d, d), by name."""
    factors = np.linalg.cholesky(np.linalg.inv(parameters["covariance"]))
    return joined(Parts(parameters["log_g"], parameters["mean"], factors))


def parameters_of(found: Parts) -> MixtureParameters:
    """Weights (n, K), means (n, K, d) and covariances (n, K, d, d)."""
    amounts = np.exp(found.log_g - found.log_g.max(axis=1, keepdims=True))
    inverse = np.linalg.inv(found.factors)
    return MixtureParameters(
        amounts / amounts.sum(axis=1, keepdims=True), found.means, inverse.swapaxes(-1, -2) @ inverse
    )


def coordinate_names(components: int, d: int) -> tuple[str, ...]:
    """In order."""
    axes = range(1, d + 1)
    return tuple(
        name
        for k in range(1, components + 1)
        for name in (
            f"log_g[{k}]",
            *(f"mean[{k},{a}]" for a in axes),
            *(f"log_L[{k},{a},{a}]" if a == b else f"L[{k},{a},{b}]" for a in axes for b in axes if b <= a),
        )
    )


def names_of_moments(components: int, d: int, prefix: str = "") -> tuple[str, ...]:
    """What `moments` gives: weights where there are several, means, standard deviations, and correlations."""
    axes = range(1, d + 1)
    return tuple(
        f"{prefix}{name}"
        for k in range(1, components + 1)
        for name in (
            *([f"weight[{k}]"] if components > 1 else []),
            *(f"mean[{k},{a}]" for a in axes),
            *(f"sd[{k},{a}]" for a in axes),
            *(f"correlation[{k},{a},{b}]" for a, b in itertools.combinations(axes, 2)),
        )
    )


def moments(parameters: MixtureParameters) -> Array:
    """(n, K, m): weight, if there are several; means, standard deviations and correlations of every component."""
    d = parameters.means.shape[2]
    sd = np.sqrt(np.diagonal(parameters.covariances, axis1=2, axis2=3))
    above = np.triu_indices(d, 1)
    correlations = (parameters.covariances / (sd[..., None] * sd[..., None, :]))[:, :, above[0], above[1]]
    weights = [parameters.weights[:, :, None]] if parameters.weights.shape[1] > 1 else []
    return np.concatenate([*weights, parameters.means, sd, correlations], axis=2)


def ordered(found: Array) -> Array:
    """The several components of `moments` (n, K, m) in the order of the first coordinate of their means."""
    return np.take_along_axis(found, np.argsort(found[:, :, 1], axis=1, kind="stable")[:, :, None], axis=1)
