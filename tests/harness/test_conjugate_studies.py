"""The studies of coverage and of EM and its kin: their parts against closed forms, and small ones from end to end."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

from harness import coverage
from harness.variational_em import mixture, rows
from reports.coverage import wilson
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
    assert coverage.covered(shares) == [3, 5]


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


@pytest.mark.parametrize("components", [1, 2])
def test_the_evidence_is_that_of_all_assignments(components: int) -> None:
    """Of six rows; six standard errors, which are below 0.05 nats. The bound lies below."""
    X = np.random.default_rng(4).standard_normal((6, 2))
    model = GaussianMixture(prior_of(2), components)
    fit = MixtureEM(n_components=components, prior=model.prior, n_init=5, random_state=1).fit(X)
    assert fit.posterior_ is not None
    value, error = mixture.log_evidence(posterior_of(X, model), fit.posterior_)
    exact = enumerated(X, model)
    assert abs(value - exact) < 6 * error + 1e-12 and error < 0.05
    assert fit.lower_bound_ <= exact + 1e-9
    if components == 1:
        assert exact == pytest.approx(fit.lower_bound_, rel=1e-12)


def test_the_prior_of_weights_is_in_the_enumeration() -> None:
    """Two rows of one component or of two: the Dirichlet part is 2 x 1/3 and 2 x 1/6 at a concentration of one."""
    prior = MixtureFamily.of_prior(prior_of(1), 2)
    q = prior.given(np.array([2.0, 0.0]), np.zeros((2, 1)), np.zeros((2, 1, 1)))
    part = gammaln(q.concentration).sum() - gammaln(q.concentration.sum())
    assert np.exp(part) == pytest.approx(1 / 3)


def test_gibbs_covers_where_vb_is_exact_as_vb_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty repetitions at one component: both shares below the truth differ by the noise of their draws alone."""
    monkeypatch.setattr(coverage, "STARTS", 1)
    target = coverage.CASES[0].make()
    assert target is not None and coverage.CASES[0].exact
    found = list(coverage.repeated(target, coverage.asked(target), 40, 1000))
    fit, chains = (np.array([getattr(each, name) for each in found]) for name in ("fit", "chains"))
    assert np.max(np.abs(fit - chains)) < 6 * np.sqrt(0.25 / 1000 + 0.25 / coverage.DRAWS)
    held = coverage.covered(fit[:, 0])[1]
    assert held >= 26, "90 % intervals that hold in fewer than 26 of 40 repetitions are too narrow: chance 1e-6"


def test_cases_that_are_not_to_be_had_are_left_out() -> None:
    assert coverage.registered("no_such_target")() is None
    assert coverage.registered("banana")() is None
    assert coverage.registered("conjugate_mixture")() is not None


@pytest.mark.parametrize("name", ["coverage", "variational-em"])
def test_a_small_study_from_end_to_end(name: str, crossover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "CASES", (*SMALL, coverage.Case(mixture.CASE, False, coverage.CASES[2].make)))
    monkeypatch.setattr(mixture, "TIMED_ROWS", 500)
    monkeypatch.setattr(rows, "ROUNDS", 2)
    code, out, _ = crossover("study", name, tmp_path / "r", "--seeds", 3, "--max-gradients", 400)
    assert code == 0
    assert [Path(line).name for line in out.splitlines()] == [f"{name}.md", f"{name}.json"]
    text = (tmp_path / "r" / f"{name}.md").read_text()
    numbers = json.loads((tmp_path / "r" / f"{name}.json").read_text())
    if name == "coverage":
        assert len(numbers["cases"]) == 3 and "Coverage of one Gaussian" in text
        return
    assert "No bound fell in any sweep." in text
    found = {(row["model"], row["algorithm"]): row for row in numbers["rows"]}
    assert abs(found["mixture", "EM"]["gap"]) < 1e-9 * abs(found["mixture", "EM"]["bound"])
    assert found["mixture", "variational EM"]["gap"] > 0 and found["mixture", "VB-EM"]["gap"] > np.log(2) - 0.01
    assert {row["model"] for row in numbers["rows"]} == {"mixture", "factor analysis"}
    assert all(0 < row["sd_ratio"] < 1.2 for row in numbers["rows"] if row["algorithm"] == "VB-EM")


@pytest.mark.parametrize(
    ("name", "options"), [("coverage", ("--seeds", 0)), ("variational-em", ("--max-gradients", 5))]
)
def test_bad_numbers_are_refused(name: str, options: tuple[str, int], crossover, tmp_path: Path) -> None:
    code, _, err = crossover("study", name, tmp_path / "r", *options)
    assert code == 2 and "is not accepted; it takes" in err
