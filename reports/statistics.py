"""Statistics over seeds: medians, times to an accuracy, the crossover, and the slope of sampling, with intervals.

A run is a step function of its cost: at cost c its error is that of its last checkpoint at or before c; before the
first checkpoint it is infinite (there is no answer yet), and after the last it stays (an answer once given remains). An
error that is NaN at a checkpoint counts as infinite there. Seed medians are taken cost by cost on the union of all
checkpoints of all runs compared. Intervals are percentile bootstraps over seeds, 95 %: exact (all resamples, each with
its probability) up to six seeds, and `RESAMPLES` random ones with a fixed seed beyond. With fewer than about ten seeds
such an interval is narrower than it should be: read it as the range of what was seen.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 400
TAIL = 0.025
_ENUMERATED = 6  # seeds: 462 resamples


@dataclass(frozen=True)
class Trace:
    """One run: cost (n,) that never falls, and error (n,)."""

    cost: Array
    error: Array

    @cached_property
    def steps(self) -> Array:
        """(n + 1,) the error before the first checkpoint, and from each on: NaN counts as infinite."""
        return np.append(math.inf, np.where(np.isnan(self.error), math.inf, self.error))

    def at(self, grid: Array) -> Array:
        """The error at every cost of `grid`, as a step function."""
        return np.asarray(self.steps[np.searchsorted(self.cost, grid, side="right")])


NOTHING = Trace(np.empty(0), np.empty(0))  # a run that failed: it never has an answer
Traces = Mapping[int, Trace]  # by seed


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval; infinite ends are censored."""

    value: float
    low: float
    high: float


class Outcome(StrEnum):
    """How a crossover turned out."""

    CROSSES = "crosses"
    FIRST = "ahead from the start"
    CENSORED = "not within the budget"
    VI_FAILED = "VI gave no answer"
    MCMC_FAILED = "MCMC gave no answer"
    UNDEFINED = "undefined"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Crossover:
    """The earliest cost from which on the seed-median error of the MCMC stays at or below that of the VI method.

    Attributes:
        outcome: what happened; only CROSSES, FIRST and VI_FAILED have a finite cost.
        cost: with its interval, infinite where censored.
        budget: the largest cost that was looked at.
        seeds: how many seeds both methods have.
    """

    outcome: Outcome
    cost: Interval
    budget: float
    seeds: int


def crossover(vi: Traces, mcmc: Traces, interval: bool = True) -> Crossover:
    """Where sampling overtakes VI; seeds that only one of them has are left out. Without `interval`, the value alone.

    A run that failed, or whose diagnostics say that it did, is to be given as `NOTHING`. The outcome is UNDEFINED where
    an error is NaN at every checkpoint of one of the two, though it has some.
    """
    seeds = sorted(set(vi) & set(mcmc))
    never = Interval(math.inf, math.inf, math.inf)
    if not seeds or _undefined(vi, seeds) or _undefined(mcmc, seeds):
        return Crossover(Outcome.UNDEFINED, never, math.nan, len(seeds))
    grid = np.unique(np.concatenate([runs[seed].cost for runs in (vi, mcmc) for seed in seeds]))
    if len(grid) == 0:
        return Crossover(Outcome.VI_FAILED, never, math.nan, len(seeds))
    ours = np.array([mcmc[seed].at(grid) for seed in seeds])
    theirs = np.array([vi[seed].at(grid) for seed in seeds])
    median, opposed = _median(ours), _median(theirs)
    value = float(_overtakes(median[None], opposed[None], grid)[0])
    outcome, budget = _outcome(median, opposed, value), float(grid[-1])
    if not interval:
        return Crossover(outcome, Interval(value, math.nan, math.nan), budget, len(seeds))
    index, weights = _resamples(len(seeds))
    found = _overtakes(_medians(ours, index), _medians(theirs, index), grid)
    low, high = _quantile(found, weights, TAIL), _quantile(found, weights, 1 - TAIL)
    return Crossover(outcome, Interval(value, low, high), budget, len(seeds))


