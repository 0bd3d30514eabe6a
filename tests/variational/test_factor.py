"""Factor analysis by EM, variational EM and variational Bayesian EM: known answers, exact bounds, hostile data."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import multivariate_normal
from sklearn import decomposition
from sklearn.utils.estimator_checks import check_estimator

from targets.conjugate.factor import FactorPrior
from targets.conjugate.least_squares import Triangle, triangle
from tests.ascents import assert_caught, assert_rises, plant
from tests.tiers import always
from variational import FactorAnalysis
from variational.conjugate.factor_bayes import BayesianFactors
from variational.conjugate.factor_em import PointFactors

INFERENCES = ("em", "vem", "vbem")


def data(seed: int, n: int = 150, d: int = 7, k: int = 2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, k)) @ rng.standard_normal((k, d)) + rng.standard_normal((n, d)) * rng.uniform(
        0.4, 1.5, d
    ) + 5.0  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_em_reaches_the_closed_form_of_probabilistic_principal_components(seed: int) -> None:
    """Tipping and Bishop 1999: noise is the mean of the eigenvalues left out. From a random start, and from there."""
    X = data(seed)
    values = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    noise = values[2:].mean()
    known = -0.5 * len(X) * (7 * math.log(2 * math.pi) + np.log(values[:2]).sum() + 5 * math.log(noise) + 7)
    for init in ("random", "pca"):
        fitted = FactorAnalysis(noise="isotropic", init=init, random_state=seed, tol=1e-13, max_iter=5000).fit(X)
        assert fitted.log_likelihood_ == pytest.approx(known, abs=1e-7)
        np.testing.assert_allclose(fitted.noise_variance_, noise, rtol=1e-4)
    assert fitted.n_iter_ <= 3


@pytest.mark.parametrize("seed", [1, 2])
def test_the_likelihood_is_at_least_that_of_scikit_learn(seed: int) -> None:
    X = data(seed)
    ours = FactorAnalysis(tol=1e-13, max_iter=5000).fit(X)
    theirs = decomposition.FactorAnalysis(2, tol=1e-10, max_iter=20_000, svd_method="lapack").fit(X)
    assert ours.log_likelihood_ >= theirs.score(X) * len(X) - 1e-6
    np.testing.assert_allclose(ours.get_covariance(), theirs.get_covariance(), atol=1e-3)
    np.testing.assert_allclose(
        np.abs(ours.transform(X) @ ours.components_), np.abs(theirs.transform(X) @ theirs.components_), atol=0.02
    )


@pytest.mark.parametrize("inference", ["em", "vem"])
@pytest.mark.parametrize("noise", ["diagonal", "isotropic"])
def test_the_likelihood_is_that_of_the_rows(inference: Any, noise: Any) -> None:
    X = data(4)
    fitted = FactorAnalysis(inference=inference, noise=noise, max_iter=3, init="random", random_state=1).fit(X)
    rows = multivariate_normal(X.mean(axis=0), fitted.get_covariance()).logpdf(X)
    assert fitted.log_likelihood_ == pytest.approx(rows.sum(), rel=1e-12)
    np.testing.assert_allclose(fitted.score_samples(X), rows, rtol=1e-9)
    assert fitted.lower_bound_ == fitted.log_likelihood_ - fitted.gap_
    assert (fitted.gap_ > 1e-3) == (inference == "vem")


def test_the_bound_of_variational_em_is_that_of_its_factors() -> None:
    """E log p(x, z) - E log q(z), row by row, with the means of the posterior and the variances 1 / M_kk."""
    X = data(5)
    fitted = FactorAnalysis(inference="vem", max_iter=2, init="random", random_state=3).fit(X)
    loadings, noise = fitted.components_.T, fitted.noise_variance_
    variance = 1 / (1 + np.square(loadings / np.sqrt(noise)[:, None]).sum(axis=0))
    mean = fitted.transform(X)
    residual = X - X.mean(axis=0) - mean @ loadings.T
    spread = np.square(loadings) @ variance
    bound = -0.5 * (np.log(2 * math.pi * noise).sum() + ((residual**2 + spread) / noise).sum(axis=1)).sum()
    bound += -0.5 * (mean**2 + variance).sum() + 0.5 * len(X) * (2 + np.log(variance).sum())
    assert fitted.lower_bound_ == pytest.approx(bound, rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(INFERENCES), st.sampled_from(["diagonal", "isotropic"]), st.booleans(),
    st.sampled_from(["pca", "random"]), st.integers(2, 30), st.integers(1, 7), st.integers(1, 7),
)  # fmt: skip
def test_no_sweep_lowers_the_bound(
    seed: int, inference: Any, noise: Any, extra: bool, init: Any, n: int, d: int, k: int
) -> None:
    """Over random sizes and scales, duplicated and (with 'vbem') constant columns; a refusal is an answer as well."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * 10.0 ** rng.integers(-3, 4, d) + rng.standard_normal((n, 1)) + 3.0
    if d > 2 and rng.random() < 0.3:
        X[:, 0] = X[:, 1]
    if d > 1 and inference == "vbem" and rng.random() < 0.3:
        X[:, -1] = 7.0
    names = ("noise_shape", "noise_rate", "shape", "rate")
    options = dict(zip(names, 10.0 ** rng.uniform(-4, 1, 4), strict=True))
    estimator = FactorAnalysis(
        n_components=k, noise=noise, inference=inference, init=init, accelerate=extra, rotate=extra, tol=0.0,
        max_iter=30, random_state=0, **options,
    )  # fmt: skip
    try:
        bounds = estimator.fit(X).lower_bounds_
    except ValueError as refusal:
        assert "n_components" in str(refusal) or "constant" in str(refusal)
        return
    assert_rises(bounds)


