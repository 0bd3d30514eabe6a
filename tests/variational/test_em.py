"""EM, variational EM, MAP-EM and VB-EM of one mixture: bounds that rise, and what they are bounds of."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

import targets
from targets.conjugate import mixture_coordinates
from targets.conjugate.mixture import MixturePrior
from targets.conjugate.mixture_family import MixtureFamily
from targets.conjugate.mixture_model import MixtureParameters
from tests.ascents import QUARTERS, assert_caught, assert_rises, plant
from variational import MixtureEM
from variational.conjugate.em_parameters import Distribution, Likelihood, Mode

KINDS = ("likelihood", "mode", "distribution")


def prior_of(d: int, rng: np.random.Generator) -> MixturePrior:
    root = np.tril(rng.standard_normal((d, d))) + np.eye(d)
    return MixturePrior(1.0 + rng.random(), rng.standard_normal(d), 0.1 + rng.random(), d + 1.5, root @ root.T)


def log_likelihood(X: np.ndarray, fit: MixtureEM) -> float:
    parts = [
        np.log(w) + stats.multivariate_normal(m, c).logpdf(X)
        for w, m, c in zip(fit.weights_, fit.means_, fit.covariances_, strict=True)
        if w > 0
    ]
    return float(np.sum(logsumexp(np.reshape(parts, (len(parts), -1)), axis=0)))


@pytest.mark.parametrize("quarter", QUARTERS)
@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 40),
    d=st.integers(1, 3),
    components=st.integers(1, 4),
    kind=st.sampled_from(KINDS),
    kept=st.integers(0, 4),
    spread=st.sampled_from([0.0, 1.0, 5.0]),
)
def test_every_bound_rises(
    quarter: int, seed: int, n: int, d: int, components: int, kind: str, kept: int, spread: float
) -> None:
    """To 1e-9 of its size, whatever the data: few, tied, in clumps, or fewer than components."""
    rng = np.random.default_rng([seed, quarter])
    X = rng.standard_normal((n, d)) + spread * rng.integers(3, size=(n, 1))
    if rng.random() < 0.3:
        X = np.round(X)
    if kind == "likelihood" and not X.var(axis=0).any():
        return
    fit = MixtureEM(
        n_components=components,
        parameters=kind,
        prior=prior_of(d, rng),
        kept=kept if 1 <= kept <= components else None,
        tol=0.0,
        max_iter=40,
        random_state=seed,
    ).fit(X)
    assert_rises(fit.lower_bounds_)
    assert np.allclose(fit.predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("owner", "name", "right", "wrong", "kind"),
    [
        (
            Likelihood,
            "updated",
            "sums.counts / sums.counts.sum()",
            "sums.counts[::-1] / sums.counts.sum()",
            "likelihood",
        ),
        (Mode, "updated", "q.degrees_of_freedom - q.d", "q.degrees_of_freedom + q.d", "mode"),
        (Distribution, "seen", "- d / q.mean_precision", "+ d / q.mean_precision", "distribution"),
    ],
)
def test_a_fault_in_an_update_lowers_it(
    owner: type, name: str, right: str, wrong: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, owner, name, right, wrong)
    case = {"quarter": 0, "n": 20, "d": 2, "components": 3, "kind": kind, "kept": 0, "spread": 1.0}
    assert_caught(test_every_bound_rises, ({"seed": s, **case} for s in range(20)))


@pytest.fixture(scope="module", name="X")
def two_clumps() -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.concatenate([rng.standard_normal((40, 2)), [2.5, 0.5] + 0.6 * rng.standard_normal((25, 2))])


PRIOR = MixturePrior(1.2, np.zeros(2), 0.1, 4.5, np.eye(2))


def fitted(X: np.ndarray, kind: str, **options: Any) -> MixtureEM:
    return MixtureEM(n_components=2, parameters=kind, prior=PRIOR, random_state=1, **options).fit(X)


def test_the_bound_of_em_is_the_log_likelihood_and_those_of_others_lie_below(X: np.ndarray) -> None:
    em, hard = fitted(X, "likelihood"), fitted(X, "likelihood", kept=1)
    assert em.lower_bound_ == pytest.approx(log_likelihood(X, em), rel=1e-12)
    assert hard.lower_bound_ < log_likelihood(X, hard) - 1.0
    assert hard.lower_bound_ < em.lower_bound_
    assert set(np.unique(hard.predict_proba(X))) == {0.0, 1.0}
    assert ((fitted(X, "likelihood", kept=2).predict_proba(X) > 0).sum(axis=1) == 2).all()


def test_the_bound_of_the_mode_is_the_log_joint_density(X: np.ndarray) -> None:
    fit = fitted(X, "mode")
    value = log_likelihood(X, fit) + stats.dirichlet.logpdf(fit.weights_, [1.2, 1.2])
    for mean, covariance in zip(fit.means_, fit.covariances_, strict=True):
        value += stats.multivariate_normal(PRIOR.mean, covariance / PRIOR.mean_precision).logpdf(mean)
        value += stats.wishart(PRIOR.degrees_of_freedom, np.linalg.inv(PRIOR.scale)).logpdf(np.linalg.inv(covariance))
    assert fit.lower_bound_ == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("d", [1, 3])
def test_one_component_gives_the_exact_evidence(d: int) -> None:
    target = targets.load("conjugate_mixture", data="simulated", components=1, n=20, dim=d)
    assert target.conjugate is not None and target.truth is not None
    fit = MixtureEM(n_components=1, prior=target.conjugate.model.prior).fit(target.conjugate.data)
    assert fit.lower_bound_ == pytest.approx(target.truth.log_normaliser, rel=1e-12)
    assert fit.posterior_ is not None
    np.testing.assert_allclose(fit.posterior_.mean, target.truth.moments.mean, rtol=1e-12, atol=1e-14)


def test_the_bound_of_vb_is_that_of_the_joint_by_enumeration() -> None:
    """E_q log p(X, z, parameters) - log q over all assignments of five rows, parameters by draws: six errors."""
    X = np.array([[0.0, 0.1], [0.3, -0.2], [2.0, 1.9], [2.2, 2.4], [1.0, 1.2]])
    fit = MixtureEM(n_components=2, prior=PRIOR, random_state=2).fit(X)
    assert fit.posterior_ is not None
    shares = fit.predict_proba(X)
    prior = MixtureFamily.of_prior(PRIOR, 2)
    draws = fit.posterior_.sample(np.random.default_rng(1), 20_000)
    term = np.mean(prior.log_density(draws) - fit.posterior_.log_density(draws))
    found = mixture_coordinates.parameters_of(mixture_coordinates.parts(draws, 2, 2))
    log_p = np.empty((len(draws), len(X), 2))
    for k in range(2):
        off = X[None] - found.means[:, k, None]
        precision = np.linalg.inv(found.covariances[:, k])
        log_p[:, :, k] = np.log(found.weights[:, k, None]) - np.log(2 * np.pi)
        log_p[:, :, k] += 0.5 * np.linalg.slogdet(precision)[1][:, None]
        log_p[:, :, k] -= 0.5 * np.einsum("nia,nab,nib->ni", off, precision, off)
    expected = 0.0
    for z in itertools.product(range(2), repeat=len(X)):
        q = np.prod(shares[np.arange(len(X)), z])
        expected += q * (log_p[:, np.arange(len(X)), z].sum(axis=1).mean() - np.log(q))
    joint = prior.log_density(draws) - fit.posterior_.log_density(draws) + np.einsum("ik,nik->n", shares, log_p)
    assert abs(fit.lower_bound_ - expected - term) < 6 * joint.std() / np.sqrt(len(draws))
    assert joint.std() / np.sqrt(len(draws)) < 0.05


def test_equal_starts_and_restarts(X: np.ndarray) -> None:
    start = MixtureParameters(np.full(2, 0.5), X[[0, 50]], np.tile(np.eye(2), (2, 1, 1)))
    fits = [MixtureEM(n_components=2, prior=PRIOR).fit(X, start=start).lower_bounds_ for _ in range(2)]
    assert fits[0] == fits[1]
    many = MixtureEM(n_components=2, prior=PRIOR, n_init=5, random_state=1).fit(X)
    assert many.lower_bound_ >= fitted(X, "distribution").lower_bound_


def test_fewer_rows_than_components_are_fitted() -> None:
    for kind in KINDS:
        fit = MixtureEM(n_components=5, parameters=kind, prior=PRIOR, random_state=1).fit([[0.0, 1.0], [2.0, 1.0]])
        assert np.isfinite(fit.lower_bound_) and np.isfinite(fit.covariances_).all()


def test_bad_input_is_refused_in_one_line(X: np.ndarray) -> None:
    wrong: list[dict[str, Any]] = [
        {"n_components": 0},
        {"kept": 3},
        {"kept": 0},
        {"tol": -1.0},
        {"max_iter": 0},
        {"n_init": 0},
        {"parameters": "point"},
        {"prior": None},
        {"parameters": "mode", "prior": MixturePrior(0.5, np.zeros(2), 0.1, 4.5, np.eye(2))},
        {"prior": MixturePrior(1.0, np.zeros(3), 0.1, 4.5, np.eye(3))},
    ]
    for options in wrong:
        with pytest.raises(ValueError, match=r"not accepted|it takes|takes a MixturePrior") as raised:
            MixtureEM(**{"n_components": 2, "prior": PRIOR, **options}).fit(X)
        assert "\n" not in str(raised.value)
    for rows in ([[np.nan, 1.0]], [[np.inf, 1.0]], np.zeros((0, 2)), np.zeros(3)):
        with pytest.raises(ValueError, match="MixtureEM"):
            MixtureEM(n_components=1, prior=PRIOR).fit(rows)
    with pytest.raises(ValueError, match="no maximum"):
        MixtureEM(n_components=2, parameters="likelihood").fit(np.ones((4, 2)))
    assert np.isfinite(MixtureEM(n_components=2, prior=PRIOR).fit(np.ones((4, 2))).lower_bound_)
    with pytest.raises(ValueError, match="not fitted"):
        MixtureEM().predict(X)
