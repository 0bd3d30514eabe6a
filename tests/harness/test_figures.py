"""The numbers of the figures against what is known of them, by ways that the figures do not use."""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from harness import figures, figures_race
from harness.budget import Budget
from harness.figures_regression import simulate
from reports.statistics import Interval, Slope
from targets import UsageError
from variational.closed_form import kl_from_precision, reverse_divergence
from variational.gaussian import Gaussian


@pytest.fixture(scope="module")
def drawn() -> dict[int, dict[str, Any]]:
    return {number: figures.compute(number, 1) for number in figures.NUMBERS if number not in (4, 7)}


def test_all_seven_are_there_and_plain_json(drawn: dict[int, dict[str, Any]]) -> None:
    assert figures.NUMBERS == (1, 2, 3, 4, 5, 6, 7)
    for numbers in drawn.values():
        assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(UsageError, match="figure 8 is not accepted; there are 1, 2, 3, 4, 5, 6, 7, "):
        figures.compute(8, 1)


def test_the_bars_of_figure_1_close(drawn: dict[int, dict[str, Any]]) -> None:
    numbers = drawn[1]
    sums = np.add(numbers["elbo"], numbers["kl"])
    np.testing.assert_allclose(sums, numbers["log_evidence"], atol=1e-6)
    assert numbers["log_evidence"] != 0
    assert np.all(np.diff(numbers["elbo"]) >= 0)
    assert len(numbers["sweeps"]) == len(numbers["elbo"]) == len(numbers["kl"])
    assert numbers["kl"][-1] < 0.5 * numbers["kl"][1]


def test_the_three_quantities_of_figure_1_are_computed_apart() -> None:
    """Each in another way: evidence by chaining predictive densities, KL and ELBO by Monte Carlo within 5 errors."""
    model = simulate(n=12, dim=2, correlation=0.5, seed=3)
    log_evidence, precision, shift = 0.0, np.eye(2) / model.prior_sd**2, np.zeros(2)
    for row, y in zip(model.inputs, model.outputs, strict=True):
        variance = model.noise_sd**2 + row @ np.linalg.solve(precision, row)
        error = y - row @ np.linalg.solve(precision, shift)
        log_evidence -= 0.5 * (math.log(2 * math.pi * variance) + error**2 / variance)
        precision, shift = precision + np.outer(row, row) / model.noise_sd**2, shift + row * y / model.noise_sd**2
    assert model.log_evidence == pytest.approx(log_evidence, abs=1e-10)

    q = Gaussian(np.array([0.3, -0.2]), np.array([0.4, 0.6]))
    draws = q.sample(np.random.default_rng(0), 20_000)
    target = model.target()
    bound = target.log_densities(draws) - q.log_density(draws)
    assert model.elbo(q) == pytest.approx(bound.mean(), abs=5 * bound.std() / math.sqrt(len(draws)))
    posterior = Gaussian.from_moments(model.mean, np.linalg.inv(model.precision))
    ratio = q.log_density(draws) - posterior.log_density(draws)
    divergence = kl_from_precision(q, model.mean, model.precision)
    assert divergence == pytest.approx(ratio.mean(), abs=5 * ratio.std() / math.sqrt(len(draws)))


def test_the_gradient_of_the_regression() -> None:
    target = simulate(n=12, dim=3, correlation=0.5, seed=3).target()
    points = np.random.default_rng(1).standard_normal((4, 3))
    _, slopes = target.evaluate(points)
    for j in range(3):
        step = 1e-5 * np.eye(3)[j]
        slope = (target.log_densities(points + step) - target.log_densities(points - step)) / 2e-5
        np.testing.assert_allclose(slopes[:, j], slope, rtol=1e-7)


