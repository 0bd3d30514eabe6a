"""Two normal components of 1,000 simulated numbers, told apart by the order of their means.

    mu_1 < mu_2   mu_k ~ N(0, 2)   sigma_k ~ HalfN(0, 2)   theta ~ Beta(5, 5)
    y ~ theta N(mu_1, sigma_1) + (1 - theta) N(mu_2, sigma_2)

Coordinates: mu_1, log(mu_2 - mu_1), log sigma_1, log sigma_2, and the log odds of theta.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from targets.exponential import exp_minus
from targets.kernel import Matrix, density, kernel
from targets.posteriordb.bounded import log_odds, share, shares
from targets.posteriordb.build import posterior
from targets.posteriordb.folder import Values
from targets.target import Target

PRIOR = 4.0  # the prior variance of each mean, and the squared scale of each sigma
BETA = 5.0
BLOCK = 512  # numbers in a row, at most: factors between one and two are multiplied before a logarithm is taken

_LOG_2PI = math.log(2.0 * math.pi)
# The means' two normals, the sigmas' two half normals, the beta; in the order that was chosen nothing is renormalised.
_CONSTANT = (
    -_LOG_2PI - math.log(PRIOR) + 2.0 * math.log(2.0) - _LOG_2PI - math.log(PRIOR)
    + math.lgamma(2.0 * BETA) - 2.0 * math.lgamma(BETA)
)  # fmt: skip


@kernel
def log_posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """The data: y, in rows of at most `BLOCK`."""
    n = data.size
    gap, first, second = math.exp(x[1]), math.exp(-2.0 * x[2]), math.exp(-2.0 * x[3])
    low, high = x[0], x[0] + gap
    theta, rest, log_theta, log_rest = shares(x[4])
    level, other = log_theta - x[2], log_rest - x[3]
    best, logs = 0.0, 0.0
    mass, one, two, other_one, other_two = 0.0, 0.0, 0.0, 0.0, 0.0
    for row in range(data.shape[0]):
        product = 1.0
        for i in range(data.shape[1]):
            u, v = data[row, i] - low, data[row, i] - high
            p, q = level - 0.5 * first * u * u, other - 0.5 * second * v * v
            small = exp_minus(abs(p - q))
            inverse = 1.0 / (1.0 + small)
            r = (1.0 if p > q else small) * inverse
            s = (small if p > q else 1.0) * inverse
            best += p if p > q else q  # noqa: FURB136
            product *= 1.0 + small
            mass += r
            one += r * u
            two += r * u * u
            other_one += s * v
            other_two += s * v * v
        logs += math.log(product)
    by_low, by_high = first * one - low / PRIOR, second * other_one - high / PRIOR
    variance, other_variance = 1.0 / first, 1.0 / second
    gradient[0] = by_low + by_high
    gradient[1] = by_high * gap + 1.0
    gradient[2] = first * two - mass - variance / PRIOR + 1.0
    gradient[3] = second * other_two - (n - mass) - other_variance / PRIOR + 1.0
    gradient[4] = mass * rest - (n - mass) * theta + BETA * (rest - theta)
    prior = (low * low + high * high + variance + other_variance) / PRIOR
    jacobian = x[1] + x[2] + x[3]
    return _CONSTANT + best + logs - 0.5 * (n * _LOG_2PI + prior) + jacobian + BETA * (log_theta + log_rest)


@density
def log_posterior_alone(x, data):  # type: ignore[no-untyped-def]
    """As `log_posterior`, without gradient."""
    n = data.size
    first, second = math.exp(-2.0 * x[2]), math.exp(-2.0 * x[3])
    low, high = x[0], x[0] + math.exp(x[1])
    _, _, log_theta, log_rest = shares(x[4])
    level, other = log_theta - x[2], log_rest - x[3]
    best, logs = 0.0, 0.0
    for row in range(data.shape[0]):
        product = 1.0
        for i in range(data.shape[1]):
            u, v = data[row, i] - low, data[row, i] - high
            p, q = level - 0.5 * first * u * u, other - 0.5 * second * v * v
            product *= 1.0 + exp_minus(abs(p - q))
            best += p if p > q else q  # noqa: FURB136
        logs += math.log(product)
    prior = (low * low + high * high + 1.0 / first + 1.0 / second) / PRIOR
    jacobian = x[1] + x[2] + x[3]
    return _CONSTANT + best + logs - 0.5 * (n * _LOG_2PI + prior) + jacobian + BETA * (log_theta + log_rest)


def _data(given: Mapping[str, Any]) -> Matrix:
    y = np.asarray(given["y"], dtype=np.float64)
    rows = next(rows for rows in range(1, len(y) + 1) if len(y) % rows == 0 and len(y) // rows <= BLOCK)
    return y.reshape(rows, -1)


def _named(x: Matrix) -> Mapping[str, Any]:
    return {
        "mu": np.column_stack([x[:, 0], x[:, 0] + np.exp(x[:, 1])]),
        "sigma": np.exp(x[:, 2:4]),
        "theta": share(x[:, 4]),
    }


def _unconstrain(parameters: Values) -> Matrix:
    mu, theta = parameters["mu"], parameters["theta"]
    gap = np.log(mu[:, 1] - mu[:, 0])
    return np.column_stack([mu[:, 0], gap, np.log(parameters["sigma"]), log_odds(theta, 1.0 - theta)])


def low_dim_gauss_mix() -> Target:
    """Two normal components of 1,000 simulated numbers."""
    return posterior(
        "low_dim_gauss_mix-low_dim_gauss_mix",
        kernel=log_posterior,
        density=log_posterior_alone,
        data=_data,
        coordinates=("mu[1]", "log_gap", "log_sigma[1]", "log_sigma[2]", "logit_theta"),
        named=_named,
        unconstrain=_unconstrain,
        tags=frozenset({"mixture", "synthetic"}),
        description="two normal components of 1,000 numbers",
    )
