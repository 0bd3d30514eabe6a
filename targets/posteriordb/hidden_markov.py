"""A hidden Markov model with two states, summed out by the forward recursion.

    0 < mu_1 < mu_2   mu_1 ~ N(3, 1)   mu_2 ~ N(10, 1)   y_t ~ N(mu_{z_t}, 1)

and theta1, theta2, the rows of the transition matrix, uniform on the simplex. The first state has weight one for each
state. Coordinates: log mu_1, log(mu_2 - mu_1), and the log odds of theta1[1] and theta2[1].
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

FIRST, SECOND = 3.0, 10.0  # prior means
SMALL = 1e-100  # forward probabilities that sum to less are scaled before they underflow

_LOG_2PI = math.log(2.0 * math.pi)


@kernel
def log_posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: y. Forward and backward recursions, scaled where they would underflow."""
    steps = data.shape[1]
    mu, gap = math.exp(x[0]), math.exp(x[1])
    other = mu + gap
    stay, leave, log_stay, log_leave = shares(x[2])
    back, keep, log_back, log_keep = shares(x[3])
    emit, emit_other = np.empty(steps), np.empty(steps)  # densities over the larger of the two
    ahead, ahead_other, scale = np.empty(steps), np.empty(steps), np.empty(steps)
    squares = 0.0
    for t in range(steps):
        u, v = data[0, t] - mu, data[0, t] - other
        away = gap * (0.5 * (mu + other) - data[0, t])  # the log ratio of the two densities
        small = exp_minus(abs(away))
        emit[t] = 1.0 if away > 0.0 else small
        emit_other[t] = small if away > 0.0 else 1.0
        squares += u * u if away > 0.0 else v * v
    here, there, logs = emit[0], emit_other[0], 0.0
    for t in range(steps):
        if t > 0:
            here, there = (here * stay + there * back) * emit[t], (here * leave + there * keep) * emit_other[t]
        weight = here + there
        scale[t] = 1.0
        if not weight > SMALL:
            scale[t] = 1.0 / weight
            logs += math.log(weight)
            here, there = here * scale[t], there * scale[t]
        ahead[t], ahead_other[t] = here, there
    weight = here + there
    later, later_other = 1.0 / weight, 1.0 / weight
    stays, leaves, backs, keeps, by_mu, by_other = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(steps - 1, -1, -1):
        by_mu += ahead[t] * later * (data[0, t] - mu)
        by_other += ahead_other[t] * later_other * (data[0, t] - other)
        if t > 0:
            one, two = emit[t] * (later * scale[t]), emit_other[t] * (later_other * scale[t])
            stays += ahead[t - 1] * one
            leaves += ahead[t - 1] * two
            backs += ahead_other[t - 1] * one
            keeps += ahead_other[t - 1] * two
            later, later_other = stay * one + leave * two, back * one + keep * two
    by_mu -= mu - FIRST
    by_other -= other - SECOND
    gradient[0] = (by_mu + by_other) * mu + 1.0
    gradient[1] = by_other * gap + 1.0
    gradient[2] = (stays - leaves) * stay * leave + leave - stay
    gradient[3] = (backs - keeps) * back * keep + keep - back
    prior = (mu - FIRST) ** 2 + (other - SECOND) ** 2
    jacobian = x[0] + x[1] + log_stay + log_leave + log_back + log_keep
    return jacobian + logs + math.log(weight) - 0.5 * (squares + prior + (steps + 2) * _LOG_2PI)


@density
def log_posterior_alone(x, data):  # type: ignore[no-untyped-def]
    """As `log_posterior`, without gradient."""
    mu, gap = math.exp(x[0]), math.exp(x[1])
    other = mu + gap
    stay, leave, log_stay, log_leave = shares(x[2])
    back, keep, log_back, log_keep = shares(x[3])
    here, there, logs, squares = 0.0, 0.0, 0.0, 0.0
    for t in range(data.shape[1]):
        u, v = data[0, t] - mu, data[0, t] - other
        away = gap * (0.5 * (mu + other) - data[0, t])
        small = exp_minus(abs(away))
        squares += u * u if away > 0.0 else v * v
        before, before_other = here * stay + there * back, here * leave + there * keep
        if t == 0:
            before, before_other = 1.0, 1.0
        here = before if away > 0.0 else before * small
        there = before_other * small if away > 0.0 else before_other
        weight = here + there
        if not weight > SMALL:
            logs += math.log(weight)
            here, there = here / weight, there / weight
    prior = (mu - FIRST) ** 2 + (other - SECOND) ** 2
    jacobian = x[0] + x[1] + log_stay + log_leave + log_back + log_keep
    return jacobian + logs + math.log(here + there) - 0.5 * (squares + prior + (data.shape[1] + 2) * _LOG_2PI)


def _named(x: Matrix) -> Mapping[str, Any]:
    mu = np.exp(x[:, 0])
    return {
        "theta1": np.column_stack([share(x[:, 2]), share(-x[:, 2])]),
        "theta2": np.column_stack([share(x[:, 3]), share(-x[:, 3])]),
        "mu": np.column_stack([mu, mu + np.exp(x[:, 1])]),
    }


def _unconstrain(parameters: Values) -> Matrix:
    mu, first, second = parameters["mu"], parameters["theta1"], parameters["theta2"]
    odds = [log_odds(first[:, 0], first[:, 1]), log_odds(second[:, 0], second[:, 1])]
    return np.column_stack([np.log(mu[:, 0]), np.log(mu[:, 1] - mu[:, 0]), *odds])


def hmm_example() -> Target:
    """A hidden Markov model with two states of a series of 100."""
    return posterior(
        "hmm_example-hmm_example",
        kernel=log_posterior,
        density=log_posterior_alone,
        data=lambda given: np.asarray(given["y"])[None],
        coordinates=("log_mu[1]", "log_gap", "logit_theta1[1]", "logit_theta2[1]"),
        named=_named,
        unconstrain=_unconstrain,
        tags=frozenset({"synthetic", "time-series"}),
        description="a hidden Markov model with two states of a series of 100",
    )