@pytest.mark.parametrize(
    ("owner", "name", "right", "wrong", "inference"),
    [
        (BayesianFactors, "_noises", "+ self.shrunk @ self.values", "+ 0.2 * (self.shrunk @ self.values)", "vbem"),
        (BayesianFactors, "_factors", "self.free * self.covariance", "2.0 * self.free * self.covariance", "vbem"),
        (PointFactors, "maximise", "/ n + np.square", "/ n - np.square", "em"),
    ],
)
def test_a_fault_in_an_update_lowers_it(
    owner: type, name: str, right: str, wrong: str, inference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, owner, name, right, wrong)
    options: dict[str, Any] = {"inference": inference, "noise": "diagonal", "extra": False, "init": "random"}
    assert_caught(test_no_sweep_lowers_the_bound, ({"seed": s, "n": 20, "d": 5, "k": 2, **options} for s in range(20)))


@pytest.mark.parametrize("noise", ["diagonal", "isotropic"])
@pytest.mark.parametrize("turn", [False, True])
def test_the_bound_of_vbem_is_the_mean_of_the_log_joint_less_that_of_q(noise: Any, turn: bool) -> None:
    """With every constant, by draws of z, loadings and precisions from q; of rows with mean zero."""
    rng = np.random.default_rng(6)
    X = data(7, 12, 4) - 5.0
    prior = FactorPrior(noise, 2.0, 1.5, 2.5, 1.2)
    n, d, k = 12, 4, 2
    q = BayesianFactors(triangle(X, centred=False), prior, rng.standard_normal((d, k)), np.ones(d), turn)
    bound = [q.sweep() for _ in range(4)][-1]
    draws = 4000
    loadings, precisions, columns = q.draw(rng, draws)
    lower = np.linalg.cholesky(q.covariance)
    noises = precisions[:, :1] if noise == "isotropic" else precisions
    whitened = rng.standard_normal((draws, n, k))
    z = X @ q.projection + whitened @ lower.T
    log_p = -0.5 * (z**2 + math.log(2 * math.pi)).sum(axis=(1, 2))
    residual = X - np.einsum("snk,sdk->snd", z, loadings)
    log_p += 0.5 * (np.log(precisions / (2 * math.pi))[:, None] - precisions[:, None] * residual**2).sum(axis=(1, 2))
    log_p += 0.5 * (np.log(columns / (2 * math.pi))[:, None] - columns[:, None] * loadings**2).sum(axis=(1, 2))
    log_p += gammas(noises, prior.noise_shape, prior.noise_rate) + gammas(columns, prior.shape, prior.rate)
    log_q = -0.5 * (whitened**2 + math.log(2 * math.pi)).sum(axis=(1, 2)) - n * np.log(np.diagonal(lower)).sum()
    for j in range(d):
        covariance = (q.basis * q.shrunk[j]) @ q.basis.T
        log_q += multivariate_normal(q.mean[j], covariance).logpdf(loadings[:, j])
    log_q += gammas(noises, q.noise_shape, q.noise_rates) + gammas(columns, q.shape, q.rates)
    ratios = log_p - log_q
    assert ratios.std() < 20.0
    assert bound == pytest.approx(ratios.mean(), abs=5.5 * ratios.std() / math.sqrt(draws))


def gammas(x: np.ndarray, shape: Any, rate: Any) -> np.ndarray:
    return np.asarray((shape * np.log(rate) - gammaln(shape) + (shape - 1) * np.log(x) - rate * x).sum(axis=1))


