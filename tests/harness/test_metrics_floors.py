"""Sampling floors are 95 % quantiles: about one in twenty sets of independent exact draws lies above them.

400 sets of draws a case. The share above a correct floor has standard deviation 0.011, so that bounds of 0.01 and 0.1
raise a false alarm with probability below 0.0003 a metric; laws are approximate, and seeds are fixed. Power: a floor
for twice as many draws lies 1.4 times too low, and more than 0.1 of the sets are above it (asserted).
"""

import math
from typing import Any

import numpy as np
import pytest

import targets
from harness import metrics
from harness.metrics import laws
from reports.records import METRICS
from samplers.draws import Draws

SETS, N = 400, 100
CASES: list[tuple[str, dict[str, Any]]] = [
    ("correlated_gaussian", {"dim": 10, "structure": "equicorrelated", "rho": 0.9, "mean": 1.0}),
    ("correlated_gaussian", {"dim": 20, "rho": 0.5}),
    ("bimodal_mixture", {"weight": 0.3, "dim": 2}),
    ("banana", {}),
    ("student_t", {"df": 12.0, "dim": 4}),
    ("funnel", {"dim": 5, "scale": 1.0}),
]
UNDEFINED = {"elbo", "eubo", "kl_reverse", "kl_forward"}


def distance(name: str, value: float) -> float:
    """From the perfect answer, in the unit of the floors."""
    if name == "coverage_90":
        return abs(value - 0.9)
    return abs(math.log(value)) if name == "sd_ratio_worst" else value


@pytest.mark.parametrize(("name", "options"), CASES)
def test_one_in_twenty_sets_of_exact_draws_exceeds_its_floor(name: str, options: dict[str, Any]) -> None:
    target = targets.load(name, **options)
    assert target.truth is not None
    assert target.truth.sample is not None
    reference = metrics.Reference.of(target)
    rng = np.random.default_rng(2024)
    seen = []
    for _ in range(SETS):
        values = target.truth.sample(rng, N)
        seen.append(metrics.evaluate(Draws(values[None]), target, reference, 0))
    double = metrics.evaluate(Draws(target.truth.sample(rng, 2 * N)[None]), target, reference, 0)
    for metric in METRICS.values():
        if metric.name in UNDEFINED or math.isnan(seen[0][metric.name]):
            continue
        errors = np.array([distance(metric.name, each[metric.name]) for each in seen])
        above = np.mean(errors > seen[0][metric.sampling_floor])
        assert 0.01 <= above <= 0.1, metric.name
        assert np.mean(errors > double[metric.sampling_floor]) > 0.1, metric.name


@pytest.mark.parametrize(("n", "dim"), [(30, 1), (30, 5), (200, 20)])
def test_the_law_of_the_covariance_error_of_gaussian_draws(n: int, dim: int) -> None:
    """Mean and sd over 2,000 simulated sets, standard errors 2.2 % of the sd and about 3 %."""
    rng = np.random.default_rng(8)
    errors = []
    for _ in range(2000):
        x = rng.standard_normal((n, dim))
        covariance = np.cov(x.T, bias=True).reshape(dim, dim)
        _, log_determinant = np.linalg.slogdet(covariance)
        errors.append(0.5 * (np.trace(covariance) + x.mean(axis=0) @ x.mean(axis=0) - dim - log_determinant))
    mean, sd = laws.gaussian_covariance_error(n, dim)
    assert np.mean(errors) == pytest.approx(mean, abs=5 * sd / math.sqrt(2000))
    assert np.std(errors) == pytest.approx(sd, rel=0.15)


def test_floors_of_independent_gaussian_coordinates_in_closed_form() -> None:
    """n mean_error^2 dim is chi-square(dim); the worst of dim normals exceeds z where 1 - (2 Phi(z) - 1)^dim = 0.05."""
    averages = laws.Averages.of(np.eye(4), np.random.default_rng(0))
    assert averages.mean_square(50.0) == pytest.approx(9.4877 / 4 / 50, rel=0.1)
    assert averages.worst(50.0) == pytest.approx(2.4909 / math.sqrt(50), rel=0.06)


def test_correlation_raises_the_floor_of_the_mean_and_lowers_that_of_the_worst() -> None:
    rng = np.random.default_rng(0)
    apart, together = (laws.Averages.of(c, rng) for c in (np.eye(10), np.full((10, 10), 0.99) + 0.01 * np.eye(10)))
    assert together.mean_square(1.0) == pytest.approx(3.84, rel=0.15)  # chi-square of one degree of freedom
    assert apart.mean_square(1.0) == pytest.approx(18.307 / 10, rel=0.1)
    assert together.worst(1.0) < apart.worst(1.0)


def test_densities_have_no_sampling_floor_but_where_they_are_sampled() -> None:
    from variational.gaussian import Gaussian

    target = targets.load("bimodal_mixture", dim=2)
    q = Gaussian(np.zeros(2), np.ones(2))
    seen = metrics.evaluate(q, target, metrics.Reference.of(target), 0)
    for name in ("mean_error", "centred_b2_worst", "sd_ratio_worst", "coverage_90", "covariance_error", "eubo"):
        assert seen[f"{name}_sampling_floor"] == 0.0, name
    for name in ("sliced_wasserstein", "mode_mass_error", "kl_reverse", "elbo"):
        assert seen[f"{name}_sampling_floor"] > 0.0, name


def test_exact_truths_have_no_reference_floor_but_where_draws_stand_for_them() -> None:
    from variational.gaussian import Gaussian

    q = Gaussian(np.zeros(2), np.ones(2))
    for name, by_draws in (("correlated_gaussian", False), ("bimodal_mixture", True)):
        target = targets.load(name, dim=2)
        seen = metrics.evaluate(q, target, metrics.Reference.of(target), 0)
        assert seen["mean_error_reference_floor"] == seen["centred_b2_reference_floor"] == 0.0
        assert (seen["sliced_wasserstein_reference_floor"] > 0) is by_draws
        assert (seen["coverage_90_reference_floor"] > 0) is by_draws


def test_the_floor_of_the_modes_is_that_of_a_binomial() -> None:
    """100 draws, masses 0.3 and 0.7: 1.96 sqrt(0.21 / 100) = 0.0898, in steps of 0.01."""
    found = laws.total_variation(np.array([0.3, 0.7]), 100, np.random.default_rng(0))
    assert found == pytest.approx(0.0898, abs=0.011)
    assert laws.gamma_quantile(1.0, math.sqrt(2)) == pytest.approx(3.8415, abs=1e-3)  # chi-square(1)
