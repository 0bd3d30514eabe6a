"""Both Kullback-Leibler divergences of every fit that has a density, with what of them is noise, as a table."""

import math
from collections.abc import Iterable

from reports.last_errors import last
from reports.records import METRICS
from reports.runs import Entry, Results, Run, median
from reports.section import Cell, Section, plain
from reports.statistics import Interval, median_interval
from reports.wording import significant

DIRECTIONS = ("kl_reverse", "kl_forward")
NOTE = (
    "In nats, at the last checkpoint: medians over seeds that have one, brackets 95 % bootstrap intervals over "
    "them. The noise is the larger of two floors: what the error of the log normaliser or the reference implies, and "
    "the 95 % half-width of the estimate from draws; a divergence below it cannot be told from zero. Divergences are "
    "known where the fit has a density and the target a log normaliser; methods that sample have none."
)


def section(results: Results) -> Section | None:
    """A row for each fit with a density on each target whose log normaliser is known; None where there is none."""
    table, numbers = [], []
    for target, methods in results.entries.items():
        for method, entry in methods.items():
            runs = _known(entry)
            if not runs:
                continue
            cells, row = [Cell(target), Cell(method)], {"target": target, "method": method, "runs": len(runs)}
            for name in DIRECTIONS:
                found = median_interval([last(run, name) for run in runs])
                noise = median([floor(run, name) for run in runs])
                cells += [_interval(found), Cell.of(noise, significant(noise))]
                row |= {name: plain(found.value), f"{name}_low": plain(found.low), f"{name}_high": plain(found.high)}
                row[f"{name}_noise"] = plain(noise)
            table.append([*cells, Cell(f"{len(runs)} of {len(entry.runs)}", str(len(runs)))])
            numbers.append(row)
    head = ("target", "method", "KL(q || p)", "its noise", "KL(p || q)", "its noise", "runs")
    return Section("Both divergences", head, table, [], NOTE, numbers) if table else None


def _known(entry: Entry) -> list[Run]:
    """The runs that have a divergence."""
    if entry.kind == "mcmc":
        return []
    return [run for run in entry.runs.values() if any(not math.isnan(last(run, name)) for name in DIRECTIONS)]


def floor(run: Run, name: str) -> float:
    """The larger of both floors of a metric at the last checkpoint."""
    metric = METRICS[name]
    return largest(last(run, column) for column in (metric.reference_floor, metric.sampling_floor))


def largest(values: Iterable[float]) -> float:
    """The largest that is known; NaN where none is."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _interval(found: Interval) -> Cell:
    shown = significant(found.value)
    if found.low < found.high:
        shown += f" [{significant(found.low)}, {significant(found.high)}]"
    return Cell.of(found.value, shown)
