"""Whether an answer is wrong, which alarms would have warned, and how the two agree, counted over cells."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from reports.alarms import ALARMS, ESS_ALARM, FLOORS, TOLERANCES, Alarm, Tolerance, claimed
from reports.records import METRICS
from reports.runs import Results, Run, deviation
from reports.wording import significant

Key = tuple[str, ...]


class Finding(StrEnum):
    """What became of a cell."""

    HIT = "wrong, and an alarm rang"
    SILENT = "silently wrong"
    FALSE = "right, and an alarm rang"
    QUIET = "quiet and right"
    FAILED = "failed"  # it gave no answer, and said so
    UNKNOWN = "no truth"


def excess(run: Run, tolerance: Tolerance) -> float:
    """The last error over what is tolerated: wrong above one; NaN where the error is undefined.

    Tolerated is the limit, or `FLOORS` times what an error of the reference or the noise of the draws makes of a right
    answer. The noise is that of the effective draws claimed; who claims fewer than an alarm asks for is held to these.
    """
    metric = METRICS[tolerance.metric]
    error = float(deviation(metric, run.curves[metric.name])[-1])
    noise = run.last[metric.sampling_floor] * claimed(run.cell, tolerance.effective, ESS_ALARM)
    floors = [floor for floor in (run.last[metric.reference_floor], noise) if math.isfinite(floor)]
    return error / max([tolerance.limit, *(FLOORS * floor for floor in floors)])


@dataclass(frozen=True)
class Verdict:
    """One cell, judged by the truth and by its own diagnostics."""

    target: str
    method: str
    run: Run

    @cached_property
    def values(self) -> dict[str, float]:
        """What each alarm's diagnostic says, NaN where nothing."""
        return {alarm.name: alarm.value(self.run.cell, self.run.last) for alarm in ALARMS}

    @cached_property
    def ringing(self) -> list[Alarm]:
        """The alarms that ring."""
        return [alarm for alarm in ALARMS if alarm.rings(self.values[alarm.name])]

    @cached_property
    def errors(self) -> dict[str, float]:
        """`excess` of every error that is defined, by metric; empty where there is no answer, or no truth."""
        if not len(self.run.running):
            return {}
        known = {tolerance.metric: excess(self.run, tolerance) for tolerance in TOLERANCES}
        return {name: value for name, value in known.items() if not math.isnan(value)}

    @property
    def wrong(self) -> bool:
        """Whether an error is beyond what is tolerated."""
        return any(value > 1.0 for value in self.errors.values())

    @cached_property
    def finding(self) -> Finding:
        """How the alarms and the truth agree."""
        if self.run.cell["status"] == "failed" or not len(self.run.running):
            return Finding.FAILED
        return self.of(bool(self.ringing))

    def of(self, rings: bool) -> Finding:
        """The same if this were all that rang."""
        if not self.errors:
            return Finding.UNKNOWN
        if self.wrong:
            return Finding.HIT if rings else Finding.SILENT
        return Finding.FALSE if rings else Finding.QUIET

    @property
    def worst(self) -> str:
        """The error that is furthest beyond what is tolerated, in words."""
        name = max(self.errors, key=lambda metric: self.errors[metric])
        tolerance = next(each for each in TOLERANCES if each.metric == name)
        return tolerance.label.format(significant(self.run.last[name]))


def verdicts(results: Results) -> list[Verdict]:
    """Every cell that ran, of any method that the records hold."""
    return [
        Verdict(target, method, run)
        for target, methods in results.entries.items()
        for method, entry in methods.items()
        for run in entry.runs.values()
    ]


def tally(of: Iterable[Verdict], key: Callable[[Verdict], Key]) -> dict[Key, Counter[Finding]]:
    """How many cells came out how, by `key`, in its order of appearance."""
    counts: dict[Key, Counter[Finding]] = {}
    for verdict in of:
        counts.setdefault(key(verdict), Counter())[verdict.finding] += 1
    return counts


def by_alarm(of: Iterable[Verdict]) -> Iterator[tuple[Alarm, Counter[Finding]]]:
    """Each alarm as if it were the only one, over the cells that ended and whose diagnostic it has."""
    ended = [verdict for verdict in of if verdict.finding is not Finding.FAILED]
    for alarm in ALARMS:
        values = [(verdict, verdict.values[alarm.name]) for verdict in ended]
        yield alarm, Counter(v.of(alarm.rings(value)) for v, value in values if not math.isnan(value))
