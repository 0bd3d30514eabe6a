"""Bayesian linear regression: exact where it is conjugate, monotone elsewhere, beside scikit-learn's, hostile data."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_t
from sklearn.datasets import load_diabetes
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import ARDRegression, BayesianRidge
from sklearn.utils.estimator_checks import check_estimator

import targets
from targets.conjugate.least_squares import triangle
from tests.ascents import QUARTERS, assert_caught, assert_rises, plant
from tests.tiers import always
from variational import BayesianLinearRegression
from variational.conjugate.regression_factors import Relevance, Shared
from variational.registry import method

PRIORS = ("ratio", "shared", "ard")


def data(seed: int, n: int = 40, p: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) + 3.0
    return X, X @ rng.standard_normal(p) + 0.7 * rng.standard_normal(n) + 2.0


@pytest.mark.parametrize(("n", "p"), [(30, 4), (3, 7), (1, 2)])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_bound_of_the_normal_gamma_model_is_the_log_evidence(n: int, p: int, intercept: bool) -> None:
    """Student's t of all responses; of their contrasts, times n^(-1/2), where the intercept is integrated out."""
    X, y = data(n + p, n, p)
    fitted = BayesianLinearRegression(prior="ratio", ratio=0.7, alpha_1=2.0, alpha_2=1.5, fit_intercept=intercept)
    bound = fitted.fit(X, y).lower_bound_
    evidence = 0.0
    if intercept:
        contrasts = np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, 1:]]))[0][:, 1:].T
        X, y, evidence = contrasts @ X, contrasts @ y, -0.5 * np.log(n)
    if len(y):
        evidence += float(multivariate_t(np.zeros(len(y)), 0.75 * (np.eye(len(y)) + X @ X.T / 0.7), df=4).logpdf(y))
    assert bound == pytest.approx(evidence, abs=1e-8 * max(1.0, abs(evidence)))


@pytest.mark.parametrize("quarter", QUARTERS)
@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(PRIORS), st.booleans(), st.integers(1, 25), st.integers(1, 9))
def test_no_sweep_lowers_the_bound(quarter: int, seed: int, prior: Any, intercept: bool, n: int, p: int) -> None:
    """Over random sizes, scales, collinear and constant columns.

    Where the response is millions of times as wide as the noise, rounding it moves the bound by more than 1e-9 of that.
    """
    rng = np.random.default_rng([seed, quarter])
    X = rng.standard_normal((n, p)) * 10.0 ** rng.integers(-4, 5, p)
    if p > 2 and rng.random() < 0.5:
        X[:, 0] = X[:, 1] + 1e-9 * X[:, 2]
    if rng.random() < 0.3:
        X[:, -1] = 5.0
    y = rng.standard_normal(n) * 10.0 ** rng.integers(-3, 4) + X @ rng.standard_normal(p) * rng.integers(2)
    shapes = dict(zip(("alpha_1", "alpha_2", "lambda_1", "lambda_2"), 10.0 ** rng.uniform(-6, 1, 4), strict=True))
    fitted = BayesianLinearRegression(prior=prior, fit_intercept=intercept, tol=0.0, max_iter=40, **shapes).fit(X, y)
    assert_rises(fitted.lower_bounds_, np.finfo(float).eps * n * np.abs(y).max() * np.sqrt(fitted.alpha_))


@pytest.mark.parametrize(
    ("owner", "right", "wrong", "prior"),
    [
        (Shared, "+ self.squares @ variance", "+ 0.2 * (self.squares @ variance)", "shared"),
        (Relevance, "0.5 * (self.mean**2 + variance)", "0.5 * (self.mean**2 + 0.2 * variance)", "ard"),
    ],
)
def test_a_fault_in_an_update_lowers_it(
    owner: type, right: str, wrong: str, prior: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, owner, "_swept", right, wrong)
    options = {"quarter": 0, "prior": prior, "intercept": True, "n": 20, "p": 4}
    assert_caught(test_no_sweep_lowers_the_bound, ({"seed": s, **options} for s in range(20)))


