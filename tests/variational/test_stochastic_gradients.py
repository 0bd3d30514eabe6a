"""Every estimator of every objective against exact gradients: closed forms, and quadrature in one dimension."""

from collections.abc import Callable

import numpy as np
import pytest

import targets
from targets.blocks import shuffled
from targets.kernel import Vector
from targets.protocols import Work
from targets.target import Target
from variational.gaussian import Gaussian
from variational.stochastic.plan import Plan, plan
from variational.stochastic.state import State, approximation

GAUSSIAN = targets.load("correlated_gaussian", dim=3, rho=0.6)
BIMODAL = targets.load("bimodal_mixture", dim=1, separation=3.0, weight=0.3)
SIGMAS = 6.0  # of a mean of thousands of gradients: false alarms of all parameters here together below 1e-6
STEPS = 40_000
POWER = 0.5  # of some entry of the gradient: an error that would be seen at twice the limit

COMPOSITIONS = [
    (family, noise, estimator, draws)
    for family, noise in (
        ("meanfield", "gaussian"),
        ("meanfield", "logistic"),
        ("fullrank", "gaussian"),
        ("fullrank", "logistic"),
        ("lowrank", "gaussian"),
    )
    for estimator, draws in (
        ("reparameterised", 2),
        ("reparameterised", 3),
        ("sticking_the_landing", 2),
        ("sticking_the_landing", 3),
        ("score", 1),
        ("score_cv", 3),
        ("rao_blackwell", 1),
        ("relax", 3),
    )
    if (estimator != "rao_blackwell" or family == "meanfield") and (estimator != "relax" or family != "lowrank")
]


def composed(family: str, noise: str, estimator: str, draws: int, alpha: float = 1.0) -> Plan:
    return plan("test", family, 2, noise, estimator, alpha, draws, 0.1, 0.05, None)


def somewhere(made: Plan, dim: int) -> State:
    """A state off every optimum, with a scale that is not diagonal."""
    rng = np.random.default_rng(11)
    state = State.at(made, 1 + rng.normal(size=dim) * 0.5, np.exp(rng.normal(size=dim) * 0.2 - 0.5), rng, None)
    state.vectors.theta[dim:] += 0.3 * rng.normal(size=len(state.vectors.theta) - dim)
    return state


def slope(value: Callable[[Vector], float], theta: Vector, step: float = 1e-5) -> Vector:
    """The gradient of a function of the parameters by central differences."""
    unit = step * np.eye(len(theta))
    return np.array([(value(theta + e) - value(theta - e)) / (2 * step) for e in unit])


def elbo_of_gaussian(made: Plan, target: Target) -> Callable[[Vector], float]:
    """E_q [log p - log q] but for a constant: it depends on q's moments and the determinant of its scale alone."""
    assert target.gaussian is not None
    mean, precision = target.gaussian.mean, target.gaussian.precision

    def value(theta: Vector) -> float:
        q = approximation(made, target.dim, theta)
        offset = q.mean - mean
        return q.half_log_determinant - 0.5 * float(np.sum(precision * q.covariance) + offset @ precision @ offset)

    return value


def t_statistics(gradients: np.ndarray, exact: Vector) -> tuple[Vector, Vector]:
    """How many standard errors the means lie from `exact`, and the standard errors."""
    error = gradients.std(axis=0, ddof=1) / np.sqrt(len(gradients)) + 1e-9
    return (gradients.mean(axis=0) - exact) / error, error


def demand_unbiased(gradients: np.ndarray, exact: Vector) -> None:
    t, error = t_statistics(gradients, exact)
    assert np.max(np.abs(t)) < SIGMAS
    assert POWER * np.max(np.abs(exact) / error) > 2 * SIGMAS, "too few gradients to see an error"


@pytest.mark.parametrize(("family", "noise", "estimator", "draws"), COMPOSITIONS)
def test_elbo_gradients_are_unbiased(family: str, noise: str, estimator: str, draws: int) -> None:
    made = composed(family, noise, estimator, draws)
    state, rng = somewhere(made, GAUSSIAN.dim), np.random.default_rng(3)
    exact = slope(elbo_of_gaussian(made, GAUSSIAN), state.vectors.theta)
    demand_unbiased(state.gradients(GAUSSIAN, rng, STEPS, Work()), exact)