def test_figure_2_finds_both_optima(drawn: dict[int, dict[str, Any]]) -> None:
    numbers = drawn[2]
    assert numbers["correlation"] == 0.9
    np.testing.assert_allclose(numbers["reverse_variance"], 0.19, atol=1e-3)
    np.testing.assert_allclose(numbers["forward_variance"], 1.0, atol=1e-3)
    expected = reverse_divergence(np.linalg.inv(np.array(numbers["covariance"])))
    assert numbers["reverse_kl"] == pytest.approx(expected, abs=1e-6)
    assert numbers["forward_kl"] == pytest.approx(expected, abs=1e-6)  # equal in two dimensions: -log(1 - 0.81)/2


def test_figure_2_does_not_depend_on_its_start(drawn: dict[int, dict[str, Any]]) -> None:
    again = figures.compute(2, 17)
    assert again["start"] != drawn[2]["start"]
    np.testing.assert_allclose(again["reverse_variance"], drawn[2]["reverse_variance"], atol=1e-6)
    np.testing.assert_allclose(again["forward_variance"], drawn[2]["forward_variance"], atol=1e-6)


def test_figure_3_forward_matches_moments_and_reverse_takes_one_mode(drawn: dict[int, dict[str, Any]]) -> None:
    numbers = drawn[3]
    mean = 0.6 * -3 + 0.4 * 3
    variance = 0.6 * (1 + (mean + 3) ** 2) + 0.4 * (0.49 + (mean - 3) ** 2)
    for found in (numbers["mixture"], numbers["forward"]):
        assert found["mean"] == pytest.approx(mean, abs=1e-3)
        assert found["variance"] == pytest.approx(variance, abs=1e-3)
    assert numbers["reverse"]["mean"] == pytest.approx(-3, abs=0.1)
    assert numbers["reverse"]["variance"] == pytest.approx(1, abs=0.1)
    assert numbers["reverse"]["kl"] == pytest.approx(-math.log(0.6), abs=0.02)  # q is one component: KL = -log weight
    width = numbers["grid"][1] - numbers["grid"][0]
    for curve in (numbers["target"], numbers["reverse"]["density"], numbers["forward"]["density"]):
        assert sum(curve) * width == pytest.approx(1.0, abs=0.02)


def test_figure_5_is_coordinate_ascent(drawn: dict[int, dict[str, Any]]) -> None:
    numbers = drawn[5]
    states = numbers["sweeps"]
    assert len(states) == 9  # the start, and eight sweeps
    assert np.all(np.diff([state["elbo"] for state in states]) >= 0)
    reciprocal = 1 / np.diagonal(np.array(numbers["precision"]))
    for state in states[1:]:
        np.testing.assert_allclose(state["variance"], reciprocal, rtol=1e-12)
    means = np.array([state["mean"] for state in states])
    rho = numbers["covariance"][0][1]
    np.testing.assert_allclose(means[2:], rho**2 * means[1:-1], rtol=1e-9)
    assert abs(means[2]).max() > 0.3  # not at the origin in two steps
    assert "two" in numbers["note"]
    gap = numbers["log_normaliser"] - states[-1]["elbo"]
    assert gap == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.01)  # what mean field cannot close


def kl_to_mixture(mean: float, log_sd: np.ndarray, separation: float) -> np.ndarray:
    """KL(N(mean, sd^2) || two equal unit Gaussians), for several sd, by equal masses: neither optimiser nor grid."""
    z = ndtri((np.arange(4000) + 0.5) / 4000)
    x = mean + np.exp(log_sd)[:, None] * z
    half = 0.5 * separation
    log_p = np.logaddexp(-0.5 * (x - half) ** 2, -0.5 * (x + half) ** 2) - math.log(2 * math.sqrt(2 * math.pi))
    return np.asarray(-0.5 * (1 + math.log(2 * math.pi)) - log_sd - log_p.mean(axis=1))