def test_the_mean_costs_the_bound_what_integrating_it_gives() -> None:
    """Rows about their mean are n - 1 rows with mean zero, turned by Helmert's matrix, and a factor n^(-d/2)."""
    X = data(8, 9, 3)
    contrasts = np.linalg.qr(np.column_stack([np.ones(9), np.eye(9)[:, 1:]]))[0][:, 1:].T
    start = np.random.default_rng(0).standard_normal((3, 1))
    bounds = []
    for reduced in (triangle(X, centred=True), triangle(contrasts @ X, centred=False)):
        q = BayesianFactors(reduced, FactorPrior(), start.copy(), np.ones(3))
        bounds.append([q.sweep() for _ in range(5)][-1])
    assert bounds[0] == pytest.approx(bounds[1] - 1.5 * math.log(9), rel=1e-10)


def test_columns_that_the_data_do_not_ask_for_are_pressed_to_zero() -> None:
    X = data(9, 400, 8, 2)
    fitted = FactorAnalysis(inference="vbem", n_components=6, max_iter=3000).fit(X)
    size = np.square(fitted.components_).sum(axis=1)
    assert (size > 0.1).sum() == 2 and np.sort(size)[:4].max() < 0.02
    np.testing.assert_allclose(fitted.get_covariance(), np.cov(X.T), atol=0.35)


def test_draws_and_new_rows_have_the_moments_that_it_says() -> None:
    X = data(10, 60, 4, 1)
    inference: Any
    for inference in INFERENCES:
        fitted = FactorAnalysis(n_components=1, inference=inference).fit(X)
        rows = fitted.sample(40_000, random_state=1)
        np.testing.assert_allclose(
            np.cov(rows.T), fitted.get_covariance() * (1 + (inference == "vbem") / 60), atol=0.15
        )
        np.testing.assert_allclose(rows.mean(axis=0), fitted.mean_, atol=0.06)
    drawn = fitted.sample_parameters(20_000, random_state=2)
    np.testing.assert_allclose(drawn["covariance"].mean(axis=0), fitted.get_covariance(), atol=0.06)


def test_a_rotation_of_the_loadings_is_the_same_model() -> None:
    X = data(11)
    fitted = FactorAnalysis(tol=1e-12, max_iter=3000).fit(X)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))[0]
    turned = turn @ fitted.components_
    np.testing.assert_allclose(turned.T @ turned + np.diag(fitted.noise_variance_), fitted.get_covariance(), rtol=1e-10)
    other = FactorAnalysis(tol=1e-12, max_iter=3000, init="random", random_state=5).fit(X)
    np.testing.assert_allclose(other.get_covariance(), fitted.get_covariance(), atol=1e-3)
    assert not np.allclose(other.components_, fitted.components_, atol=0.01)


@pytest.mark.parametrize(
    ("X", "options", "says"),
    [
        (np.array([[1.0, math.nan], [1.0, 2.0]]), {}, "NaN"),
        (np.ones(4), {}, "2D array"),
        (np.ones((1, 3)), {}, "n_samples=1"),
        (np.column_stack([data(1), np.ones(150)]), {}, "column 7 is constant"),
        (np.ones((5, 3)), {"noise": "isotropic"}, "constant"),
        (data(1, 3, 6), {"n_components": 2}, "rank"),
        (data(1), {"n_components": 7}, "n_components=7"),
        (data(1), {"n_components": 0}, "1 or more"),
        (data(1), {"inference": "vbem", "n_components": 8}, "at most n_features=7"),
        (data(1), {"inference": "mcmc"}, "em, vem, vbem"),
        (data(1), {"noise": "full"}, "diagonal or isotropic"),
        (data(1), {"init": "zero"}, "pca, random"),
        (data(1), {"rate": 0.0}, "positive"),
    ],
)
def test_bad_input_is_refused(X: np.ndarray, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        FactorAnalysis(**options).fit(X)


def test_degenerate_data_have_a_right_answer() -> None:
    for X in (np.ones((4, 3)), np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 5.0]]), data(2, 3, 8)):
        fitted = FactorAnalysis(inference="vbem", n_components=2, noise_shape=2.0, noise_rate=1.0).fit(X)
        assert np.isfinite(fitted.lower_bound_) and np.isfinite(fitted.get_covariance()).all()
    constant = np.column_stack([data(3), np.full(150, 2.0)])
    fitted = FactorAnalysis(noise="isotropic").fit(constant)
    assert fitted.components_[:, -1] == pytest.approx(0.0, abs=1e-8)
    with pytest.raises(ValueError, match="vbem"):
        FactorAnalysis().fit(data(1)).sample_parameters(2)
    assert Triangle(1, np.zeros(3), np.zeros((1, 3))).free == 0


@pytest.mark.parametrize("inference", always(INFERENCES, ("vbem",)))
def test_it_is_an_estimator_of_scikit_learn(inference: Any) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimator FactorAnalysis does not inherit")
        found = check_estimator(FactorAnalysis(n_components=1, inference=inference), on_fail=None, on_skip=None)
    assert not [check["check_name"] for check in found if check["status"] == "failed"]