@pytest.mark.parametrize("prior", PRIORS)
def test_the_bound_is_the_mean_of_the_log_density_less_that_of_q(prior: str) -> None:
    """On the target of the race, whose density keeps every constant."""
    target = targets.load("linear_regression", prior=prior)
    run = method("vbem").start(target, 1)
    run.advance(1000)
    q = run.approximation()
    assert q is not None
    x = q.sample(np.random.default_rng(3), 4000)
    log_q = q.log_density(x)
    assert log_q is not None
    ratios = target.log_densities(x) - log_q
    error = max(5.5 * float(ratios.std()) / np.sqrt(len(x)), 1e-8)
    assert run.diagnostics()["bound"] == pytest.approx(ratios.mean(), abs=error)
    if prior == "ratio":
        assert target.truth is not None
        assert run.diagnostics()["bound"] == pytest.approx(target.truth.log_normaliser, abs=1e-8)
    z = (x.mean(axis=0) - q.mean) / np.sqrt(np.diagonal(q.covariance) / len(x))
    assert np.abs(z).max() < 5.5
    assert np.abs(x.std(axis=0) / np.sqrt(np.diagonal(q.covariance)) - 1).max() < 0.09
    ranks = (x < q.quantiles(np.array([0.1, 0.5, 0.9]))[:, None, :]).mean(axis=1)
    assert np.abs(ranks - [[0.1], [0.5], [0.9]]).max() < 5.5 * 0.5 / np.sqrt(len(x))


def test_scikit_learn_agrees_on_the_diabetes_data() -> None:
    """The same model: it maximises over the two precisions where q averages, which differs by 1 in n + 1 or so."""
    X, y = load_diabetes(return_X_y=True)
    X = X * np.sqrt(len(X))
    ours, theirs = BayesianLinearRegression().fit(X, y), BayesianRidge(tol=1e-8).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-3 * np.abs(theirs.coef_).max())
    assert ours.alpha_ == pytest.approx(theirs.alpha_, rel=5e-3)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-9)
    np.testing.assert_allclose(ours.sigma_, theirs.sigma_, atol=1e-2 * np.abs(theirs.sigma_).max())
    sparse = BayesianLinearRegression(prior="ard").fit(X, y)
    peer = ARDRegression(threshold_lambda=1e12, max_iter=2000, tol=1e-8).fit(X, y)
    np.testing.assert_allclose(sparse.coef_, peer.coef_, atol=2e-3 * np.abs(peer.coef_).max())


@pytest.mark.parametrize("prior", PRIORS)
def test_rows_in_parts_are_all_rows(prior: Any) -> None:
    X, y = data(3, 9000, 4)  # more than a block
    whole = BayesianLinearRegression(prior=prior).fit(X, y)
    parts = BayesianLinearRegression(prior=prior)
    for start in (0, 2, 3, 5000):
        end = {0: 2, 2: 3, 3: 5000, 5000: 9000}[start]
        parts.partial_fit(X[start:end], y[start:end])
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-9)
    assert parts.lower_bound_ == pytest.approx(whole.lower_bound_, rel=1e-11)


