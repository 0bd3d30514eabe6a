"""The studies of coverage and of EM and its kin: their parts against closed forms, and small ones from end to end."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

from harness import coverage
from harness.coverage import factors, posteriors, topics
from harness.coverage.repeated import DRAWS, covered
from harness.variational_em import factor_evidence, mixture, rows
from reports.coverage import wilson
from samplers import gibbs
from targets.conjugate.factor import FactorPrior
from targets.conjugate.least_squares import triangle
from targets.conjugate.mixture_family import MixtureFamily
from targets.conjugate.mixture_model import GaussianMixture
from targets.conjugate_mixture import posterior_of, prior_of
from variational import MixtureEM

SMALL = coverage.CASES[:2]


def test_intervals_of_shares_are_wilsons() -> None:
    """Against the values of Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_an_interval_covers_as_often_as_the_truth_is_inside() -> None:
    shares = np.array([0.04, 0.06, 0.24, 0.26, 0.5, 0.74, 0.96])
    assert covered(shares) == [3, 5]


def enumerated(X: np.ndarray, model: GaussianMixture) -> float:
    """The log evidence as a sum over all assignments, each in closed form."""
    prior = MixtureFamily.of_prior(model.prior, model.n_components)
    n, d = X.shape
    found = []
    for z in itertools.product(range(model.n_components), repeat=n):
        label = np.array(z)
        counts = np.bincount(label, minlength=model.n_components).astype(float)
        means = np.array([X[label == k].mean(axis=0) if counts[k] else np.zeros(d) for k in range(len(counts))])
        off = X - means[label]
        scatters = np.array([off[label == k].T @ off[label == k] for k in range(len(counts))])
        found.append(prior.given(counts, means, scatters).log_normaliser - prior.log_normaliser)
    return float(logsumexp(found) - 0.5 * n * d * np.log(2 * np.pi))


def test_the_evidence_is_that_of_all_assignments() -> None:
    """Of ten rows; six standard errors, which are below 0.1 nats. The bound lies below, by log 2! and more."""
    rng = np.random.default_rng(4)
    X = np.concatenate([rng.standard_normal((5, 1)) - 3, rng.standard_normal((5, 1)) + 3])
    model = GaussianMixture(prior_of(1), 2)
    target, exact = posterior_of(X, model), enumerated(X, model)
    found = mixture.log_evidence(target, mixture.sampled(target, 20_000))
    assert abs(found.value - exact) < 6 * found.error and found.error < 0.1
    fit = MixtureEM(n_components=2, prior=model.prior, n_init=5, random_state=1).fit(X)
    assert fit.lower_bound_ < exact - np.log(2) + 0.05


def test_with_one_component_the_bound_is_the_enumerated_evidence() -> None:
    X, model = np.random.default_rng(5).standard_normal((6, 2)), GaussianMixture(prior_of(2), 1)
    fit = MixtureEM(n_components=1, prior=model.prior).fit(X)
    assert fit.lower_bound_ == pytest.approx(enumerated(X, model), rel=1e-12)


def test_the_prior_of_weights_is_in_the_enumeration() -> None:
    """Two rows of one component or of two: the Dirichlet part is 2 x 1/3 and 2 x 1/6 at a concentration of one."""
    prior = MixtureFamily.of_prior(prior_of(1), 2)
    q = prior.given(np.array([2.0, 0.0]), np.zeros((2, 1)), np.zeros((2, 1, 1)))
    part = gammaln(q.concentration).sum() - gammaln(q.concentration.sum())
    assert np.exp(part) == pytest.approx(1 / 3)


def test_gibbs_covers_where_vb_is_exact_as_vb_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty repetitions at one component: both shares below the truth differ by the noise of their draws alone."""
    monkeypatch.setattr(posteriors, "STARTS", 1)
    subject = coverage.CASES[0].make()
    assert subject is not None and coverage.CASES[0].exact
    found = list(coverage.repeated(subject, 40, 1000))
    fit, chains = (np.array([getattr(each, name) for each in found]) for name in ("fit", "chains"))
    assert np.max(np.abs(fit - chains)) < 6 * np.sqrt(0.25 / 1000 + 0.25 / DRAWS)
    held = covered(fit[:, 0])[1]
    assert held >= 26, "90 % intervals that hold in fewer than 26 of 40 repetitions are too narrow: chance 1e-6"


def test_cases_that_are_not_to_be_had_are_left_out() -> None:
    assert posteriors.registered("no_such_target")() is None
    assert posteriors.registered("banana")() is None
    assert posteriors.registered("conjugate_mixture")() is not None


@pytest.mark.parametrize("model", [factors, topics], ids=["factors", "topics"])
def test_fits_are_narrower_than_chains_that_cover(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of 90 % intervals with a standard error of 0.036 at most, and a ratio with one of 0.02, as measured."""
    monkeypatch.setattr(model, "STARTS", 1)
    found = list(coverage.repeated(model.subject(), 12, 600))
    _, chains, fit_sd, chains_sd = (np.array(part) for part in zip(*found, strict=True))
    each = np.mean(np.abs(chains - 0.5) <= 0.45, axis=1)
    assert each.mean() > 0.68
    assert 0.4 < np.median(fit_sd / chains_sd) < 0.9


