"""Crossovers, times and slopes on curves whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.statistics import (
    NOTHING,
    Outcome,
    Trace,
    crossover,
    final_error,
    fit_slope,
    median_interval,
    time_to_error,
)

COSTS = np.geomspace(1.0, 1e4, 81)  # a factor of 1.122 apart


def sampling(scale: float, costs: np.ndarray = COSTS) -> Trace:
    return Trace(costs, scale / np.sqrt(costs))


def flat(floor: float, costs: np.ndarray = COSTS[:20]) -> Trace:
    return Trace(costs, np.full(len(costs), floor))


def steps(*points: tuple[float, float]) -> Trace:
    return Trace(*np.array(points, dtype=np.float64).T)


@pytest.mark.parametrize("floor", [0.3, 0.1, 0.03])
def test_a_power_law_meets_a_floor_where_algebra_says(floor: float) -> None:
    found = crossover({s: flat(floor) for s in range(5)}, {s: sampling(2.0) for s in range(5)})
    exact = (2.0 / floor) ** 2
    assert found.outcome is Outcome.CROSSES and found.seeds == 5 and found.budget == 1e4
    assert exact * (1 - 1e-12) <= found.cost.value <= exact * 1.123
    assert found.cost.low == found.cost.value == found.cost.high


def test_the_first_touch_of_two_curves_is_not_the_crossover() -> None:
    vi = steps((1, 0.5))
    mcmc = steps((1, 9.0), (2, 0.4), (3, 0.6), (5, 0.5), (8, 0.2))
    assert crossover({0: vi}, {0: mcmc}).cost.value == 5


def test_steps_hold_until_the_next_checkpoint_of_either() -> None:
    """VI falls at 4 below what sampling has since 2; sampling follows at 7."""
    vi, mcmc = steps((1, 0.5), (4, 0.1)), steps((2, 0.3), (7, 0.05))
    assert crossover({0: vi}, {0: mcmc}).cost.value == 7
    assert crossover({0: steps((1, 0.5))}, {0: mcmc}).cost.value == 2


def test_the_median_decides_not_the_mean() -> None:
    vi = {s: steps((1, 1.0)) for s in range(3)}
    mcmc = {0: steps((2, 0.1)), 1: steps((3, 0.1)), 2: NOTHING}
    found = crossover(vi, mcmc)
    assert found.cost.value == 3
    assert found.cost.low == 2 and found.cost.high == math.inf


def test_seeds_are_paired_and_others_left_out() -> None:
    vi = {0: flat(0.1), 1: flat(0.1), 7: flat(1e-9)}
    mcmc = {0: sampling(1.0), 1: sampling(1.0), 8: sampling(1e9)}
    found = crossover(vi, mcmc)
    assert found.seeds == 2 and 99.9 <= found.cost.value <= 113


@pytest.mark.parametrize(
    ("vi", "mcmc", "outcome", "cost"),
    [
        (flat(1e-9), sampling(1.0), Outcome.CENSORED, math.inf),
        (steps((5, 9.0)), sampling(1.0), Outcome.FIRST, 1.0),
        (steps((0.5, 9.0)), sampling(1.0), Outcome.CROSSES, 1.0),
        (NOTHING, sampling(1.0), Outcome.VI_FAILED, 1.0),
        (NOTHING, NOTHING, Outcome.VI_FAILED, math.inf),
        (flat(0.1), NOTHING, Outcome.MCMC_FAILED, math.inf),
        (flat(0.1), steps((1, math.inf), (2, math.inf)), Outcome.MCMC_FAILED, math.inf),
        (flat(math.nan), sampling(1.0), Outcome.UNDEFINED, math.inf),
        (flat(0.1), steps((1, math.nan)), Outcome.UNDEFINED, math.inf),
        (flat(0.1), steps((1, math.nan), (2, 0.01)), Outcome.CROSSES, 2.0),
        (flat(0.1), steps((1, 0.1)), Outcome.FIRST, 1.0),
    ],
)
def test_edges(vi: Trace, mcmc: Trace, outcome: Outcome, cost: float) -> None:
    found = crossover({0: vi, 1: vi}, {0: mcmc, 1: mcmc})
    assert (found.outcome, found.cost.value) == (outcome, cost)


def test_nothing_in_common_is_undefined() -> None:
    assert crossover({0: flat(0.1)}, {1: sampling(1.0)}).outcome is Outcome.UNDEFINED


@pytest.mark.parametrize("seeds", [2, 3, 5, 6, 9])
def test_intervals_hold_the_value_and_agree_with_resampling(seeds: int) -> None:
    """The exact bootstrap up to six seeds against 4000 random resamples: a quantile may slip by one order statistic."""
    rng = np.random.default_rng(seeds)
    vi = {s: flat(0.1 * rng.lognormal(0, 0.3)) for s in range(seeds)}
    mcmc = {s: sampling(rng.lognormal(0, 0.3)) for s in range(seeds)}
    found = crossover(vi, mcmc)
    assert found.cost.low <= found.cost.value <= found.cost.high
    drawn = []
    for _ in range(4000):
        index = rng.integers(0, seeds, seeds)
        pair = {k: vi[i] for k, i in enumerate(index)}, {k: mcmc[i] for k, i in enumerate(index)}
        drawn.append(crossover(*pair, interval=False).cost.value)
    for end, (below, above) in ((found.cost.low, (0.005, 0.06)), (found.cost.high, (0.94, 0.995))):
        low, high = np.quantile(drawn, [below, above], method="inverted_cdf")
        assert low <= end <= high


def test_the_interval_covers_the_crossover_of_the_medians() -> None:
    """200 races of 15 seeds: nominal 95 %; fewer than 88 % or more than 99.9 % has probability below 1e-3 at 95 %."""
    rng = np.random.default_rng(5)
    grid = np.geomspace(1, 1e4, 200)
    covered = 0
    for _ in range(200):
        vi = {s: Trace(grid[:1], np.array([0.1])) for s in range(15)}
        mcmc = {s: sampling(rng.lognormal(0.0, 0.4), grid) for s in range(15)}
        cost = crossover(vi, mcmc).cost
        covered += cost.low <= 100 * 1.0475 and cost.high >= 100  # the next checkpoint is at most that much later
    assert 176 <= covered <= 199


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=12), st.floats(0.01, 100))
def test_times_are_the_first_from_which_the_error_stays(errors: list[float], level: float) -> None:
    trace = Trace(np.arange(1.0, len(errors) + 1), np.array(errors))
    (found,) = time_to_error([trace], level)
    later = [i for i in range(len(errors)) if all(error <= level for error in errors[i:])]
    assert found == (later[0] + 1 if later else math.inf)


def test_runs_that_never_arrive_are_censored_not_dropped() -> None:
    times = time_to_error([sampling(1.0), sampling(1.0), NOTHING, flat(1.0), flat(1.0)], 0.1)
    assert np.isinf(times).sum() == 3
    assert median_interval(times).value == math.inf
    assert math.isnan(median_interval([math.nan]).value)
    assert final_error([flat(0.1), flat(0.2), flat(0.4)]).value == 0.2
    assert final_error([flat(0.1), NOTHING, NOTHING]).value == math.inf


def test_an_exact_power_law_gives_its_exponent() -> None:
    errors = np.array([3.0 * COSTS**-0.5] * 4)
    fitted = fit_slope(COSTS, errors, effective=1000.0)
    assert fitted is not None
    assert fitted.slope.value == pytest.approx(-0.5, abs=1e-12)
    assert fitted.at(400.0) == pytest.approx(3.0 / 20)
    squared = fit_slope(COSTS, errors**2, effective=1000.0, rate=-1.0)
    assert squared is not None and squared.slope.value == pytest.approx(-1.0, abs=1e-12)


def test_a_fit_begins_where_thirty_draws_are_effective() -> None:
    """The transient before is not fitted: there the error falls as 1/cost."""
    errors = np.where(COSTS < 300, 300 / COSTS, 1.0) * np.sqrt(300 / COSTS)
    fitted = fit_slope(COSTS, np.array([errors] * 3), effective=1000.0)
    assert fitted is not None
    assert fitted.first >= 300 and fitted.slope.value == pytest.approx(-0.5)
    without = fit_slope(COSTS, np.array([errors] * 3), effective=math.nan)
    assert without is not None and 10 <= without.first < 12 and without.slope.value < -0.6


def test_too_little_is_not_fitted() -> None:
    assert fit_slope(COSTS, np.ones((2, 81)), effective=31.0) is None
    assert fit_slope(COSTS[:4], np.ones((2, 4)), effective=1e6) is None
    assert fit_slope(COSTS, np.full((2, 81), math.nan), effective=1000.0) is None


def test_slope_intervals_cover_minus_one_half() -> None:
    """Running means of draws, 8 seeds x 10 coordinates, 100 races; below 80 has p < 1e-3 where coverage is 90 %."""
    rng = np.random.default_rng(11)
    costs = np.unique(np.geomspace(30, 3000, 20).astype(int))
    covered, widths = 0, []
    for _ in range(100):
        means = np.cumsum(rng.standard_normal((8, 10, 3000)), axis=2)[:, :, costs - 1] / costs
        fitted = fit_slope(costs.astype(float), np.sqrt((means**2).mean(axis=1)), effective=3000.0)
        assert fitted is not None
        covered += fitted.slope.low <= -0.5 <= fitted.slope.high
        widths.append(fitted.slope.high - fitted.slope.low)
    assert covered >= 80
    assert np.median(widths) < 0.2


def test_a_slope_leaves_out_where_a_seed_has_no_error_at_all() -> None:
    """A mass estimated from few draws can be exact by chance; a resample of such seeds would have no logarithm."""
    cost = np.geomspace(100.0, 100_000.0, 12)
    errors = np.tile(cost**-0.5, (5, 1))
    errors[2, 3] = 0.0
    fitted = fit_slope(cost, errors, math.nan)
    assert fitted is not None and fitted.slope.value == pytest.approx(-0.5)
    assert math.isfinite(fitted.slope.low) and math.isfinite(fitted.slope.high)
