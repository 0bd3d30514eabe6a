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
from targets.exponential import exp_minus
from targets.kernel import Matrix, Vector, density, helper, kernel
from targets.logistic_regression import BLOCK, INTERCEPT_SD, likelihood, likelihood_density, relabelled
from targets.target import Generative, Named, Target

GLOBAL = 0.02  # scale of tau
SLAB = 2.5  # the widest that a coefficient's prior becomes
WIDEST = 300.0  # logarithm; at such widths the slab, or zero, is all that is left

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_LOG_2_OVER_PI = math.log(2 / math.pi)


@helper
def _width(log_width):  # type: ignore[no-untyped-def]
    """The product tau lambda, held where its square is a number."""
    size = abs(log_width)
    size = WIDEST if size > WIDEST else size  # noqa: FURB136 (`min` would lose a NaN)
    small = exp_minus(size)
    return small if log_width < 0.0 else 1.0 / small


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: as `targets.logistic_regression.likelihood`.

    The log of a half-Cauchy(0, 1) variable has the log density log(2 / pi) - |u| - log(1 + exp(-2 |u|)), whose slope is
    -tanh u. One logarithm is taken of the product of all covariates' 1 + exp(-2 |u|).
    """
    count = (x.shape[0] - 2) // 2
    raw, scale, to_raw, to_scale = x[2 : 2 + count], x[2 + count :], gradient[2 : 2 + count], gradient[2 + count :]
    coefficients, slope = np.empty(1 + count), np.empty(1 + count)
    coefficients[0] = x[0]
    for j in range(count):
        width = _width(x[1] + scale[j])
        share = SLAB * SLAB / (SLAB * SLAB + width * width)  # d log of the coefficient / d log width
        to_scale[j] = share
        to_raw[j] = width * math.sqrt(share)
        coefficients[1 + j] = raw[j] * to_raw[j]
    value = likelihood(coefficients, slope, data)
    to_tau, squares, distance, logs = 0.0, 0.0, 0.0, 0.0
    for start in range(0, count, BLOCK):
        product = 1.0
        for k in range(min(BLOCK, count - start)):
            j = start + k
            pull = slope[1 + j] * coefficients[1 + j] * to_scale[j]
            to_tau += pull
            small = exp_minus(2.0 * abs(scale[j]))
            turn = (1.0 - small) / (1.0 + small)
            to_scale[j] = pull - (turn if scale[j] > 0.0 else -turn)
            to_raw[j] = slope[1 + j] * to_raw[j] - raw[j]
            product *= 1.0 + small
            distance += abs(scale[j])
            squares += raw[j] * raw[j]
        logs += math.log(product)
    scaled = x[0] / INTERCEPT_SD
    gradient[0] = slope[0] - scaled / INTERCEPT_SD
    u = x[1] - math.log(GLOBAL)
    gradient[1] = to_tau - math.tanh(u)
    distance += abs(u)
    logs += math.log1p(math.exp(-2.0 * abs(u)))
    constant = (1 + count) * (_HALF_LOG_2PI - _LOG_2_OVER_PI) + math.log(INTERCEPT_SD)
    return value - 0.5 * (squares + scaled * scaled) - distance - logs - constant


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`."""
    count = (x.shape[0] - 2) // 2
    coefficients = np.empty(1 + count)
    coefficients[0] = x[0]
    u = x[1] - math.log(GLOBAL)
    squares, distance, logs = (x[0] / INTERCEPT_SD) ** 2, abs(u), math.log1p(math.exp(-2.0 * abs(u)))
    for j in range(count):
        scale = x[2 + count + j]
        width = _width(x[1] + scale)
        coefficients[1 + j] = x[2 + j] * SLAB * width / math.sqrt(SLAB * SLAB + width * width)
        distance += abs(scale)
        logs += math.log(1.0 + exp_minus(2.0 * abs(scale)))
        squares += x[2 + j] * x[2 + j]
    constant = (1 + count) * (_HALF_LOG_2PI - _LOG_2_OVER_PI) + math.log(INTERCEPT_SD)
    return likelihood_density(coefficients, data) - 0.5 * squares - distance - logs - constant


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
        generative=_generative(regression.data[:, : 1 + len(names)], regression.data),
        description=f"sparse logistic regression on {len(names)} covariates, regularised horseshoe",
    )
    return reference.attach(target)


def _generative(signed: Matrix, data: Matrix) -> Generative:
    def prior(rng: np.random.Generator) -> Vector:
        count = signed.shape[1] - 1
        tau, scales = GLOBAL * abs(rng.standard_cauchy()), np.abs(rng.standard_cauchy(count))
        head = [INTERCEPT_SD * rng.standard_normal(), math.log(tau)]
        return np.concatenate([head, rng.standard_normal(count), np.log(scales)])

    return Generative(prior, lambda rng, x: relabelled(rng, data, signed @ _named(x[None])[0]), data[:0])


def _named(x: Matrix) -> Matrix:
    """The intercept and the coefficients; tau and lambda have tails so heavy that they have no mean."""
    count = (x.shape[1] - 2) // 2
    narrow = np.exp(-2 * np.clip(x[:, 1:2] + x[:, 2 + count :], -WIDEST, WIDEST))  # 1 / (tau lambda)^2
    return np.hstack([x[:, :1], x[:, 2 : 2 + count] / np.sqrt(narrow + SLAB**-2)])
