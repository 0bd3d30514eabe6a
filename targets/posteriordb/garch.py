"""A GARCH(1,1) model of a simulated series, flat within its bounds.

    sigma_1 given   sigma_t^2 = alpha0 + alpha1 (y_{t-1} - mu)^2 + beta1 sigma_{t-1}^2   y_t ~ N(mu, sigma_t)

with alpha0 > 0, 0 < alpha1 < 1, 0 < beta1 < 1 - alpha1. Coordinates: mu, log alpha0, and the log odds of alpha1 and of
beta1 / (1 - alpha1).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from targets.kernel import Matrix, Vector, density, kernel
from targets.posteriordb.bounded import log_odds, share, shares
from targets.posteriordb.build import posterior
from targets.posteriordb.folder import Values
from targets.target import Target

_LOG_2PI = math.log(2.0 * math.pi)
LEVEL = np.array([5.0, 0.0, 0.0, 0.0])  # where chains start, about
SMALL, LARGE = 1e-100, 1e100  # between these a product of variances can take one more


@kernel
def log_posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: the square of sigma_1, then the series. The derivatives by the variances are carried backwards."""
    steps = data.shape[1] - 1
    mu, alpha0 = x[0], math.exp(x[1])
    alpha1, rest, log_alpha1, log_rest = shares(x[2])
    part, other, log_part, log_other = shares(x[3])
    beta1 = rest * part
    variance, slope, residual = np.empty(steps), np.empty(steps), np.empty(steps)
    now, product, logs = data[0, 0], 1.0, 0.0
    for t in range(steps):
        away = data[0, t + 1] - mu
        residual[t], variance[t] = away, now
        product *= now
        if not (product > SMALL and product < LARGE):
            logs += math.log(product)
            product = 1.0
        now = alpha0 + alpha1 * away * away + beta1 * now
    squares, by_mu = 0.0, 0.0
    for t in range(steps):
        inverse = 1.0 / variance[t]
        scaled = residual[t] * inverse
        squares += residual[t] * scaled
        by_mu += scaled
        slope[t] = 0.5 * (residual[t] * scaled - 1.0) * inverse
    carried, by_alpha0, by_alpha1, by_beta1 = 0.0, 0.0, 0.0, 0.0
    for t in range(steps - 1, 0, -1):
        carried = slope[t] + beta1 * carried
        by_alpha0 += carried
        by_alpha1 += carried * residual[t - 1] * residual[t - 1]
        by_beta1 += carried * variance[t - 1]
        by_mu -= 2.0 * alpha1 * carried * residual[t - 1]
    gradient[0] = by_mu
    gradient[1] = by_alpha0 * alpha0 + 1.0
    gradient[2] = (by_alpha1 - by_beta1 * part) * alpha1 * rest + 1.0 - 3.0 * alpha1
    gradient[3] = by_beta1 * rest * part * other + other - part
    jacobian = x[1] + log_alpha1 + 2.0 * log_rest + log_part + log_other
    return jacobian - 0.5 * (logs + math.log(product) + squares + steps * _LOG_2PI)


@density
def log_posterior_alone(x, data):  # type: ignore[no-untyped-def]
    """As `log_posterior`, without gradient."""
    steps = data.shape[1] - 1
    mu, alpha0 = x[0], math.exp(x[1])
    alpha1, rest, log_alpha1, log_rest = shares(x[2])
    part, _, log_part, log_other = shares(x[3])
    beta1 = rest * part
    now, product, logs, squares = data[0, 0], 1.0, 0.0, 0.0
    for t in range(steps):
        away = data[0, t + 1] - mu
        squares += away * away / now
        product *= now
        if not (product > SMALL and product < LARGE):
            logs += math.log(product)
            product = 1.0
        now = alpha0 + alpha1 * away * away + beta1 * now
    jacobian = x[1] + log_alpha1 + 2.0 * log_rest + log_part + log_other
    return jacobian - 0.5 * (logs + math.log(product) + squares + steps * _LOG_2PI)


def _data(given: Mapping[str, Any]) -> Matrix:
    return np.concatenate([[given["sigma1"] ** 2], given["y"]])[None]


def _named(x: Matrix) -> Mapping[str, Any]:
    alpha1 = share(x[:, 2])
    return {"mu": x[:, 0], "alpha0": np.exp(x[:, 1]), "alpha1": alpha1, "beta1": share(-x[:, 2]) * share(x[:, 3])}


def _unconstrain(parameters: Values) -> Matrix:
    alpha1, beta1 = parameters["alpha1"], parameters["beta1"]
    return np.column_stack(
        [
            parameters["mu"],
            np.log(parameters["alpha0"]),
            log_odds(alpha1, 1.0 - alpha1),
            log_odds(beta1, 1.0 - alpha1 - beta1),
        ]
    )


def _initial(rng: np.random.Generator) -> Vector:
    """Uniform within 2 of zero, but for mu, about the level of the series."""
    return LEVEL + rng.uniform(-2.0, 2.0, 4)


def garch_garch11() -> Target:
    """A GARCH(1,1) model of a simulated series of 200."""
    return posterior(
        "garch-garch11",
        kernel=log_posterior,
        density=log_posterior_alone,
        data=_data,
        coordinates=("mu", "log_alpha0", "logit_alpha1", "logit_beta1"),
        named=_named,
        unconstrain=_unconstrain,
        initial=_initial,
        tags=frozenset({"synthetic", "time-series"}),
        description="a GARCH(1,1) model of a series of 200",
    )
