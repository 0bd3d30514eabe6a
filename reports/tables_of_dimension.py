"""The table of what each direction of KL comes to as dimensions grow, as text."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reports.last_errors import last
from reports.records import METRICS
from reports.runs import Entry, Results, deviation, median, number
from reports.section import Cell, Section, plain
from reports.wording import significant

METRIC = METRICS["sd_ratio_worst"]
NOTE = (
    "Median over seeds of the error of the worst standard deviation at the end, |log ratio|. † some runs failed by "
    "name; nothing where none had an answer."
)


class Place(NamedTuple):
    """A kind of target, its name without the dimension, and the dimension."""

    kind: str
    dim: int


def section(results: Results) -> Section | None:
    """A row for each target and dimension, a column for each fit; None without fits of both directions."""
    placed = sorted((_place(name, entries), entries) for name, entries in results.entries.items() if _fits(entries))
    methods = list(dict.fromkeys(method for _, entries in placed for method in _fits(entries)))
    tags = {method: entry.tags for _, entries in placed for method, entry in _fits(entries).items()}
    if not all(any(way in found for found in tags.values()) for way in ("forward-kl", "reverse-kl")):
        return None
    rows, numbers = [], []
    errors: dict[Place, dict[str, float]] = {}
    for place, entries in placed:
        errors[place] = {method: error(entry) for method, entry in _fits(entries).items()}
        rows.append([Cell(place.kind), Cell.of(place.dim, str(place.dim)), *(_cell(entries.get(m)) for m in methods)])
        numbers.append({"target": place.kind, "dim": place.dim} | {m: plain(e) for m, e in errors[place].items()})
    return Section(
        "Errors of standard deviations by dimension",
        ("target", "dim", *methods),
        rows,
        [line for kind in dict.fromkeys(place.kind for place in errors) for line in _turns(kind, errors, tags)],
        NOTE,
        numbers,
    )


def error(entry: Entry) -> float:
    """The median over seeds; a run without an answer errs without limit."""
    ends = [last(run, METRIC.name) for run in entry.runs.values()]
    return median([math.inf if math.isnan(end) else float(deviation(METRIC, np.array([end]))[0]) for end in ends])


def _fits(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    return {method: entry for method, entry in entries.items() if entry.kind == "vi" and entry.runs}


def _place(name: str, entries: Mapping[str, Entry]) -> Place:
    kind, _, options = name.partition("[")
    rest = [option for option in options.rstrip("]").split(",") if option and not option.startswith("dim=")]
    run = next(run for entry in entries.values() for run in entry.runs.values())
    return Place(kind + (f"[{','.join(rest)}]" if rest else ""), int(number(run.cell["dim"], 0.0)))


def _cell(entry: Entry | None) -> Cell:
    if entry is None or not entry.runs:
        return Cell("")
    value = error(entry)
    failed = any(run.cell["status"] == "failed" for run in entry.runs.values())
    text = significant(value) if math.isfinite(value) else ""
    return Cell.of(value, text + " †" * failed)


def _turns(kind: str, errors: dict[Place, dict[str, float]], tags: Mapping[str, frozenset[str]]) -> list[str]:
    """For each fit under the forward KL: where its sds are better than those of all of its kind under the reverse."""
    lines = []
    for method in tags:
        if "forward-kl" not in tags[method]:
            continue
        rivals = [m for m in tags if "reverse-kl" in tags[m] and _diagonal(tags[m]) == _diagonal(tags[method])]
        better: dict[bool, list[str]] = {True: [], False: []}
        for place, found in errors.items():
            best = min((found[m] for m in rivals if m in found), default=math.nan)
            if place.kind == kind and method in found and not math.isnan(best):
                better[found[method] < best].append(str(place.dim))
        if better[True] or better[False]:
            ahead, behind = (", ".join(better[side]) or "none" for side in (True, False))
            lines.append(f"{kind}, `{method}`: better sds than reverse KL at d = {ahead}; worse at d = {behind}.")
    return lines


def _diagonal(tags: frozenset[str]) -> bool:
    return "meanfield" in tags
