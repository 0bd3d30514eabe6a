"""How efficient sampling is, and what each method pays for a given accuracy: numbers, and their tables as text."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from reports.alarms import E_BFMI_ALARM, ESS_ALARM, R_HAT_ALARM
from reports.records import METRICS
from reports.runs import Axis, Entry, Ledger, Results, Run, number
from reports.statistics import Crossover, Interval, Outcome, incomparable, median_interval, reaches
from reports.wording import bracket, count, ranges, significant, sortable

LEVEL = 0.01  # of b²: what a hundred independent draws have on average
WORST = "second_moment_b2_worst"
ALL, AFTER = Ledger(), Ledger(warmup=False)
ACCURACY = tuple((metric, ledger.key) for metric in ("second_moment_b2", WORST) for ledger in (ALL, AFTER))
BASE_VARIANTS = ("nuts[metric=nutpie]", "nuts")  # the first that raced is held against the other metrics
VARIANT, LOW_RANK, STAN = "nuts[metric=", "nuts[metric=nutpie_low_rank]", "nuts[metric=stan"

Costs = Mapping[str, Mapping[tuple[str, str], Crossover]]  # of one target: by method, then by metric and ledger


def _brief(value: float) -> str:
    return count(value) if value >= 1000 else significant(value)


def _never(_: float) -> bool:
    return False


@dataclass(frozen=True)
class Figure:
    """A column of the table of efficiency.

    Attributes:
        group, label: its head.
        of: its value for a run, NaN where that is unknown.
        shown: a value as text.
        alarm: whether a value is beyond the limit that its authors give.
        none: what a run that gave no draws counts as; NaN leaves it out.
    """

    group: str
    label: str
    of: Callable[[Run], float]
    shown: Callable[[float], str]
    alarm: Callable[[float], bool] = _never
    none: float = math.nan

    def over(self, runs: Iterable[Run]) -> Interval:
        """The median over seeds, unknown where a run with draws does not say."""
        values = [self.none if _gave_none(run) else self.of(run) for run in runs]
        if self.none == 0.0 and any(map(math.isnan, values)):
            values = []
        return median_interval(values)


def _cell(name: str) -> Callable[[Run], float]:
    return lambda run: number(run.cell[name])


def _rate(name: str, axis: Axis, ledger: Ledger) -> Callable[[Run], float]:
    def of(run: Run) -> float:
        cost = run.total(axis, ledger)
        return number(run.cell[name]) / cost if cost > 0 else math.nan

    return of


_ESS = {"x": "ess_min", "x²": "ess_square_min"}
_RATES: tuple[tuple[str, Axis, Ledger], ...] = (
    ("ESS per second", "seconds", AFTER),
    ("with warm-up", "seconds", ALL),
    ("ESS per evaluation", "evaluations", AFTER),
    ("with warm-up", "evaluations", ALL),
)
FIGURES = (
    *(Figure("Smallest ESS", x, _cell(name), count, lambda v: v < ESS_ALARM, 0.0) for x, name in _ESS.items()),
    *(
        Figure(group, x, _rate(name, axis, ledger), _brief, none=0.0)
        for group, axis, ledger in _RATES
        for x, name in _ESS.items()
    ),
    Figure("Chains", "R-hat", _cell("r_hat"), lambda v: f"{v:.3f}", lambda v: v > R_HAT_ALARM),
    Figure("Chains", "Div.", _cell("divergences"), lambda v: f"{v:g}", lambda v: v > 0),
    Figure("Chains", "E-BFMI", _cell("e_bfmi"), lambda v: f"{v:.2f}", lambda v: v < E_BFMI_ALARM),
    Figure("Chains", "Depth", _cell("tree_depth"), lambda v: f"{v:.1f}"),
)
GROUPS = [(group, [figure.label for figure in figures]) for group, figures in groupby(FIGURES, lambda f: f.group)]


def sampling(methods: Mapping[str, Entry]) -> list[dict[str, Any]]:
    """The rows of a target's table of efficiency: every sampler, and what kept it from having numbers."""
    return [_sampler(entry) for entry in methods.values() if "mcmc" in entry.tags]


def costs(methods: Mapping[str, Entry]) -> Costs:
    """From which evaluations on each method's seed-median b² of the second moment stays at or below `LEVEL`.

    On average and for the worst coordinate, with tuning and after it; oracles and what was skipped are left out.
    """
    ledgers = {ledger.key: ledger for ledger in (ALL, AFTER)}
    return {
        name: {(metric, key): _cost(entry, metric, ledgers[key]) for metric, key in ACCURACY}
        for name, entry in methods.items()
        if entry.runs and not entry.oracle
    }


def accuracy(methods: Mapping[str, Entry], spent: Costs) -> list[dict[str, Any]]:
    """The rows of a target's table of costs to `LEVEL`; none where the metric is defined for no method."""
    if not any(_defined(found) for of in spent.values() for found in of.values()):
        return []
    rows = []
    for name, entry in methods.items():
        found = [spent[name][column] for column in ACCURACY] if name in spent else [None] * len(ACCURACY)
        rows.append({"method": name, **_standing(entry), "cells": [shown(each) for each in found]})
    return rows