def reaches(runs: Traces, level: float) -> Crossover:
    """From which cost on the seed-median error stays at or below `level`: the crossover with an answer that costs 0."""
    return crossover({seed: Trace(np.zeros(1), np.full(1, level)) for seed in runs}, runs)


def incomparable() -> Crossover:
    """The crossover of methods that do not share the unit of cost."""
    return Crossover(Outcome.NOT_COMPARABLE, Interval(math.inf, math.inf, math.inf), math.nan, 0)


def time_to_error(traces: Sequence[Trace], level: float) -> Array:
    """(runs,) the earliest cost from which on each run's error stays at or below `level`, or infinity."""
    return np.array([_settles(trace, level) for trace in traces])


def median_interval(values: Sequence[float] | Array) -> Interval:
    """The median over seeds with its bootstrap interval; infinities are censored values, NaN are left out."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if len(known) == 0:
        return Interval(math.nan, math.nan, math.nan)
    index, weights = _resamples(len(known))
    found = _medians(known[:, None], index)[:, 0]
    low, high = _quantile(found, weights, TAIL), _quantile(found, weights, 1 - TAIL)
    return Interval(float(np.median(known)), low, high)


def final_error(traces: Sequence[Trace]) -> Interval:
    """The median over seeds of the last checkpoint's error: for VI, its bias floor. Infinite for runs without one."""
    last = [trace.error[-1] if len(trace.error) else math.inf for trace in traces]
    return median_interval(np.array(last, dtype=np.float64))


@dataclass(frozen=True)
class Slope:
    """A power law error = exp(intercept) cost^slope, fitted to checkpoints from `first` to `last` (costs)."""

    slope: Interval
    intercept: float
    first: float
    last: float
    points: int

    def at(self, cost: float) -> float:
        """The fitted error."""
        return math.exp(self.intercept + self.slope.value * math.log(cost))


MIN_POINTS = 5
MIN_SPAN = 8.0  # last cost over first
MIN_EFFECTIVE = 30.0  # effective draws, worst coordinate, where the fit begins
MIN_DECADE = 10.0  # times the first cost, where effective draws are not known


def fit_slope(cost: Array, errors: Array, effective: float, rate: float = -0.5) -> Slope | None:
    """How sampling's error falls: the least-squares line of log pooled error against log cost.

    The error is pooled over seeds as the root mean square where independent draws lower it as n^(-1/2), and as the mean
    where it is a squared quantity that falls as 1/n; pooled so, its expectation has the rate of the sampler.
    The fit begins where the worst coordinate has `MIN_EFFECTIVE` effective draws, taking these to grow in
    proportion to cost up to `effective` at the last; if that is NaN, at `MIN_DECADE` times the first cost.
    It needs `MIN_POINTS` checkpoints that span a factor of `MIN_SPAN`. The interval is a bootstrap over seeds.

    Args:
        cost: (n,) evaluations after warm-up, the same for all seeds, growing.
        errors: (seeds, n), at those costs.
        effective: effective draws at the last cost.
        rate: see `Metric.rate`.

    Returns:
        None where there is too little to fit.
    """
    begin = MIN_DECADE * cost[0] if math.isnan(effective) else MIN_EFFECTIVE / max(effective, 1e-9) * cost[-1]
    power = 2.0 if rate == -0.5 else 1.0
    pooled = np.mean(errors**power, axis=0)
    used = (cost >= begin) & np.isfinite(pooled) & np.all(errors > 0, axis=0)  # no resample may be all zeros
    if used.sum() < MIN_POINTS or cost[used][-1] / cost[used][0] < MIN_SPAN:
        return None
    log_cost = np.log(cost[used])
    centred = log_cost - log_cost.mean()
    projection = centred / (centred @ centred)
    log_error = np.log(pooled[used]) / power
    slope = float(log_error @ projection)
    index, weights = _resamples(len(errors))
    raised = errors[:, used] ** power
    resampled = np.log(raised[index].mean(axis=1)) / power @ projection
    interval = Interval(slope, _quantile(resampled, weights, TAIL), _quantile(resampled, weights, 1 - TAIL))
    intercept = float(log_error.mean() - slope * log_cost.mean())
    return Slope(interval, intercept, float(cost[used][0]), float(cost[used][-1]), int(used.sum()))


