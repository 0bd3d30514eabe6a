"""The table of data size: what each method pays for means as the rows of the data grow, and who gets there first."""

import math

from reports.records import METRICS
from reports.runs import Entry, Ledger, Results
from reports.section import Cell, Section, plain
from reports.statistics import Interval, Traces, final_error, reaches
from reports.wording import significant

MEAN, SPREAD = "mean_error_worst", "sd_ratio_worst"
LEVEL = 0.1  # sd
ALL = Ledger()
NOTE = (
    "Seconds, all costs but compilation included, from which on the seed-median error of the worst mean stays at or "
    f"below {LEVEL:g} posterior sd, with 95 % bootstrap intervals over seeds; checkpoints are a factor apart. Samplers "
    "need 100 independent draws for that. Errors at the end are medians over seeds."
)


def section(results: Results) -> Section | None:
    """A row for each method on each target where the error of means is known; None without any."""
    rows, numbers, sentences = [], [], []
    for target, methods in results.entries.items():
        found = {name: _seconds(entry) for name, entry in methods.items() if _known(entry)}
        for name, cost in found.items():
            last = {key: final_error(list(_traces(methods[name], key).values())) for key in (MEAN, SPREAD)}
            rows.append([Cell(target), Cell(name), *(_interval(each) for each in (cost, last[MEAN], last[SPREAD]))])
            numbers.append(
                {"target": target, "method": name, "seconds": plain(cost.value), "mean": plain(last[MEAN].value)}
            )
        sentences += _first(target, found, methods)
    if not rows:
        return None
    head = (
        "target",
        "method",
        f"seconds to {LEVEL:g} sd",
        "worst mean at the end (sd)",
        "worst log ratio of sds at the end",
    )
    return Section("What means cost as data grow", head, rows, sentences, NOTE, numbers)


def _known(entry: Entry) -> bool:
    values = [value for run in entry.runs.values() for value in run.curves.get(MEAN, ())]
    return not entry.oracle and any(not math.isnan(value) for value in values)


def _traces(entry: Entry, metric: str) -> Traces:
    return entry.traces(METRICS[metric], "seconds", ALL)


def _seconds(entry: Entry) -> Interval:
    return reaches(_traces(entry, MEAN), LEVEL).cost


def _interval(found: Interval) -> Cell:
    if math.isnan(found.value):
        return Cell("")
    if math.isinf(found.value):
        return Cell.of(found.value, "not within the budget")
    return Cell.of(found.value, f"{significant(found.value)} [{significant(found.low)}, {significant(found.high)}]")


def _first(target: str, found: dict[str, Interval], methods: dict[str, Entry]) -> list[str]:
    """Who gets there first, of fits and of samplers."""
    best: dict[str, tuple[float, str]] = {}
    for name, cost in found.items():
        kind = "vi" if "vi" in methods[name].tags else "mcmc"
        if math.isfinite(cost.value):
            best[kind] = min(best.get(kind, (math.inf, "")), (cost.value, name))
    if len(best) < 2:
        return []
    (fit, fitted), (chain, sampled) = best["vi"], best["mcmc"]
    return [f"On {target} the first fit, {fitted}, needs {significant(fit / chain)} times the seconds of {sampled}."]
