"""Bounds on the log normaliser order as they must, in expectation: ELBO <= IW-ELBO <= log Z <= EUBO."""

import itertools
import math

import numpy as np
import pytest

import targets
from harness.metrics.divergences import divergences
from harness.metrics.reference import Reference
from targets.truth import Certificate
from variational.gaussian import Gaussian
from variational.mixture import MixtureOfGaussians
from variational.objectives import Estimate, elbo, eubo, importance_weighted_bound, kl_forward

CASES = [
    ("correlated_gaussian", {"dim": 4, "rho": 0.6}),
    ("banana", {"scale": 1.0, "curvature": 0.3}),
    ("bimodal_mixture", {"dim": 2, "separation": 2.5}),
    ("bioassay", {}),
    ("clutter", {}),
]


def spoiled(target: targets.Target) -> Gaussian:
    """A Gaussian that is wrong in place and width, by amounts that all bounds survive."""
    assert target.truth is not None
    moments = target.truth.moments
    return Gaussian(moments.mean + 0.3 * moments.sd, 1.2 * moments.sd)


def below(lower: Estimate, upper: Estimate) -> bool:
    return lower.value <= upper.value + 6 * math.hypot(lower.error, upper.error) + 1e-9


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("family", ["gaussian", "mixture"])
def test_bounds_are_ordered(name: str, options: dict[str, object], family: str) -> None:
    """Six standard errors: false alarms below 1e-6 in all. The first and last are told apart by as much, too."""
    target = targets.load(name, **options)
    assert target.truth is not None
    one = spoiled(target)
    two = MixtureOfGaussians((one, Gaussian(one.mean, 1.5 * one.factor)), np.array([0.6, 0.4]))
    q = two if family == "mixture" else one
    rng = np.random.default_rng(5)
    evidence = Estimate(target.truth.log_normaliser, target.truth.log_normaliser_error)
    bound = elbo(q, target, rng, 20_000)
    weighted = [importance_weighted_bound(q, target, rng, 60_000, particles) for particles in (1, 3, 30)]
    above = eubo(q, target.truth, 20_000)
    assert abs(weighted[0].value - bound.value) < 6 * math.hypot(weighted[0].error, bound.error)
    chain = [*weighted, evidence, above]
    assert all(below(a, b) for a, b in itertools.pairwise(chain))
    assert weighted[0].value < weighted[2].value - 6 * math.hypot(weighted[0].error, weighted[2].error)
    assert bound.value + 6 * bound.error < evidence.value < above.value - 6 * above.error


def test_without_a_density_there_is_no_bound() -> None:
    class Particles:
        mean, covariance = np.zeros(2), np.eye(2)

        def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
            return np.zeros((len(probabilities), 2))

        def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
            return rng.standard_normal((n, 2))

        def log_density(self, x: np.ndarray) -> None:
            return None

    target = targets.load("banana")
    assert target.truth is not None
    for bound in (elbo(Particles(), target), importance_weighted_bound(Particles(), target)):
        assert math.isnan(bound.value)
    assert math.isnan(eubo(Particles(), target.truth).value)


def test_self_normalised_averages_are_not_shown_as_an_upper_bound() -> None:
    """A truth by importance sampling keeps its divergences, as estimates, and has no EUBO: here and in the records."""
    target = targets.load("logistic_regression", dataset="synthetic", n=100, dim=3)
    truth = target.truth
    assert truth is not None and truth.certificate == Certificate(
        "importance sampling", truth.certificate.note, truth.certificate.details
    )
    q = spoiled(target)
    assert math.isnan(eubo(q, truth).value) and not math.isnan(kl_forward(q, truth).value)
    seen = divergences(q, target, Reference.of(target), q.sample(np.random.default_rng(1), 2000))
    assert math.isnan(seen["eubo"]) and seen["kl_forward"] > 0
    exact = targets.load("clutter")
    seen = divergences(spoiled(exact), exact, Reference.of(exact), spoiled(exact).sample(np.random.default_rng(1), 500))
    assert exact.truth is not None and seen["eubo"] > exact.truth.log_normaliser


def test_a_self_normalised_average_can_fall_below_the_evidence() -> None:
    """Why: with few effective draws, weights prefer points where log p - log q is small."""
    target = targets.load("correlated_gaussian", dim=10, rho=0.0)
    assert target.truth is not None
    p, q = Gaussian(np.zeros(10), np.ones(10)), Gaussian(np.full(10, 0.3), np.full(10, 0.8))
    rng, seen = np.random.default_rng(6), []
    for _ in range(200):
        x = q.sample(rng, 20)
        ratio = p.log_density(x) - q.log_density(x)
        weights = np.exp(ratio - ratio.max())
        seen.append(weights @ ratio / weights.sum())
    exact = eubo(q, target.truth).value - target.truth.log_normaliser
    error = np.std(seen) / np.sqrt(len(seen))
    assert np.mean(seen) < exact - 6 * error