def test_a_triangle_keeps_the_digits_of_collinear_columns() -> None:
    """Squares of these would lose the difference of the first two columns, which is 1e-9 of either."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((5000, 4))
    rows[:, 1] = rows[:, 0] + 1e-9 * rows[:, 1]
    factor = triangle(rows, centred=False).factor
    difference = np.array([1.0, -1.0, 0.0, 0.0])
    assert np.linalg.norm(factor @ difference) == pytest.approx(np.linalg.norm(rows @ difference), rel=1e-5)
    assert np.linalg.norm(factor[:, 3]) == pytest.approx(np.linalg.norm(rows[:, 3]), rel=1e-12)


@pytest.mark.parametrize("prior", PRIORS)
def test_predictive_sds_are_those_of_draws(prior: Any) -> None:
    X, y = data(5)
    fitted = BayesianLinearRegression(prior=prior).fit(X, y)
    mean, sd = fitted.predict(X[:6], return_std=True)
    drawn = fitted.sample_y(X[:6], 20_000, random_state=1)
    assert np.abs((drawn.mean(axis=1) - mean) / sd).max() < 5.5 / np.sqrt(20_000)
    assert np.abs(drawn.std(axis=1) / sd - 1).max() < 0.04
    covariance = np.cov(fitted.sample(20_000, random_state=2)["coef"].T)
    np.testing.assert_allclose(covariance, fitted.sigma_, atol=0.06 * np.abs(fitted.sigma_).max())


def test_what_is_left_out_is_zero_and_costs_no_accuracy() -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((200, 30))
    y = X[:, :3] @ [2.0, -1.0, 0.5] + 0.3 * rng.standard_normal(200)
    pruned = BayesianLinearRegression(prior="ard", threshold_lambda=1e3).fit(X, y)
    kept = np.flatnonzero(pruned.coef_)
    assert set(range(3)) <= set(kept) and len(kept) < 20
    assert np.isinf(np.asarray(pruned.lambda_)[np.setdiff1d(np.arange(30), kept)]).all()
    assert pruned.score(X, y) > 0.97
    none = BayesianLinearRegression(prior="ard", threshold_lambda=1e-9).fit(X, y)
    assert not none.coef_.any() and np.isfinite(none.lower_bound_)


@pytest.mark.parametrize("prior", PRIORS)
def test_degenerate_data_have_a_right_answer(prior: Any) -> None:
    X, y = data(6, 12, 3)
    fit = lambda X, y, **more: BayesianLinearRegression(prior=prior, **more).fit(X, y)  # noqa: E731
    flat = fit(X, np.full(12, 4.0))
    np.testing.assert_allclose(flat.coef_, 0.0, atol=1e-12)
    assert flat.intercept_ == pytest.approx(4.0) and np.isfinite(flat.lower_bound_)
    constant = fit(np.column_stack([X, np.full(12, 7.0)]), y)
    assert constant.coef_[3] == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(constant.coef_[:3], fit(X, y).coef_, rtol=0.1, atol=0.05)
    twice = fit(np.column_stack([X, X[:, 0]]), y)
    assert np.isfinite(twice.sigma_).all() and twice.coef_[0] == pytest.approx(twice.coef_[3], rel=1e-6, abs=1e-4)
    assert fit(np.column_stack([X, X[:, 0]]), y).lower_bound_ == twice.lower_bound_
    one = fit(X[:1], y[:1])
    assert one.predict(X[:1])[0] == pytest.approx(y[0])
    wide = fit(np.random.default_rng(0).standard_normal((4, 50)), y[:4])
    assert np.isfinite(wide.predict(np.ones((2, 50)), return_std=True)[0]).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prior": "flat"}, "ratio, shared, ard"),
        ({"alpha_1": 0.0}, "positive"),
        ({"ratio": -1.0}, "positive"),
        ({"tol": -1.0}, "from 0"),
        ({"max_iter": 0}, "1 or more"),
        ({"threshold_lambda": 10.0}, "prior='ard' alone"),
    ],
)
def test_bad_options_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BayesianLinearRegression(**change).fit(*data(1))


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        ([[1.0, np.nan]], [1.0], "NaN"),
        ([[1.0, 2.0]], [np.inf], "infinity"),
        ([[1.0], [2.0]], [1.0], "inconsistent numbers"),
        ([[1.0], [2.0]], [[1.0, 2.0], [1.0, 2.0]], "1d array"),
        ([1.0, 2.0], [1.0, 2.0], "2D array"),
        (np.empty((0, 2)), [], "n_samples=0"),
        ([[1e200], [-1e200]], [1.0, 2.0], "overflow"),
        ([["a"]], [1.0], "numbers"),
        ([[1.0]], None, "requires y"),
    ],
)
def test_bad_data_are_refused(X: Any, y: Any, says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=says):
        BayesianLinearRegression().fit(X, y)


@pytest.mark.parametrize("prior", always(PRIORS, ("shared",)))
def test_it_is_an_estimator_of_scikit_learn(prior: Any) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimator BayesianLinearRegression does not inherit")
        warnings.filterwarnings("ignore", category=DataConversionWarning)
        found = check_estimator(BayesianLinearRegression(prior=prior), on_fail=None, on_skip=None)
    assert not [check["check_name"] for check in found if check["status"] == "failed"]