def minima(separation: float) -> int:
    """How many local minima the profile over means has on the right of the centre."""
    log_sd = np.linspace(-0.3, 1.0, 60)
    means = np.linspace(0.3, 0.5 * separation + 0.5, 60)
    profile = np.array([kl_to_mixture(float(mean), log_sd, separation).min() for mean in means])
    return int(np.sum((profile[1:-1] < profile[:-2]) & (profile[1:-1] < profile[2:])))


def test_figure_6_has_one_optimum_then_three(drawn: dict[int, dict[str, Any]]) -> None:
    numbers = drawn[6]
    for entry in numbers["reverse"]:
        means = [optimum["mean"] for optimum in entry["optima"]]
        assert len(means) == (1 if entry["separation"] < numbers["critical_separation"] else 3)
        np.testing.assert_allclose(means, -np.array(means[::-1]), atol=1e-5)  # symmetric
    for entry in numbers["forward"]:
        assert entry["mean"] == pytest.approx(0, abs=1e-3)
        assert entry["variance"] == pytest.approx(1 + entry["separation"] ** 2 / 4, abs=1e-3)
    last = numbers["reverse"][-1]
    assert last["optima"][2]["mean"] == pytest.approx(last["separation"] / 2, abs=0.01)
    assert last["optima"][2]["kl"] == pytest.approx(math.log(2), abs=1e-2)
    assert last["optima"][1]["kl"] > last["optima"][2]["kl"]


def test_where_the_modes_get_their_own_optima_in_figure_6(drawn: dict[int, dict[str, Any]]) -> None:
    critical, switch = drawn[6]["critical_separation"], drawn[6]["switch_separation"]
    assert minima(critical - 0.1) == 0
    assert minima(critical + 0.1) == 1
    by_separation = {entry["separation"]: entry["optima"] for entry in drawn[6]["reverse"]}
    for separation, optima in by_separation.items():
        if len(optima) == 3:
            assert (optima[0]["kl"] < optima[1]["kl"]) is (separation > switch)


def test_same_seed_same_numbers(drawn: dict[int, dict[str, Any]]) -> None:
    for number in (1, 2, 3, 5):
        assert figures.compute(number, 1) == drawn[number]


@pytest.fixture(scope="module")
def small_race() -> dict[str, Any]:
    return figures_race.race(
        "correlated_gaussian[dim=3]", ("advi_meanfield", "advi_fullrank", "hmc"), (1, 2, 3), Budget(30_000, 20.0)
    )


def test_figure_4_shows_the_floor_of_mean_field_and_a_sampler_below_it(small_race: dict[str, Any]) -> None:
    """The floor of each coordinate is (1 - v)/sqrt 2, v its conditional variance; that of full rank is zero."""
    assert json.loads(json.dumps(small_race, allow_nan=False)) == small_race
    covariance = 0.9 ** np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    conditional = 1 / np.diagonal(np.linalg.inv(covariance))
    floor = math.sqrt(np.mean((1 - conditional) ** 2 / 2))
    assert small_race["floors"]["advi_meanfield"] == pytest.approx(floor, rel=0.05)
    assert small_race["floors"]["advi_fullrank"] < 0.1 * floor
    assert small_race["curves"]["hmc"]["error"][-1] < 0.5 * floor
    assert small_race["crossovers"]["advi_meanfield"]["seconds"] > 0
    assert small_race["crossover_of"] == "advi_fullrank"
    for curve in small_race["curves"].values():
        assert np.all(np.diff(curve["seconds"]) > 0)
        assert len({len(column) for column in curve.values()}) == 1


def test_the_slope_of_figure_4_is_that_of_a_root_mean_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of that of the squared error, which falls as 1/n."""
    fitted = Slope(Interval(-1.0, -1.2, -math.inf), 0.0, 1.0, 100.0, 9)
    monkeypatch.setattr(figures_race.analysis, "slope", lambda *_: fitted)
    of_root = figures_race._slope(object())  # type: ignore[arg-type]
    assert of_root == {"value": -0.5, "low": -0.6, "high": None}
