"""Sampling floors are 95 % quantiles: about one in twenty sets of independent exact draws lies above them.

200 sets of 100 draws a case, for every metric there is. Of a correct floor more than 30 sets lie above it with
probability 1e-8, and with 2e-5 of one that 7 % exceed; fewer than 3 lie above `share` of it with 1e-6, whatever the
shape between that of a normal and of a chi-square with one degree of freedom. Power: floors for a quarter of the draws,
or for four times as many, are off by a factor of two (of four, for squares), and are planted.
"""

import math
from typing import Any

import numpy as np
import pytest

import targets
from harness import metrics
from harness.metrics import laws
from harness.metrics.belief import Belief
from reports.records import METRICS, Metric
from reports.runs import deviation
from samplers.draws import Draws
from targets.kernel import Vector
from variational.gaussian import Gaussian

SETS, N = 200, 100
MOST, LEAST = 30, 3  # sets above the floor; sets above a share of it
WHOLE: list[tuple[str, dict[str, Any]]] = [  # these have every metric between them
    ("correlated_gaussian", {"dim": 10, "rho": 0.5}),
    ("eight_schools", {}),
    ("gmm_posterior", {"separation": 3.0}),
]
USUAL: list[tuple[str, dict[str, Any]]] = [  # and these the ones of every checkpoint
    ("correlated_gaussian", {"dim": 10, "structure": "equicorrelated", "rho": 0.9, "mean": 1.0}),
    ("bimodal_mixture", {"weight": 0.3, "dim": 2}),
    ("banana", {}),
    ("student_t", {"df": 12.0, "dim": 4}),
    ("funnel", {"dim": 5, "scale": 1.0}),
]
OF_DENSITIES = {"elbo", "eubo", "kl_reverse", "kl_forward"}


def share(metric: Metric) -> float:
    """Of a floor: what a tenth of the sets exceed, or more."""
    return 0.6 if metric.rate == -1.0 else 0.75


def wrong(metric: Metric, errors: Vector, floor: float) -> str:
    """What the sets say against a floor, '' if nothing."""
    if np.sum(errors > floor) > MOST:
        return "too low"
    return "too high" if np.sum(errors > share(metric) * floor) < LEAST else ""


def sets(name: str, options: dict[str, Any], final: bool) -> tuple[dict[str, Vector], list[dict[str, float]]]:
    """Errors over sets by metric, and what is said of N, N / 4 and 4 N draws."""
    target = targets.load(name, **options)
    assert target.truth is not None
    assert target.truth.sample is not None
    reference, rng = metrics.Reference.of(target), np.random.default_rng(2024)
    seen = [
        metrics.evaluate(Draws(target.truth.sample(rng, N)[None]), target, reference, seed, final)
        for seed in range(SETS)
    ]
    others = [
        metrics.evaluate(Draws(target.truth.sample(rng, n)[None]), target, reference, 0, final) for n in (N // 4, 4 * N)
    ]
    known = [metric for metric in METRICS.values() if not math.isnan(seen[0][metric.name])]
    errors = {metric.name: deviation(metric, np.array([each[metric.name] for each in seen])) for metric in known}
    return errors, [seen[0], *others]


def check(errors: dict[str, Vector], said: list[dict[str, float]]) -> None:
    floors = [[each[METRICS[name].sampling_floor] for name in errors] for each in said]
    right, high, low = (
        [wrong(METRICS[name], values, floor) for (name, values), floor in zip(errors.items(), each, strict=True)]
        for each in floors
    )
    assert dict(zip(errors, right, strict=True)) == dict.fromkeys(errors, "")
    for seen, verdict in ((high, "too high"), (low, "too low")):
        caught = [each == verdict for each in seen]
        assert np.mean(caught) > 0.7, verdict


@pytest.fixture(scope="module")
def whole() -> list[tuple[dict[str, Vector], list[dict[str, float]]]]:
    return [sets(name, options, final=True) for name, options in WHOLE]


@pytest.mark.parametrize("case", range(len(WHOLE)), ids=[name for name, _ in WHOLE])
def test_one_in_twenty_sets_of_exact_draws_exceeds_the_floor_of_any_metric(whole: Any, case: int) -> None:
    check(*whole[case])


def test_no_metric_is_left_out(whole: Any) -> None:
    assert {name for errors, _ in whole for name in errors} | OF_DENSITIES == set(METRICS)


@pytest.mark.parametrize(("name", "options"), USUAL)
def test_one_in_twenty_on_other_targets(name: str, options: dict[str, Any]) -> None:
    check(*sets(name, options, final=False))


def test_the_half_width_of_a_divergence_holds_the_truth_in_nineteen_of_twenty_estimates() -> None:
    """Against an integral on a grid, on a target that is not Gaussian; 200 sets of draws of q."""
    from harness.metrics.divergences import divergences

    target = targets.load("bimodal_mixture", dim=2, separation=3.0)
    assert target.truth is not None
    reference, q = metrics.Reference.of(target), Gaussian(np.array([0.3, -0.2]), np.array([1.5, 1.2]))
    axes = [mean + sd * np.linspace(-9, 9, 301) for mean, sd in zip(q.mean, q.sd, strict=True)]
    nodes = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    log_q = q.log_density(nodes)
    area = math.prod(float(axis[1] - axis[0]) for axis in axes)
    exact = {"elbo": area * float(np.exp(log_q) @ (target.log_densities(nodes) - log_q))}
    exact["kl_reverse"] = target.truth.log_normaliser - exact["elbo"]
    seen = [divergences(q, target, reference, Belief.of(q, 2, seed).draws) for seed in range(SETS)]
    for name, known in exact.items():
        ratio = np.array([abs(each[name] - known) / each[f"{name}_sampling_floor"] for each in seen])
        assert wrong(METRICS[name], ratio, 1.0) == ""
        assert wrong(METRICS[name], ratio, 0.5) == "too low"
        assert wrong(METRICS[name], ratio, 2.0) == "too high"
    for name in ("eubo", "kl_forward"):
        assert {(each[name], each[f"{name}_sampling_floor"]) for each in seen} == {(seen[0][name], 0.0)}


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
    target = targets.load("bimodal_mixture", dim=2)
    q = Gaussian(np.zeros(2), np.ones(2))
    seen = metrics.evaluate(q, target, metrics.Reference.of(target), 0)
    for name in ("mean_error", "centred_b2_worst", "sd_ratio_worst", "coverage_90", "covariance_error", "eubo"):
        assert seen[f"{name}_sampling_floor"] == 0.0, name
    for name in ("sliced_wasserstein", "mode_mass_error", "kl_reverse", "elbo"):
        assert seen[f"{name}_sampling_floor"] > 0.0, name


def test_exact_truths_have_no_reference_floor_but_where_draws_stand_for_them() -> None:
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
