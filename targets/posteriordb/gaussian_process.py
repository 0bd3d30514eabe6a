"""Gaussian process regression of eleven simulated points, its three scales unknown.

    rho ~ Gamma(25, 4)   alpha ~ HalfN(0, 2)   sigma ~ HalfN(0, 1)   y ~ N(0, K)
    K_ij = alpha^2 exp(-(x_i - x_j)^2 / (2 rho^2)) + sigma [i = j]

where sigma is added as a variance. Coordinates: the logarithms of the three. With a = K^-1 y and W = a a' - K^-1, the
derivative of the likelihood is half the sum of W_ij dK_ij (Rasmussen and Williams 2006, equation 5.9).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from targets.exponential import exp_minus
from targets.kernel import Matrix, density, helper, kernel
from targets.posteriordb.build import posterior
from targets.posteriordb.folder import Values
from targets.target import Target

SHAPE, RATE = 25.0, 4.0
STEEPEST = 1e150  # so that slopes do not overflow where a correlation is next to zero
SINGULAR = 1e-8  # a pivot below this share of the diagonal is half rounding, and the density below exp(-10^6): zero

_LOG_2PI = math.log(2.0 * math.pi)
_CONSTANT = SHAPE * math.log(RATE) - math.lgamma(SHAPE) - _LOG_2PI - math.log(2.0) + 2.0 * math.log(2.0)


@helper
def correlations(data, scale, found):  # type: ignore[no-untyped-def]
    """found_ij = exp(-distance_ij scale), for all pairs."""
    n = data.shape[1]
    for i in range(n):
        for j in range(n):
            found[i, j] = exp_minus(data[i, j] * scale)


@helper
def factorise(found, variance, noise, factor):  # type: ignore[no-untyped-def]
    """Cholesky's lower factor of variance found + noise I; half its log determinant, or NaN where it is singular."""
    n = found.shape[0]
    product = 1.0
    least = SINGULAR * (variance + noise)
    for j in range(n):
        pivot = variance * found[j, j] + noise
        for k in range(j):
            pivot -= factor[j, k] * factor[j, k]
        if not pivot > least:
            return math.nan
        root = math.sqrt(pivot)
        inverse = 1.0 / root
        factor[j, j] = root
        product *= root
        for i in range(j + 1, n):
            total = variance * found[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            factor[i, j] = total * inverse
    return math.log(product)


@helper
def whiten(factor, data, white):  # type: ignore[no-untyped-def]
    """Set white = factor^-1 y, y the last row of the data; returns its squared length."""
    n = factor.shape[0]
    squares = 0.0
    for i in range(n):
        total = data[n, i]
        for k in range(i):
            total -= factor[i, k] * white[k]
        white[i] = total / factor[i, i]
        squares += white[i] * white[i]
    return squares


@kernel
def log_posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Rows: the squared distances of the points, (n, n); y."""
    n = data.shape[1]
    rho, alpha, sigma = math.exp(x[0]), math.exp(x[1]), math.exp(x[2])
    variance, scale = alpha * alpha, min(0.5 / (rho * rho), STEEPEST)
    found, factor, inverse, white = np.empty((n, n)), np.empty((n, n)), np.zeros((n, n)), np.empty(n)
    correlations(data, scale, found)
    half = factorise(found, variance, sigma, factor)
    if math.isnan(half):
        for i in range(3):
            gradient[i] = math.nan
        return math.nan
    squares = whiten(factor, data, white)
    for j in range(n):  # the inverse of the factor, column by column
        inverse[j, j] = 1.0 / factor[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for k in range(j, i):
                total += factor[i, k] * inverse[k, j]
            inverse[i, j] = -total / factor[i, i]
    for j in range(n - 1, -1, -1):  # a = factor^-T white, in place
        total = white[j]
        for k in range(j + 1, n):
            total -= factor[k, j] * white[k]
        white[j] = total / factor[j, j]
    by_rho, by_alpha, by_sigma = 0.0, 0.0, 0.0
    for i in range(n):
        for j in range(i + 1):
            total = white[i] * white[j]
            for k in range(i, n):
                total -= inverse[k, i] * inverse[k, j]
            weight = total * found[i, j]
            if i == j:
                by_sigma += total
                by_alpha += weight
            else:
                by_alpha += 2.0 * weight
                by_rho += 2.0 * weight * data[i, j]
    gradient[0] = variance * (scale * by_rho) + SHAPE - RATE * rho
    gradient[1] = variance * by_alpha + 1.0 - 0.25 * variance
    gradient[2] = 0.5 * sigma * by_sigma + 1.0 - sigma * sigma
    prior = SHAPE * x[0] - RATE * rho + x[1] + x[2] - 0.125 * variance - 0.5 * sigma * sigma
    return _CONSTANT + prior - half - 0.5 * (squares + n * _LOG_2PI)


@density
def log_posterior_alone(x, data):  # type: ignore[no-untyped-def]
    """As `log_posterior`, without gradient."""
    n = data.shape[1]
    rho, alpha, sigma = math.exp(x[0]), math.exp(x[1]), math.exp(x[2])
    variance = alpha * alpha
    found, factor, white = np.empty((n, n)), np.empty((n, n)), np.empty(n)
    correlations(data, min(0.5 / (rho * rho), STEEPEST), found)
    half = factorise(found, variance, sigma, factor)
    if math.isnan(half):
        return math.nan
    prior = SHAPE * x[0] - RATE * rho + x[1] + x[2] - 0.125 * variance - 0.5 * sigma * sigma
    return _CONSTANT + prior - half - 0.5 * (whiten(factor, data, white) + n * _LOG_2PI)


def _data(given: Mapping[str, Any]) -> Matrix:
    x = np.asarray(given["x"], dtype=np.float64)
    return np.vstack([(x[:, None] - x) ** 2, given["y"]])


def _named(x: Matrix) -> Mapping[str, Any]:
    rho, alpha, sigma = np.exp(x).T
    return {"rho": rho, "alpha": alpha, "sigma": sigma}


def _unconstrain(parameters: Values) -> Matrix:
    return np.column_stack([np.log(parameters[name]) for name in ("rho", "alpha", "sigma")])


def gp_regr() -> Target:
    """Gaussian process regression of eleven simulated points."""
    return posterior(
        "gp_pois_regr-gp_regr",
        kernel=log_posterior,
        density=log_posterior_alone,
        data=_data,
        coordinates=("log_rho", "log_alpha", "log_sigma"),
        named=_named,
        unconstrain=_unconstrain,
        tags=frozenset({"gaussian-process", "synthetic"}),
        description="Gaussian process regression of eleven points",
    )
