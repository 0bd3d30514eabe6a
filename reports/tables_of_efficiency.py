"""The tables of how efficient sampling is, over all targets of a race, as text."""

import math
from typing import Any

from reports import efficiency
from reports.efficiency import AFTER, ALL, FIGURES, GROUPS, WORST
from reports.runs import Results
from reports.section import Cell, Section, plain
from reports.statistics import Crossover

NOTE = (
    "Medians over seeds. ESS is the smallest bulk ESS over coordinates, of x and of x²; rates are after warm-up, and "
    "with set-up and warm-up. An ESS says nothing of bias, which samplers tagged `unadjusted` keep."
)
COST_NOTE = (
    "Evaluations from which on the seed-median b² of x² in the worst coordinate stays at or below "
    f"{efficiency.LEVEL:g}: with tuning, and after it. Brackets are 95 % bootstrap intervals over seeds."
)


def sampling(results: Results) -> Section | None:
    """A row for each sampler on each target; None without samplers."""
    head = (
        "target",
        "sampler",
        "runs that count",
        *(f"{group}, {label}" for group, labels in GROUPS for label in labels),
    )
    rows, numbers = [], []
    for target, methods in results.entries.items():
        for row in efficiency.sampling(methods):
            cells = row["cells"] if row["runs"] else [{"text": ""}] * len(FIGURES)
            standing = Cell(row["runs"] or row["why"])
            rows.append([Cell(target), Cell(row["method"]), standing, *(Cell(each["text"]) for each in cells)])
            entry = methods[row["method"]]
            found = [figure.over([] if entry.oracle else entry.runs.values()) for figure in FIGURES]
            numbers.append(
                {"target": target, "method": row["method"], "runs": row["runs"], "why": row["why"]}
                | {name: plain(each.value) for name, each in zip(head[3:], found, strict=True)}
            )
    return Section("How efficient sampling is", head, rows, [], NOTE, numbers) if rows else None


def accuracy(results: Results) -> Section | None:
    """A row for each method on each target; None where no cost is defined. Sentences compare the metrics of NUTS."""
    spent = {target: efficiency.costs(methods) for target, methods in results.entries.items()}
    rows, numbers = [], []
    for target, of in spent.items():
        for method, costs in of.items():
            found = [costs[WORST, ledger.key] for ledger in (ALL, AFTER)]
            rows.append([Cell(target), Cell(method), *(Cell(_text(each)) for each in found)])
            numbers.append(_numbers(target, method, found))
    if not any(math.isfinite(of[WORST, ALL.key].cost.value) for costs in spent.values() for of in costs.values()):
        return None
    sentences = [
        f"Tuning {words}: {said}"
        for ledger, words in ((ALL, "included"), (AFTER, "apart"))
        for said in efficiency.pairs(
            {target: {m: c[WORST, ledger.key] for m, c in of.items()} for target, of in spent.items()}
        )
    ]
    head = ("target", "method", "with tuning", "after tuning")
    return Section("Evaluations to b²(x²) < 0.01", head, rows, sentences, COST_NOTE, numbers)


def _text(found: Crossover) -> str:
    said = efficiency.shown(found)
    return f"{said['text']} {said['interval']}".strip()


def _numbers(target: str, method: str, found: list[Crossover]) -> dict[str, Any]:
    numbers: dict[str, Any] = {"target": target, "method": method}
    for name, each in zip(("with_tuning", "after_tuning"), found, strict=True):
        numbers[name] = {"value": plain(each.cost.value), "low": plain(each.cost.low), "high": plain(each.cost.high)}
    return numbers