def overall(results: Results, spent: Mapping[str, Costs]) -> dict[str, Any]:
    """The table over targets for the worst coordinate, tuning included: its methods, rows, and what pairs say."""
    worst = {target: {name: of[WORST, ALL.key] for name, of in costs.items()} for target, costs in spent.items()}
    names = sorted({name for of in worst.values() for name in of})
    if not any(_defined(found) for of in worst.values() for found in of.values()):
        return {"methods": [], "rows": {}, "sentences": []}
    rows = {
        target: [_at(results.entries[target].get(name), of.get(name)) for name in names] for target, of in worst.items()
    }
    return {"methods": names, "rows": rows, "sentences": pairs(worst)}


def pairs(spent: Mapping[str, Mapping[str, Crossover]]) -> list[str]:
    """What to say of the metrics of NUTS: nutpie's against each other one, its low-rank one against Stan's.

    Costs are by target, then by method.
    """
    names = sorted({name for of in spent.values() for name in of})
    base = next((name for name in BASE_VARIANTS if name in names), None)
    rivals = [name for name in names if base and name.startswith(VARIANT) and name != base]
    compared = [(base, rival) for rival in rivals if base]
    if LOW_RANK in names:
        compared += [(LOW_RANK, name) for name in names if name.startswith(STAN)]
    return [pair(spent.values(), *two).sentence for two in compared]


@dataclass(frozen=True)
class Pair:
    """Two methods over targets: on how many `first` needs at most the cost of `second`.

    Attributes:
        at_most: there `first` reaches the accuracy, at no more than the cost of `second`, or where that never does.
        more: there it needs more, or never reaches it while `second` does.
        neither: there neither reaches it within its budget.
    """

    first: str
    second: str
    at_most: int
    more: int
    neither: int

    @property
    def sentence(self) -> str:
        """The counts in words."""
        of = f"{self.at_most} of the {self.at_most + self.more} targets where one of them gets there"
        said = f"{self.first} needs at most the evaluations of {self.second} on {of}"
        return said + (f"; on {self.neither} more neither does." if self.neither else ".")


def pair(spent: Iterable[Mapping[str, Crossover]], first: str, second: str) -> Pair:
    """Compare two methods on the targets where both raced and the cost is defined."""
    both = [(of[first], of[second]) for of in spent if first in of and second in of]
    cost = [(a.cost.value, b.cost.value) for a, b in both if _defined(a) and _defined(b)]
    known = [(a, b) for a, b in cost if math.isfinite(min(a, b))]
    at_most = sum(a <= b for a, b in known)
    return Pair(first, second, at_most, len(known) - at_most, len(cost) - len(known))


def _gave_none(run: Run) -> bool:
    return run.cell["status"] == "failed" or not run.running.any()


def _sampler(entry: Entry) -> dict[str, Any]:
    runs = [] if entry.oracle else list(entry.runs.values())
    cells = []
    for figure in FIGURES:
        found = figure.over(runs)
        known = not math.isnan(found.value)
        interval = f"95 % interval over {len(runs)} seeds: {figure.shown(found.low)} to {figure.shown(found.high)}"
        cells.append(
            {
                "text": figure.shown(found.value) if known else "",
                "sort": sortable(found.value) if known else "",
                "title": interval if known and len(runs) > 1 else "",
                "alarm": known and figure.alarm(found.value),
            }
        )
    return {"method": entry.method, **_standing(entry), "cells": cells}


def _standing(entry: Entry) -> dict[str, str]:
    """How many runs count, and why the others do not."""
    if entry.oracle:
        return {"runs": "", "why": "uses the answer: never timed"}
    early = [s for s, run in sorted(entry.runs.items()) if not run.failure and not run.running.any()]
    reasons = [*entry.complaints, *([f"still in warm-up (seed {ranges(early)})"] if early else [])]
    counting = sum(not run.failure for run in entry.runs.values()) - len(early)
    return {"runs": f"{counting} of {len(entry.runs)}" if entry.runs else "", "why": "; ".join(reasons)}


def _cost(entry: Entry, metric: str, ledger: Ledger) -> Crossover:
    traces = entry.traces(METRICS[metric], "evaluations", ledger)
    if not entry.has_evaluations and any(len(trace.cost) for trace in traces.values()):
        return incomparable()
    return reaches(traces, LEVEL)


def _defined(found: Crossover) -> bool:
    return found.outcome not in (Outcome.UNDEFINED, Outcome.NOT_COMPARABLE)


def _at(entry: Entry | None, found: Crossover | None) -> dict[str, str]:
    if entry is not None and found is None:
        return shown(None) | {"text": "skipped", "title": entry.skipped}
    return shown(found)


def shown(found: Crossover | None) -> dict[str, str]:
    """A cost as a cell of a table: censored where it lies beyond the budget."""
    if found is None:
        return {"text": "", "interval": "", "sort": "", "title": ""}
    if math.isfinite(found.cost.value):
        interval = bracket(found.cost, "evaluations") if found.seeds > 1 else ""
        return {"text": count(found.cost.value), "interval": interval, "sort": sortable(found.cost.value), "title": ""}
    text = {
        Outcome.CENSORED: f"not within {count(found.budget)}",
        Outcome.NOT_COMPARABLE: "counts sweeps",
        Outcome.UNDEFINED: "undefined",
    }.get(found.outcome, "no run counts")
    return {"text": text, "interval": "", "sort": sortable(math.inf) if _defined(found) else "", "title": ""}
