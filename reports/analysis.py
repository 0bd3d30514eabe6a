"""What the records say about one target: crossovers, the best method of each kind, the sampler's slope, alarms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reports.records import METRICS, Metric
from reports.runs import E_BFMI_ALARM, ESS_ALARM, K_HAT_ALARM, R_HAT_ALARM, Axis, Entry, Ledger, median, number
from reports.statistics import (
    Crossover,
    Interval,
    Outcome,
    Slope,
    Trace,
    Traces,
    crossover,
    final_error,
    fit_slope,
    incomparable,
    median_interval,
    time_to_error,
)

FINE, TENTH = 0.01, 0.1  # what a reference must resolve: posterior sd, and the share of the error seen
NEAR_FLOOR = 1.1  # a VI method has settled where its error stays within this factor of its last
QUESTIONS = (
    ("means", ("mean_error",)),
    ("spread", ("sd_ratio_worst", "sliced_wasserstein")),  # not centred_b2: one mode out of two can have it perfect
    ("modes", ("mode_mass_error",)),
)


@dataclass(frozen=True)
class Match:
    """A VI method and the sampler that overtakes it first, or that comes closest."""

    vi: str
    mcmc: str
    found: Crossover


@dataclass(frozen=True)
class Answer:
    """One row of page one: on one target, for one question.

    Attributes:
        question: means, spread or modes; `metric` is what answers it.
        vi: the VI method with the lowest floor, None if none gave an answer.
        floor: that floor; `settled` is when it is reached, `noise` what the reference's own error implies.
        match: against the sampler that overtakes it first, None where nothing can be compared.
        sampler: the sampler with the lowest error at the end of its budget, and that error.
    """

    target: str
    question: str
    metric: Metric
    vi: str | None
    floor: Interval
    noise: float
    settled: Interval
    match: Match | None
    sampler: str | None
    sampler_error: Interval


@dataclass(frozen=True)
class Alarm:
    """A diagnostic beyond its limit, and on how many runs."""

    method: str
    diagnostic: str
    text: str


def matches(methods: Mapping[str, Entry], metric: Metric, axis: Axis, ledger: Ledger) -> list[Match]:
    """For every VI method the sampler that overtakes it first; where none does, the one with the lowest final error.

    Unadjusted samplers take no part.
    """
    competing = {name: entry.traces(metric, axis, ledger) for name, entry in methods.items() if entry.runs}
    samplers = [methods[name] for name in competing if methods[name].kind == "mcmc" and not methods[name].unadjusted]
    ends = {entry.method: _end(competing[entry.method]) for entry in samplers}

    def meet(vi: Entry, mcmc: Entry, interval: bool) -> Crossover:
        if axis == "evaluations" and not (vi.has_evaluations and mcmc.has_evaluations):
            return incomparable()
        return crossover(competing[vi.method], competing[mcmc.method], interval)

    found = []
    for name, vi in methods.items():
        if name in competing and vi.kind == "vi" and samplers:
            rivals = [(meet(vi, mcmc, interval=False).cost.value, ends[mcmc.method], mcmc) for mcmc in samplers]
            first = min(rivals, key=lambda rival: rival[:2])[2]
            found.append(Match(vi.method, first.method, meet(vi, first, interval=True)))
    return found


def answers(target: str, methods: Mapping[str, Entry], of: Mapping[str, list[Match]]) -> list[Answer]:
    """The rows of page one for a target; `of` gives `matches` by metric, in seconds and with the default ledger."""
    rows = []
    for question, names in QUESTIONS:
        metric = next((METRICS[name] for name in names if _defined(methods, METRICS[name])), None)
        if metric is not None:
            rows.append(_answer(target, question, metric, methods, of.get(metric.name, [])))
    return rows


def resolved(metric: Metric, error: float, noise: float) -> bool:
    """Whether a reference whose own error implies `noise` can tell this error of a method from another.

    It can if its standard error is at most 0.01 posterior standard deviations, or at most a tenth of the error. Metrics
    of squared errors, which fall as 1/n, are compared by their roots.
    """
    power = 2 if metric.rate == -1.0 else 1
    return noise <= max(FINE**power, TENTH**power * abs(error))


def slope(entry: Entry, metric: Metric) -> Slope | None:
    """The fitted power law of a sampler's error in evaluations after warm-up; None if there is too little to fit.

    Runs that failed take no part. Checkpoints are matched by their order after warm-up, at their median cost.
    """
    if "mcmc" not in entry.tags or metric.rate is None:
        return None
    runs = [run for run in entry.runs.values() if not run.failure and run.running.any()]
    if not runs:
        return None
    length = min(int(run.running.sum()) for run in runs)
    costs = np.array([run.cost("evaluations", Ledger(warmup=False))[run.running][:length] for run in runs])
    errors = np.array([run.error(metric)[run.running][:length] for run in runs])
    cost = np.median(costs, axis=0)
    known = cost > 0
    if known.sum() < 2 or bool(np.isnan(errors).all()):
        return None
    effective = median([number(run.cell["ess_min"]) for run in runs])
    return fit_slope(cost[known], errors[:, known], effective, metric.rate)


def alarms(methods: Mapping[str, Entry]) -> list[Alarm]:
    """Diagnostics beyond the limits that their authors give, worst run of each method."""
    found = []
    for entry in methods.values():
        cells = [run.cell for run in entry.runs.values()]
        for name, limit in (("k_hat", K_HAT_ALARM), ("r_hat", R_HAT_ALARM), ("divergences", 0.0)):
            worst = max((number(cell[name], -math.inf) for cell in cells), default=-math.inf)
            if worst > limit:
                shown = f"{worst:.0f}" if name == "divergences" else f"{worst:.2f}"
                found.append(Alarm(entry.method, name, shown))
        for name, limit, digits in (("ess_min", ESS_ALARM, 0), ("e_bfmi", E_BFMI_ALARM, 2)):
            least = min((number(cell[name], math.inf) for cell in cells), default=math.inf)
            if least < limit:
                found.append(Alarm(entry.method, name, f"{least:.{digits}f}"))
        failed = sum(cell["status"] == "failed" for cell in cells)
        if failed:
            found.append(Alarm(entry.method, "failed", f"{failed} of {len(cells)}"))
    return found


def _answer(target: str, question: str, metric: Metric, methods: Mapping[str, Entry], of: list[Match]) -> Answer:
    unknown = Interval(math.nan, math.nan, math.nan)
    vi = _best(methods, metric, "vi")
    sampler = _best(methods, metric, "mcmc")
    floor = settled = unknown
    if vi is not None:
        traces = list(vi.traces(metric, "seconds", Ledger()).values())
        floor = final_error(traces)
        settled = median_interval([_settles(trace) for trace in traces])
    match = next((match for match in of if vi is not None and match.vi == vi.method), None)
    if match is None or match.found.outcome is Outcome.UNDEFINED:
        match = None
    error = unknown if sampler is None else final_error(list(sampler.traces(metric, "seconds", Ledger()).values()))
    return Answer(
        target,
        question,
        metric,
        vi.method if vi else None,
        floor,
        _noise(methods, metric),
        settled,
        match,
        sampler.method if sampler else None,
        error,
    )


def _best(methods: Mapping[str, Entry], metric: Metric, kind: str) -> Entry | None:
    ends = [
        (_end(entry.traces(metric, "seconds", Ledger())), name)
        for name, entry in methods.items()
        if entry.kind == kind and entry.runs and not entry.unadjusted
    ]
    finite = [end for end in ends if math.isfinite(end[0])]
    return methods[min(finite)[1]] if finite else None


def _noise(methods: Mapping[str, Entry], metric: Metric) -> float:
    """The largest floor of the reference at the end of any run, zero for an exact one."""
    ends = [run.curves[metric.reference_floor][-1:] for entry in methods.values() for run in entry.runs.values()]
    known = np.concatenate(ends) if ends else np.empty(0)
    return float(np.max(known[np.isfinite(known)], initial=0.0))


def _end(traces: Traces) -> float:
    return median([trace.error[-1] if len(trace.error) else math.inf for trace in traces.values()], math.inf)


def _settles(trace: Trace) -> float:
    return math.inf if len(trace.error) == 0 else float(time_to_error([trace], NEAR_FLOOR * trace.error[-1])[0])


def _defined(methods: Mapping[str, Entry], metric: Metric) -> bool:
    return any(bool(np.isfinite(run.error(metric)).any()) for entry in methods.values() for run in entry.runs.values())
