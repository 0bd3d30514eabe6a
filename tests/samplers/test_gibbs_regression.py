"""Gibbs sampling of linear regressions: the closed form, the joint law of parameters and data, and planted errors.

The joint law (Geweke 2004): parameters from the prior and data given them; then a few sweeps given these data leave the
parameters distributed as they were. Each repetition is independent of the others, so that means of paired differences
have known errors: an alarm at 5.5 of them is false once in 3e7. With the 800 repetitions here a shift of 0.27
standard deviations of the differences is found 98 times in 100.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from samplers.gibbs import linear_regression
from samplers.gibbs.regression import RegressionChain
from targets.conjugate.least_squares import triangle
from targets.conjugate.regression import LinearRegression, RegressionPrior
from targets.options import UsageError
from variational import BayesianLinearRegression

KINDS = ("ratio", "shared", "ard")
REPETITIONS, SWEEPS = 800, 6


def draw(prior: RegressionPrior, p: int, rng: np.random.Generator) -> np.ndarray:
    """Coefficients, noise precision, precisions."""
    noise = rng.gamma(prior.noise_shape, 1 / prior.noise_rate)
    precision = rng.gamma(prior.shape, 1 / prior.rate, {"ratio": 0, "shared": 1, "ard": p}[prior.kind])
    own = precision if len(precision) else prior.ratio * noise
    return np.concatenate([rng.standard_normal(p) / np.sqrt(own), [noise], precision])


def statistics(x: np.ndarray, p: int, y: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Of parameters (p + 1 + m,): squares, signs, logs of precisions, and what the data say of them."""
    coef, noise, precision = x[:p], x[p], x[p + 1 :]
    misfit = math.log(((y - X @ coef) ** 2).sum())
    logs = np.log(precision) if len(precision) else np.zeros(1)
    return np.concatenate([np.sign(coef), np.log(coef**2), [math.log(noise), misfit], logs])


def departure(prior: RegressionPrior, wrong: RegressionPrior, rows: int = 0) -> float:
    """Largest z of any statistic after sweeps of a chain that goes by the `wrong` prior, or counts more rows."""
    rng = np.random.default_rng(11)
    X = rng.standard_normal((6, 3)) @ [[1.0, 0.7, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.5]]
    p, moved = X.shape[1], []
    for _ in range(REPETITIONS):
        x = draw(prior, p, rng)
        y = X @ x[:p] + rng.standard_normal(len(X)) / math.sqrt(x[p])
        data = triangle(np.column_stack([X, y]), centred=False)
        chain = RegressionChain(LinearRegression(wrong, intercept=False), data, rng)
        chain.data = replace(data, n=data.n + rows)
        chain.state[:] = x[p:]
        after = np.empty((SWEEPS, len(x)))
        chain.advance(after)
        moved.append(statistics(after[-1], p, y, X) - statistics(x, p, y, X))
    shift = np.array(moved)
    return float(np.abs(shift.mean(axis=0) / (shift.std(axis=0) / math.sqrt(len(shift)) + 1e-300)).max())


@pytest.mark.parametrize("kind", KINDS)
def test_sweeps_keep_the_joint_law_and_planted_errors_do_not(kind: Any) -> None:
    prior = RegressionPrior(kind, 4.0, 3.0, 2.0, 3.0, 2.0)
    assert departure(prior, prior) < 5.5
    assert departure(prior, replace(prior, noise_shape=7.0)) > 5.5
    assert departure(prior, prior, rows=4) > 5.5
    assert departure(prior, replace(prior, shape=7.0, ratio=8.0)) > 5.5


@pytest.mark.parametrize("intercept", [False, True])
def test_draws_of_the_normal_gamma_posterior_are_independent_and_exact(intercept: bool) -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((12, 3)) + 1.0
    y = X @ [1.0, 0.0, -1.0] + rng.standard_normal(12)
    prior = RegressionPrior("ratio", 3.0, 2.0, 0.5)
    draws = linear_regression(X, y, prior, fit_intercept=intercept, num_samples=5000, num_warmup=0, seed=4)
    fitted = BayesianLinearRegression(
        prior="ratio", ratio=0.5, alpha_1=3.0, alpha_2=2.0, fit_intercept=intercept
    ).fit(X, y)  # fmt: skip
    n = draws.flat.shape[0]
    sd = np.sqrt(np.diagonal(fitted.sigma_))
    assert np.abs((draws.mean[:3] - fitted.coef_) / sd).max() < 5.5 / math.sqrt(n)
    assert np.abs(draws["coef"].std(axis=(0, 1)) / sd - 1).max() < 0.05
    noise = draws["noise_precision"]
    error = math.sqrt(fitted.alpha_shape_) / fitted.alpha_rate_ / math.sqrt(n)
    assert abs(noise.mean() - fitted.alpha_) < 5.5 * error
    if intercept:
        drawn = fitted.sample(20_000, random_state=1)["intercept"]
        assert abs(draws["intercept"].mean() - fitted.intercept_) < 5.5 * drawn.std() / math.sqrt(n)
        assert draws["intercept"].std() == pytest.approx(drawn.std(), rel=0.05)
    assert draws.ess_bulk.min() > 0.8 * n


@pytest.mark.parametrize("kind", KINDS)
def test_more_columns_than_rows(kind: Any) -> None:
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((4, 9)), rng.standard_normal(4)
    prior = RegressionPrior(kind, 3.0, 2.0, 1.0, 3.0, 2.0)
    draws = linear_regression(X, y, prior, num_samples=200, num_warmup=50, num_chains=2, seed=1, num_threads=2)
    again = linear_regression(X, y, prior, num_samples=200, num_warmup=50, num_chains=2, seed=1)
    np.testing.assert_array_equal(draws.values, again.values)
    assert np.isfinite(draws.values).all()
    assert draws["coef"].shape == (2, 200, 9) and draws["intercept"].shape == (2, 200)


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        ([[1.0, math.nan]], [1.0], "NaN"),
        ([[1.0], [2.0]], [1.0], "it takes X"),
        ([1.0], [1.0], "it takes X"),
        (np.empty((0, 2)), [], "one row"),
        ([["a"]], [1.0], "not numbers"),
    ],
)
def test_bad_data_are_refused(X: Any, y: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        linear_regression(X, y)


def test_constant_data_are_sampled() -> None:
    X = np.ones((5, 2))
    draws = linear_regression(X, np.full(5, 3.0), RegressionPrior("shared", 1.0, 1.0, 1.0, 1.0, 1.0), num_samples=500)
    assert np.isfinite(draws.values).all()
    total = draws["intercept"] + draws["coef"].sum(axis=-1)
    assert abs(total.mean() - 3.0) < 0.2
