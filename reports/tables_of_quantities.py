"""Quantities of interest, as tables: each method's error, coverage and cost, and the crossover by quantity."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from reports import analysis, quantities, rows
from reports.records import Metric
from reports.runs import Entry, Ledger, Results, Run, median, number
from reports.section import Cell, Section, plain
from reports.statistics import Interval, median_interval
from reports.wording import duration, significant, sortable

NOTE = (
    "Medians over the seeds that count, brackets 95 % bootstrap intervals over them. Errors are in scales: the "
    "posterior sd of the functional, or of one draw's influence on a quantile or a ratio; n draws err by 1/sqrt(n). "
    "Noise is the larger of what the reference's error and the draws kept imply. The mass is what the method's central "
    "90 % interval truly holds. Covered: seeds whose truth lies within 1.96 standard errors of the estimate, which "
    "know nothing of bias; where no draw differs there is none. Seconds count set-up, warm-up and run."
)
CROSSOVER_NOTE = (
    "As on page one, with the error of one quantity for the metric: the VI method with the lowest last error, that "
    "error, and from when on the seed-median error of a sampler stays at or below it, for the sampler that gets there "
    "first. Methods whose own diagnostics bar them win nothing."
)


def asked(methods: Mapping[str, Entry]) -> list[str]:
    """The quantities that any run answers, in the target's order."""
    every = (run.quantities for entry in methods.values() for run in entry.runs.values())
    return list(dict.fromkeys(name for of in every for name in of))


def errors(results: Results) -> Section | None:
    """A row for each method and quantity of each target; None where no target asks for any."""
    table, numbers = [], []
    for target, quantity, methods in _questions(results):
        for method, entry in methods.items():
            runs = [run for run in entry.runs.values() if not run.failure and quantity in run.quantities]
            if not runs:
                continue
            last = [run.quantities[quantity] for run in runs]
            found = {name: median_interval([number(row[name]) for row in last]) for name in ("error", "interval_mass")}
            absolute = median([abs(number(row["estimate"]) - number(row["truth"])) for row in last])
            noise = median([_noise(row) for row in last])
            seconds = median_interval([run.total("seconds", Ledger()) for run in runs])
            known = [
                bool(row["covered"]) for row in last if row["covered"] is not None and row["covered"] == row["covered"]
            ]
            table.append(
                [
                    Cell(target),
                    Cell(quantity),
                    Cell(method),
                    _interval(found["error"]),
                    Cell.of(noise, significant(noise)),
                    Cell.of(absolute, significant(absolute)),
                    _interval(found["interval_mass"]),
                    Cell(
                        f"{sum(known)} of {len(known)}" if known else "",
                        f"{sum(known) / len(known):g}" if known else "",
                    ),
                    Cell.of(seconds.value, duration(seconds.value)),
                    Cell(f"{len(runs)} of {len(entry.runs)}", str(len(runs))),
                ]
            )
            numbers.append(
                {"target": target, "quantity": quantity, "method": method, "runs": len(runs), "covered": sum(known)}
                | {"of": len(known), "error": plain(found["error"].value), "absolute": plain(absolute)}
                | {"interval_mass": plain(found["interval_mass"].value), "seconds": plain(seconds.value)}
            )
    head = (
        *("target", "quantity", "method", "error, scales", "noise", "error, units", "mass of its 90 %"),
        *("covered", "seconds", "runs that count"),
    )
    return Section("Quantities of interest", head, table, _truths(results), NOTE, numbers, labels=3) if table else None


def crossovers(results: Results) -> Section | None:
    """A row for each quantity of each target: the best VI, when sampling overtakes it, and the best sampler."""
    table: list[list[Cell]] = []
    numbers: list[dict[str, Any]] = []
    for target, quantity, methods in _questions(results):
        found = answer(target, quantity, methods)
        shown = rows.row(found)
        at = found.match.found.cost if found.match else Interval(math.nan, math.nan, math.nan)
        table.append(
            [
                Cell(target),
                Cell(quantity),
                Cell(found.vi or "none"),
                Cell(shown["floor"], shown["floor_sort"]),
                Cell(f"{shown['cross']} {shown['cross_interval']}".strip(), shown["cross_sort"]),
                Cell(shown["cross_by"]),
                Cell(found.sampler or "none"),
                Cell(shown["end"], shown["end_sort"]),
            ]
        )
        numbers.append(
            {
                "target": target,
                "quantity": quantity,
                "vi": found.vi,
                "sampler": found.sampler,
                "barred": found.barred,
                "floor": plain(found.floor.value),
                "value": plain(at.value),
                "low": plain(at.low),
                "high": plain(at.high),
            }
        )
    head = ("target", "quantity", "best VI", "its floor", "sampling overtakes", "by", "best sampler", "its last error")
    return Section("Crossover by quantity", head, table, [], CROSSOVER_NOTE, numbers, labels=3) if table else None


def answer(target: str, quantity: str, methods: Mapping[str, Entry]) -> analysis.Answer:
    """The crossover of one quantity, in seconds."""
    metric: Metric = quantities.metric(quantity)
    of = analysis.matches(methods, metric, "seconds", Ledger())
    return analysis.answer(target, quantity, metric, methods, of)


def _questions(results: Results) -> Iterator[tuple[str, str, dict[str, Entry]]]:
    """Target, quantity, and the methods with a run that answers it."""
    for target, methods in results.entries.items():
        for quantity in asked(methods):
            yield target, quantity, {name: entry for name, entry in methods.items() if _answers(entry, quantity)}


def _answers(entry: Entry, quantity: str) -> bool:
    return any(quantity in run.quantities for run in entry.runs.values())


def _truths(results: Results) -> list[str]:
    """A line for each quantity: what it is, and its true value."""
    lines = []
    for target, quantity, methods in _questions(results):
        runs: list[Run] = [
            run for entry in methods.values() for run in entry.runs.values() if quantity in run.quantities
        ]
        row = runs[0].quantities[quantity]
        error, value = number(row["truth_error"]), number(row["truth"])
        known = (
            "unknown" if math.isnan(value) else significant(value, 4) + (f" ± {significant(error)}" if error else "")
        )
        lines.append(f"{target}, {quantity}: {row['meaning'] or 'no description'}. Truth: {known}.")
    return lines


def _noise(row: Mapping[str, object]) -> float:
    return max(number(row["reference_floor"], 0.0), number(row["sampling_floor"], 0.0))


def _interval(found: Interval) -> Cell:
    if math.isnan(found.value):
        return Cell("")
    return Cell(
        f"{significant(found.value)} [{significant(found.low)}, {significant(found.high)}]", sortable(found.value)
    )