def bound_by_quadrature(made: Plan, alpha: float) -> Callable[[Vector], float]:
    """The variational Renyi bound of two draws in one dimension, by Gauss-Hermite quadrature on 120 x 120 nodes."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()

    def value(theta: Vector) -> float:
        q = approximation(made, 1, theta)
        assert isinstance(q, Gaussian)
        points = q.colour(nodes[:, None])
        ratio = BIMODAL.log_densities(points) - q.log_density(points)
        first, second = ratio[:, None], ratio[None, :]
        pair = np.logaddexp((1 - alpha) * first, (1 - alpha) * second) - np.log(2)
        return float(weights @ (pair / (1 - alpha)) @ weights)

    return value


@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("estimator", ["reparameterised", "sticking_the_landing", "score", "score_cv"])
def test_gradients_of_renyi_and_importance_weighted_bounds_are_unbiased(alpha: float, estimator: str) -> None:
    made = composed("meanfield", "gaussian", estimator, 2, alpha)
    rng = np.random.default_rng(5)
    state = State.at(made, np.array([0.4]), np.array([1.2]), rng, None)
    exact = slope(bound_by_quadrature(made, alpha), state.vectors.theta)
    demand_unbiased(state.gradients(BIMODAL, rng, STEPS, Work()), exact)


@pytest.mark.parametrize("estimator", ["reparameterised", "sticking_the_landing", "score_cv"])
def test_renyi_gradients_of_low_rank_are_those_of_the_same_gaussian(estimator: str) -> None:
    """Of its mean, and along a change of the size of its covariance, which a dense scale can make as well."""
    dense, low = (composed(family, "gaussian", estimator, 3, 0.5) for family in ("fullrank", "lowrank"))
    state, rng = somewhere(low, GAUSSIAN.dim), np.random.default_rng(6)
    q = approximation(low, GAUSSIAN.dim, state.vectors.theta)
    other = State.at(dense, q.mean, np.ones(3), rng, None)
    factor = np.linalg.cholesky(q.covariance)
    np.fill_diagonal(factor, np.log(np.diagonal(factor)))
    other.vectors.theta[3:] = factor[np.tril_indices(3)]
    first, second = (each.gradients(GAUSSIAN, rng, STEPS, Work()) for each in (state, other))
    grown_low = np.concatenate([np.ones(3), state.vectors.theta[6:]])
    grown_dense = np.where(np.isin(np.arange(6), [0, 2, 5]), 1.0, other.vectors.theta[3:])
    a = np.column_stack([first[:, :3], first[:, 3:] @ grown_low])
    b = np.column_stack([second[:, :3], second[:, 3:] @ grown_dense])
    error = np.sqrt((a.var(axis=0) + b.var(axis=0)) / STEPS)
    assert np.max(np.abs(a.mean(axis=0) - b.mean(axis=0)) / error) < SIGMAS
    assert POWER * np.max(np.abs(b.mean(axis=0)) / error) > 2 * SIGMAS


@pytest.mark.parametrize("estimator", ["reparameterised", "score_cv", "rao_blackwell"])
def test_gradients_of_mini_batches_are_unbiased(estimator: str) -> None:
    target = targets.load("logistic_regression", dataset="synthetic", n=210, dim=3)
    draws = 1 if estimator == "rao_blackwell" else 2
    made = composed("meanfield", "gaussian", estimator, draws)
    rng = np.random.default_rng(8)
    mean, sd = np.full(3, 0.3), np.full(3, 0.3)
    part = State.at(made, mean, sd, rng, shuffled(target, rng, 50))
    exact = composed("meanfield", "gaussian", "reparameterised", 2)
    whole = State.at(exact, mean, sd, rng, None).gradients(target, rng, 2 * STEPS, Work())
    work = Work()
    sampled = part.gradients(target, rng, 2 * STEPS, work)
    blocks = sampled.reshape(-1, 4, 6).mean(axis=1)  # an epoch of four blocks, which are not independent
    error = np.sqrt(blocks.var(axis=0) / len(blocks) + whole.var(axis=0) / len(whole))
    gap = blocks.mean(axis=0) - whole.mean(axis=0)
    assert np.max(np.abs(gap) / error) < SIGMAS
    assert POWER * np.max(np.abs(whole.mean(axis=0)) / error) > 2 * SIGMAS
    calls = 2 * STEPS * draws * (4 if estimator == "rao_blackwell" else 1)
    assert work.row_evaluations == calls * 210 // 4 and work.gradient_evaluations == calls // 4


def test_planted_errors_are_caught() -> None:
    """A sign, a missing factor of the scale, a missing entropy, and the gradient that takes draws as fixed."""
    made = composed("meanfield", "gaussian", "reparameterised", 2)
    state, rng = somewhere(made, GAUSSIAN.dim), np.random.default_rng(3)
    exact = slope(elbo_of_gaussian(made, GAUSSIAN), state.vectors.theta)
    right = state.gradients(GAUSSIAN, rng, STEPS, Work())
    without_factor, without_entropy = right.copy(), right.copy()
    without_factor[:, 3:] = 1 + (right[:, 3:] - 1) / np.exp(state.vectors.theta[3:])
    without_entropy[:, 3:] -= 1
    standard = rng.standard_normal((STEPS, 3))
    naive = np.hstack([-standard / np.exp(state.vectors.theta[3:]), 1 - standard**2])
    for wrong in (-right, without_factor, without_entropy, naive):
        assert np.max(np.abs(t_statistics(wrong, exact)[0])) > 2 * SIGMAS


def test_bounds_are_ordered_in_expectation() -> None:
    """ELBO <= importance-weighted ELBO <= log normaliser, for a q that is known, with the exact gap of the first."""
    assert GAUSSIAN.truth is not None
    made = composed("meanfield", "gaussian", "reparameterised", 2)
    state = somewhere(made, GAUSSIAN.dim)
    q = approximation(made, GAUSSIAN.dim, state.vectors.theta)
    points = q.sample(np.random.default_rng(9), 40_000)
    ratios = (GAUSSIAN.log_densities(points) - q.log_density(points)).reshape(-1, 10)
    elbo, weighted = ratios.mean(axis=1), np.logaddexp.reduce(ratios, axis=1) - np.log(10)
    gap = weighted - elbo
    assert np.all(gap >= 0)  # Jensen's inequality, draw by draw
    assert gap.mean() > SIGMAS * gap.std() / np.sqrt(len(gap))
    assert weighted.mean() < GAUSSIAN.truth.log_normaliser + SIGMAS * weighted.std() / np.sqrt(len(weighted))
    constant = GAUSSIAN.log_densities(GAUSSIAN.truth.moments.mean[None, :])[0]
    exact = elbo_of_gaussian(made, GAUSSIAN)(state.vectors.theta) + constant + 1.5 * (1 + np.log(2 * np.pi))
    assert abs(elbo.mean() - exact) < SIGMAS * elbo.std() / np.sqrt(len(elbo))
