"""What holds of the metrics on every registered target."""

import math

import numpy as np
import pytest

import targets
from harness import metrics
from reports.records import METRICS
from samplers.draws import Draws
from targets import Target
from targets.registry import TARGETS
from targets.target import HARD_BOUNDARY
from tests.loading import load
from tests.tiers import seldom
from variational.gaussian import Gaussian

ALWAYS = ("mean_error", "covariance_error", "sliced_wasserstein", "coverage_90", "sd_ratio_worst")


def flattery(target: Target) -> float:
    """Nats by which moments of a long run suit its own draws better than others: half the moments over the draws."""
    assert target.truth is not None
    effective = target.truth.certificate.details.get("ess_square_min", math.inf)
    assert isinstance(effective, float)
    return target.dim * (target.dim + 3) / (4 * effective)


COSTLY = {"gaussian_process_regression", "radon", "brownian_motion", "item_response"}
OWN = [name for name, entry in TARGETS.entries.items() if "posteriordb" not in entry.tags]


def known(name: str) -> Target:
    target = load(name)
    if target.truth is None:
        pytest.skip(f"nothing is known of {name}")
    return target


@pytest.mark.parametrize("name", seldom(targets.names(), COSTLY))
def test_the_truth_s_own_draws_are_near_their_floors(name: str) -> None:
    """2,000 draws, others than those of the reference where there is an exact sampler.

    Certified draws are the reference's own, and no second sample to be told from it: they have the other metrics alone.
    Errors are below twice the 95 % quantile, squared errors below four times: of a correct floor beyond the 99.9 % one.
    """
    target = known(name)
    assert target.truth is not None
    draws = target.truth.draws(2000, seed=12)
    assert draws is not None
    seen = metrics.evaluate(Draws(draws[None]), target, metrics.Reference.of(target), 0)
    for metric in METRICS.values():
        value, floor = seen[metric.name], seen[metric.sampling_floor]
        if metric.final and target.truth.sample is None:
            continue
        if math.isnan(value) or metric.perfect is None:
            assert metric.name not in ALWAYS
            continue
        error = abs(math.log(value)) if metric.name == "sd_ratio_worst" else abs(value - metric.perfect)
        factor = 4 if metric.name.endswith(("_b2", "_b2_worst")) or metric.name == "covariance_error" else 2
        assert error < factor * floor + 2 * seen[metric.reference_floor], metric.name


@pytest.mark.parametrize("name", seldom(OWN, COSTLY))
def test_a_gaussian_with_the_true_moments_and_a_poorer_one(name: str) -> None:
    target = known(name)
    assert target.truth is not None
    moments, reference = target.truth.moments, metrics.Reference.of(target)
    best = metrics.evaluate(Gaussian.from_moments(moments.mean, moments.covariance), target, reference, 0)
    poor = metrics.evaluate(Gaussian(moments.mean + moments.sd, 0.5 * moments.sd), target, reference, 0)
    for metric in ("mean_error", "centred_b2", "covariance_error"):
        assert best[metric] == pytest.approx(0, abs=1e-8)
    assert best["sd_ratio_worst"] == pytest.approx(1)
    assert poor["mean_error"] == pytest.approx(1)
    assert poor["mean_error_worst"] == pytest.approx(1)
    assert poor["centred_b2_worst"] > 0
    assert poor["sd_ratio_worst"] == pytest.approx(0.5)
    if math.isnan(target.truth.log_normaliser):
        assert all(math.isnan(seen[metric]) for seen in (best, poor) for metric in ("kl_forward", "kl_reverse"))
        return
    # Among Gaussians the one with the true moments has the least forward divergence, and the bounds hold.
    assert poor["kl_forward"] > best["kl_forward"]
    for seen in (best, poor):
        if HARD_BOUNDARY in target.tags:  # some of a Gaussian's mass lies beyond it
            assert (seen["elbo"], seen["kl_reverse"]) == (-math.inf, math.inf)
            continue
        noise = 3 * seen["elbo_sampling_floor"] + 3 * target.truth.log_normaliser_error + 1e-9
        assert seen["elbo"] <= target.truth.log_normaliser + noise
        slack = 3 * seen["eubo_reference_floor"] + flattery(target) + 1e-9
        assert seen["eubo"] >= target.truth.log_normaliser - slack
        assert seen["kl_reverse"] == pytest.approx(max(0.0, target.truth.log_normaliser - seen["elbo"]))


@pytest.mark.parametrize("name", seldom(OWN, COSTLY))
def test_summaries_are_plain(name: str) -> None:
    target = known(name)
    assert target.truth is not None
    moments = target.truth.moments
    said = metrics.summary(Gaussian(moments.mean + moments.sd, 0.5 * moments.sd), target, metrics.Reference.of(target))
    np.testing.assert_allclose(said["mean_z"], 1.0)
    np.testing.assert_allclose(said["sd_ratio"], 0.5)
    assert ("mode_masses" in said) is (target.truth.modes is not None)
    assert ("named" in said) is (target.truth.named is not None and target.named is not None)
