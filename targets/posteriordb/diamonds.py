"""Log prices of 5,000 diamonds on 24 covariates, polynomials and their products: hard, since nearly collinear.

With Xc the covariates less their means:

    b ~ N(0, 1)   Intercept ~ StudentT(3, 8, 10)   sigma ~ HalfStudentT(3, 0, 10)   Y ~ N(Intercept + Xc b, sigma)

As in `regressions`, the data enter through the least squares fit. Centred covariates
are orthogonal to the intercept, and the 24 coefficients fill three registers. Coordinates: b, Intercept, log sigma.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from targets.kernel import Matrix, density, lean_kernel
from targets.lanes import add, fma, load, splat, store, subtract, total
from targets.options import require
from targets.posteriordb.build import posterior
from targets.posteriordb.folder import Values
from targets.posteriordb.regressions import least_squares
from targets.target import Target

SIZE = 24
CENTRE, SCALE, DF = 8.0, 10.0, 3.0  # of the intercept's prior; sigma's has the same scale and degrees of freedom

_LOG_2PI = math.log(2.0 * math.pi)
_STUDENT = math.lgamma(0.5 * (DF + 1.0)) - math.lgamma(0.5 * DF) - 0.5 * math.log(DF * math.pi) - math.log(SCALE)
_CONSTANT = 2.0 * _STUDENT + math.log(2.0) - 0.5 * SIZE * _LOG_2PI


@lean_kernel
def log_posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Rows: the Gram matrix of Xc, (24, 24); the least squares fit b; a row that begins with n, rss, the mean of Y."""
    zero = splat(0.0)
    pull0, pull1, pull2 = zero, zero, zero
    for j in range(SIZE):
        away = splat(x[j] - data[SIZE, j])
        pull0 = fma(load(data, SIZE * j), away, pull0)
        pull1 = fma(load(data, SIZE * j + 8), away, pull1)
        pull2 = fma(load(data, SIZE * j + 16), away, pull2)
    x0, x1, x2 = load(x, 0), load(x, 8), load(x, 16)
    squared = fma(subtract(x0, load(data, SIZE * SIZE)), pull0, zero)
    squared = fma(subtract(x1, load(data, SIZE * SIZE + 8)), pull1, squared)
    squared = fma(subtract(x2, load(data, SIZE * SIZE + 16)), pull2, squared)
    prior = total(fma(x0, x0, fma(x1, x1, fma(x2, x2, zero))))
    n, off = data[SIZE + 1, 0], x[SIZE] - data[SIZE + 1, 2]
    sigma = math.exp(x[SIZE + 1])
    weight = 1.0 / (sigma * sigma)
    minus = splat(-weight)
    store(gradient, 0, subtract(fma(minus, pull0, zero), x0))
    store(gradient, 8, subtract(fma(minus, pull1, zero), x1))
    store(gradient, 16, subtract(fma(minus, pull2, zero), x2))
    squares = weight * (data[SIZE + 1, 1] + total(squared) + n * off * off)
    z, s = (x[SIZE] - CENTRE) / SCALE, sigma / SCALE
    gradient[SIZE] = -weight * n * off - (DF + 1.0) / SCALE * z / (DF + z * z)
    gradient[SIZE + 1] = squares - n + 1.0 - (DF + 1.0) / (1.0 + DF / (s * s))
    tails = math.log(1.0 + z * z / DF) + math.log(1.0 + s * s / DF)
    value = _CONSTANT - 0.5 * n * _LOG_2PI - (n - 1.0) * x[SIZE + 1]
    return value - 0.5 * (squares + prior) - 0.5 * (DF + 1.0) * tails


@density
def log_posterior_alone(x, data):  # type: ignore[no-untyped-def]
    """As `log_posterior`, without gradient."""
    zero = splat(0.0)
    pull0, pull1, pull2 = zero, zero, zero
    for j in range(SIZE):
        away = splat(x[j] - data[SIZE, j])
        pull0 = fma(load(data, SIZE * j), away, pull0)
        pull1 = fma(load(data, SIZE * j + 8), away, pull1)
        pull2 = fma(load(data, SIZE * j + 16), away, pull2)
    x0, x1, x2 = load(x, 0), load(x, 8), load(x, 16)
    squared = fma(subtract(x0, load(data, SIZE * SIZE)), pull0, zero)
    squared = add(squared, fma(subtract(x1, load(data, SIZE * SIZE + 8)), pull1, zero))
    squared = add(squared, fma(subtract(x2, load(data, SIZE * SIZE + 16)), pull2, zero))
    prior = total(fma(x0, x0, fma(x1, x1, fma(x2, x2, zero))))
    n, off = data[SIZE + 1, 0], x[SIZE] - data[SIZE + 1, 2]
    sigma = math.exp(x[SIZE + 1])
    squares = (data[SIZE + 1, 1] + total(squared) + n * off * off) / (sigma * sigma)
    z, s = (x[SIZE] - CENTRE) / SCALE, sigma / SCALE
    tails = math.log(1.0 + z * z / DF) + math.log(1.0 + s * s / DF)
    value = _CONSTANT - 0.5 * n * _LOG_2PI - (n - 1.0) * x[SIZE + 1]
    return value - 0.5 * (squares + prior) - 0.5 * (DF + 1.0) * tails


def _data(given: Mapping[str, Any]) -> Matrix:
    covariates, y = given["X"][:, 1:], given["Y"]
    require(
        covariates.shape[1] == SIZE, f"diamonds-diamonds: {SIZE} covariates are expected, not {covariates.shape[1]}"
    )
    gram, best, rss = least_squares(covariates - covariates.mean(axis=0), y - y.mean())
    matrix = np.zeros((SIZE + 2, SIZE))
    matrix[:SIZE], matrix[SIZE] = gram, best
    matrix[SIZE + 1, :3] = len(y), rss, y.mean()
    return matrix


def _named(x: Matrix) -> Mapping[str, Any]:
    return {"b": x[:, :SIZE], "Intercept": x[:, SIZE], "sigma": np.exp(x[:, SIZE + 1])}


def _unconstrain(parameters: Values) -> Matrix:
    return np.column_stack([parameters["b"], parameters["Intercept"], np.log(parameters["sigma"])])


def diamonds_diamonds() -> Target:
    """Log prices of diamonds on 24 nearly collinear covariates."""
    return posterior(
        "diamonds-diamonds",
        kernel=log_posterior,
        density=log_posterior_alone,
        data=_data,
        coordinates=(*(f"b[{i}]" for i in range(1, SIZE + 1)), "Intercept", "log_sigma"),
        named=_named,
        unconstrain=_unconstrain,
        tags=frozenset({"real-data"}),
        description="log prices of diamonds on 24 nearly collinear covariates",
    )