def _undefined(runs: Traces, seeds: Sequence[int]) -> bool:
    errors = [runs[seed].error for seed in seeds if len(runs[seed].error)]
    return bool(errors) and all(bool(np.isnan(error).all()) for error in errors)


def _outcome(median: Array, opposed: Array, value: float) -> Outcome:
    if not np.isfinite(opposed).any():
        return Outcome.VI_FAILED
    if not np.isfinite(median).any():
        return Outcome.MCMC_FAILED
    if math.isinf(value):
        return Outcome.CENSORED
    return Outcome.CROSSES if bool((opposed < median).any()) else Outcome.FIRST


def _overtakes(ours: Array, theirs: Array, grid: Array) -> Array:
    """(resamples,) the cost from which on `ours` (resamples, costs) is finite and at or below `theirs`, to the end."""
    behind = ~(np.isfinite(ours) & (ours <= theirs))
    after_last = np.where(behind.any(axis=1), len(grid) - np.argmax(behind[:, ::-1], axis=1), 0)
    return np.append(grid, math.inf)[after_last]


def _settles(trace: Trace, level: float) -> float:
    if len(trace.error) == 0:
        return math.inf
    return float(_overtakes(trace.steps[None, 1:], np.full((1, len(trace.cost)), level), trace.cost)[0])


@cache
def _resamples(seeds: int) -> tuple[NDArray[np.intp], Array]:
    """Resamples (n, seeds) of seeds with replacement, and the probability of each."""
    if seeds > _ENUMERATED:
        drawn = np.random.default_rng(20_231).integers(0, seeds, size=(RESAMPLES, seeds))
        return drawn, np.full(RESAMPLES, 1 / RESAMPLES)
    index = np.array(list(itertools.combinations_with_replacement(range(seeds), seeds)), dtype=np.intp)
    ways = [math.factorial(seeds) / math.prod(math.factorial(int(n)) for n in np.bincount(row)) for row in index]
    return index, np.array(ways) / seeds**seeds


def _median(errors: Array) -> Array:
    """(costs,) medians over the rows of `errors` (seeds, costs)."""
    ranked, middle = np.sort(errors, axis=0), len(errors) // 2
    return np.asarray(ranked[middle] if len(errors) % 2 else (ranked[middle - 1] + ranked[middle]) / 2)


def _medians(errors: Array, index: NDArray[np.intp]) -> Array:
    """(resamples, costs) medians over the resampled rows of `errors` (seeds, costs), which holds no NaN.

    Selects among ranks, small integers, by exchanging whole arrays: a hundred times faster than a partition of floats
    along so short an axis.
    """
    order = np.argsort(errors, axis=0)
    ranks = np.empty(errors.shape, dtype=np.uint8 if len(errors) < 256 else np.uint16)
    np.put_along_axis(ranks, order, np.arange(len(errors), dtype=ranks.dtype)[:, None], axis=0)
    ranked = [ranks[row] for row in index.T]
    middle = len(ranked) // 2
    for smallest in range(middle + 1):
        for j in range(len(ranked) - 1, smallest, -1):
            lower = np.minimum(ranked[j - 1], ranked[j])
            np.maximum(ranked[j - 1], ranked[j], out=ranked[j])
            ranked[j - 1] = lower
    values = np.take_along_axis(errors, order, axis=0)
    columns = np.arange(errors.shape[1])
    upper = values[ranked[middle], columns]
    return np.asarray(upper if len(ranked) % 2 else (values[ranked[middle - 1], columns] + upper) / 2)


def _quantile(values: Array, weights: Array, probability: float) -> float:
    order = np.argsort(values)
    reached = np.searchsorted(np.cumsum(weights[order]), probability - 1e-12)
    return float(values[order][min(int(reached), len(values) - 1)])
