"""Sparse logistic regression under the regularised horseshoe (Piironen and Vehtari, EJS 11, 2017), non-centred.

    intercept ~ N(0, 10)   tau ~ HalfCauchy(0, 0.02)   lambda_j ~ HalfCauchy(0, 1)   z_j ~ N(0, 1)
    coefficient_j = z_j / sqrt(1 / (tau lambda_j)^2 + 1 / 2.5^2)

The slab of width 2.5 bounds the coefficients: the breast cancer data can be separated, so that without it they would
have no mean. Coordinates: intercept, log tau, z_j, log lambda_j: twice the covariates and two. The scale of tau expects
a handful of the covariates to matter (equation 3.12). The density keeps every constant: its log normaliser is the log
evidence.
"""

import math

import numpy as np

from targets import logistic_regression, reference
from targets.kernel import Matrix, density, helper, kernel
from targets.logistic_regression import INTERCEPT_SD, likelihood, likelihood_density
from targets.target import Named, Target

GLOBAL = 0.02  # scale of tau
SLAB = 2.5  # the widest that a coefficient's prior becomes
WIDEST = 300.0  # logarithm; at such widths the slab, or zero, is all that is left

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_LOG_2_OVER_PI = math.log(2 / math.pi)


@helper
def _width(log_width):  # type: ignore[no-untyped-def]
    """The product tau lambda, held where its square is a number."""
    return math.exp(min(max(log_width, -WIDEST), WIDEST))


@helper
def _log_half_cauchy(u):  # type: ignore[no-untyped-def]
    """Log density of the log u of a half-Cauchy(0, 1) variable: log(2 / pi) - log(2 cosh u); its slope is -tanh u."""
    return _LOG_2_OVER_PI - abs(u) - math.log1p(math.exp(-2.0 * abs(u)))


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: as `targets.logistic_regression.likelihood`."""
    count = (x.shape[0] - 2) // 2
    coefficients, slope = np.empty(1 + count), np.empty(1 + count)
    coefficients[0] = x[0]
    for j in range(count):
        width = _width(x[1] + x[2 + count + j])
        coefficients[1 + j] = x[2 + j] * SLAB * width / math.sqrt(SLAB * SLAB + width * width)
    value = likelihood(coefficients, slope, data)
    to_tau, squares = 0.0, 0.0
    for j in range(count):
        raw, u = x[2 + j], x[2 + count + j]
        width = _width(x[1] + u)
        share = SLAB * SLAB / (SLAB * SLAB + width * width)  # d log of the coefficient / d log width
        pull = slope[1 + j] * coefficients[1 + j] * share
        to_tau += pull
        gradient[2 + j] = slope[1 + j] * width * math.sqrt(share) - raw
        gradient[2 + count + j] = pull - math.tanh(u)
        value += _log_half_cauchy(u)
        squares += raw * raw
    scaled = x[0] / INTERCEPT_SD
    gradient[0] = slope[0] - scaled / INTERCEPT_SD
    u = x[1] - math.log(GLOBAL)
    gradient[1] = to_tau - math.tanh(u)
    constant = (1 + count) * _HALF_LOG_2PI + math.log(INTERCEPT_SD)
    return value + _log_half_cauchy(u) - 0.5 * (squares + scaled * scaled) - constant


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`."""
    count = (x.shape[0] - 2) // 2
    coefficients = np.empty(1 + count)
    coefficients[0] = x[0]
    priors, squares = 0.0, (x[0] / INTERCEPT_SD) ** 2
    for j in range(count):
        raw, u = x[2 + j], x[2 + count + j]
        width = _width(x[1] + u)
        coefficients[1 + j] = raw * SLAB * width / math.sqrt(SLAB * SLAB + width * width)
        priors += _log_half_cauchy(u)
        squares += raw * raw
    constant = (1 + count) * _HALF_LOG_2PI + math.log(INTERCEPT_SD)
    value = likelihood_density(coefficients, data) + priors + _log_half_cauchy(x[1] - math.log(GLOBAL))
    return value - 0.5 * squares - constant


def horseshoe(*, dataset: str = "breast_cancer", n: int | None = None, dim: int | None = None, seed: int = 0) -> Target:
    """The posterior of a sparse logistic regression, with a certified truth where there is a certificate.

    Args:
        dataset: 'breast_cancer' (30 covariates, 62 coordinates) or 'synthetic', as in `logistic_regression`.
        n: rows of synthetic data, by default 1000.
        dim: coefficients of synthetic data, the intercept among them, by default 10; the posterior has 2 dim.
        seed: of the synthetic data.

    Raises:
        UsageError: another data set, or sizes that it does not take.
    """
    regression = logistic_regression.without_truth(dataset=dataset, n=n, dim=dim, seed=seed)
    names = regression.coordinates[1:]
    target = Target(
        name="horseshoe",
        dim=2 + 2 * len(names),
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=regression.data,
        coordinates=(
            "intercept",
            "log_tau",
            *(f"z[{name}]" for name in names),
            *(f"log_lambda[{name}]" for name in names),
        ),
        named=Named(regression.coordinates, _named),
        tags=regression.tags,
        description=f"sparse logistic regression on {len(names)} covariates, regularised horseshoe",
    )
    return reference.attach(target)


def _named(x: Matrix) -> Matrix:
    """The intercept and the coefficients; tau and lambda have tails so heavy that they have no mean."""
    count = (x.shape[1] - 2) // 2
    narrow = np.exp(-2 * np.clip(x[:, 1:2] + x[:, 2 + count :], -WIDEST, WIDEST))  # 1 / (tau lambda)^2
    return np.hstack([x[:, :1], x[:, 2 : 2 + count] / np.sqrt(narrow + SLAB**-2)])