def test_the_evidence_of_factors_is_that_of_the_prior_predictive() -> None:
    """Of five rows of three columns, by a mean over the prior: six standard errors, of which both are below 0.03."""
    rng = np.random.default_rng(6)
    prior = FactorPrior(**factors.PRIOR)
    X = rng.standard_normal((5, 3))
    contrasts = np.linalg.qr(np.column_stack([np.ones(5), np.eye(5)[:, 1:]]))[0][:, 1:].T @ X  # no mean is left
    n = 60_000
    loadings = rng.standard_normal((n, 3, 2)) / np.sqrt(rng.gamma(prior.shape, 1 / prior.rate, (n, 1, 2)))
    covariances = loadings @ loadings.swapaxes(1, 2)
    covariances[:, range(3), range(3)] += 1 / rng.gamma(prior.noise_shape, 1 / prior.noise_rate, (n, 3))
    inverse, log_volume = np.linalg.inv(covariances), np.linalg.slogdet(covariances)[1]
    likelihood = np.exp(-0.5 * np.einsum("ra,nab,rb->n", contrasts, inverse, contrasts) - 2 * log_volume)
    exact = np.log(likelihood.mean()) - 6 * np.log(2 * np.pi) - 1.5 * np.log(5)
    error = likelihood.std() / likelihood.mean() / np.sqrt(n)
    data = triangle(X, centred=True)
    draws = gibbs.factor_analysis(X, prior, n_components=2, num_samples=3000, num_warmup=300, num_chains=4, seed=1)
    found = factor_evidence.log_evidence(data, prior, draws["loading"], draws["noise_precision"])
    assert max(error, found.error) < 0.03
    assert abs(found.value - exact) < 6 * np.hypot(error, found.error)


@pytest.mark.parametrize("name", ["coverage", "variational-em"])
def test_a_small_study_from_end_to_end(name: str, crossover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "CASES", (*SMALL, coverage.Case(mixture.CASE, False, coverage.CASES[2].make)))
    monkeypatch.setattr(mixture, "TIMED_ROWS", 500)
    monkeypatch.setattr(factors, "STARTS", 1)
    monkeypatch.setattr(rows, "ROUNDS", 2)
    code, out, _ = crossover("study", name, tmp_path / "r", "--seeds", 3, "--max-gradients", 2000)
    assert code == 0
    assert [Path(line).name for line in out.splitlines()] == [f"{name}.md", f"{name}.json"]
    text = (tmp_path / "r" / f"{name}.md").read_text()
    numbers = json.loads((tmp_path / "r" / f"{name}.json").read_text())
    if name == "coverage":
        assert len(numbers["cases"]) == 3 and "Coverage of one Gaussian" in text
        assert crossover("report", tmp_path / "r")[0] == 0
        assert "two Gaussians apart, 100 rows" in (tmp_path / "r" / "report.html").read_text()
        return
    assert "No bound fell in any sweep." in text
    found = {(row["model"], row["algorithm"]): row for row in numbers["rows"]}
    assert abs(found["mixture", "EM"]["gap"]) < 1e-9 * abs(found["mixture", "EM"]["bound"])
    row = found["factor analysis", "VB-EM"]
    assert row["gap"] > np.log(8) and row["gap_error"] < 0.3  # of signs and orders of factors q sees one
    assert found["mixture", "variational EM"]["gap"] > 0 and found["mixture", "VB-EM"]["gap"] > np.log(2) - 0.01
    assert {row["model"] for row in numbers["rows"]} == {"mixture", "factor analysis"}
    assert all(0 < row["sd_ratio"] < 1.2 for row in numbers["rows"] if row["algorithm"] == "VB-EM")


@pytest.mark.parametrize(
    ("name", "options"), [("coverage", ("--seeds", 0)), ("variational-em", ("--max-gradients", 5))]
)
def test_bad_numbers_are_refused(name: str, options: tuple[str, int], crossover, tmp_path: Path) -> None:
    code, _, err = crossover("study", name, tmp_path / "r", *options)
    assert code == 2 and "is not accepted; it takes" in err
