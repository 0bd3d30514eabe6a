"""The runs of a result set: what the statistics need of each, for either axis of cost and any part of the ledger."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from reports import quantities as asked
from reports.alarms import ALARMS
from reports.records import METRICS, Metric
from reports.statistics import NOTHING, Array, Trace, Traces
from reports.wording import ranges

if TYPE_CHECKING:
    import pandas as pd

Axis = Literal["seconds", "evaluations"]


@dataclass(frozen=True)
class Ledger:
    """Which costs count beside the run: compilation, and set-up with warm-up."""

    compile: bool = False
    warmup: bool = True

    @property
    def key(self) -> str:
        """A name for files and pages."""
        return f"{'c' if self.compile else ''}{'w' if self.warmup else ''}" or "run"


LEDGERS = (Ledger(), Ledger(compile=True), Ledger(warmup=False), Ledger(compile=True, warmup=False))


@dataclass(frozen=True)
class Run:
    """One cell: its row, and its curves as arrays by column.

    Attributes:
        running: (checkpoints,) whether past warm-up.
        quantities: its row of each quantity at the last checkpoint; their errors are among the curves.
    """

    cell: dict[str, Any]
    curves: dict[str, Array]
    running: NDArray[np.bool_]
    quantities: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return int(self.cell["seed"])

    @cached_property
    def last(self) -> dict[str, float]:
        """The curves at the last checkpoint."""
        return {name: float(values[-1]) for name, values in self.curves.items() if len(values)}

    @cached_property
    def barred(self) -> str:
        """Which of its own diagnostics says that it cannot be called the winner, or ''."""
        return next((why for alarm in ALARMS if (why := alarm.barred(self.cell, self.last))), "")

    @cached_property
    def failure(self) -> str:
        """Why nothing of the run competes, or ''. A barred VI fit is still to be beaten: see `Entry.barred`."""
        if self.cell["status"] == "failed":
            return self.cell["reason"] or "failed"
        return "" if "vi" in text(self.cell["method_tags"]).split() else self.barred

    def cost(self, axis: Axis, ledger: Ledger) -> Array:
        """(checkpoints,) the cost of each checkpoint; NaN for those of a warm-up that does not count."""
        if axis == "seconds":
            cost = self.curves["seconds"] + (number(self.cell["compile_seconds"], 0.0) if ledger.compile else 0.0)
            before = number(self.cell["setup_seconds"], 0.0) + number(self.cell["warmup_seconds"], 0.0)
        else:
            cost = self.curves["gradient_evaluations"] + self.curves["density_evaluations"]
            before = self.warmup_evaluations
        if ledger.warmup:
            return cost
        return np.where(self.running, np.maximum(cost - before, 0.0), math.nan)

    def total(self, axis: Axis, ledger: Ledger) -> float:
        """What the whole run cost: the cost at its end."""
        if axis == "seconds":
            parts = ["run"] + ["setup", "warmup"] * ledger.warmup + ["compile"] * ledger.compile
            return sum(number(self.cell[f"{part}_seconds"], 0.0) for part in parts)
        spent = sum(number(self.cell[f"{kind}_evaluations"], 0.0) for kind in ("gradient", "density"))
        return spent if ledger.warmup else spent - self.warmup_evaluations

    @property
    def warmup_evaluations(self) -> float:
        """Gradients and densities before the run proper."""
        columns = ("warmup_gradient_evaluations", "warmup_density_evaluations")
        return sum(number(self.cell[name], 0.0) for name in columns)

    def error(self, metric: Metric) -> Array:
        """(checkpoints,) how far the metric is from its perfect value; for ratios the absolute logarithm."""
        return deviation(metric, self.curves[metric.name])

    def trace(self, metric: Metric, axis: Axis, ledger: Ledger) -> Trace:
        """What competes: nothing at all if the run failed."""
        if self.failure:
            return NOTHING
        cost = self.cost(axis, ledger)
        counted = ~np.isnan(cost)
        return Trace(cost[counted], self.error(metric)[counted])


@dataclass(frozen=True)
class Entry:
    """One method on one target: its runs by seed.

    Attributes:
        target, method: their SPECs.
        tags: what the records say of the method on any target; 'oracle' too where they mark it so.
        skipped: the reason why it was skipped, or ''.
    """

    target: str
    method: str
    tags: frozenset[str]
    runs: dict[int, Run]
    skipped: str = ""

    @property
    def oracle(self) -> bool:
        """Whether it uses the answer."""
        return "oracle" in self.tags

    @cached_property
    def kind(self) -> str:
        """'oracle', 'mcmc', 'vi' or 'other'."""
        if self.oracle:
            return "oracle"
        return next((kind for kind in ("mcmc", "vi") if kind in self.tags), "other")

    @property
    def unadjusted(self) -> bool:
        """Whether it samples with a bias that more draws do not lower: never named best."""
        return "unadjusted" in self.tags

    @cached_property
    def complaints(self) -> list[str]:
        """Why runs failed, cannot win or were skipped: each reason once, with the seeds that it holds for."""
        seeds: dict[str, list[int]] = {}
        for seed, run in sorted(self.runs.items()):
            if run.failure:
                kind = "failed" if run.cell["status"] == "failed" else "cannot win"
                seeds.setdefault(f"{kind}: {run.failure}", []).append(seed)
        lines = [f"{why} (seed {ranges(which)})" for why, which in seeds.items()]
        return [*lines, f"skipped: {self.skipped}"] if self.skipped else lines

    @cached_property
    def barred(self) -> str:
        """Why it cannot be called the winner: what bars most of its runs, or ''."""
        reasons = [run.failure or run.barred for run in self.runs.values()]
        found = [reason for reason in reasons if reason]
        return max(found, key=found.count) if 2 * len(found) > len(reasons) else ""

    @property
    def warm_start(self) -> bool:
        """Whether the method starts from a VI fit."""
        return "warm_start" in self.method or "warm-start" in self.tags

    @cached_property
    def has_evaluations(self) -> bool:
        """Whether its cost can be told in evaluations: sweeps alone cannot be compared with gradients."""
        return any(
            len(run.curves["seconds"]) and run.cost("evaluations", Ledger())[-1] > 0 for run in self.runs.values()
        )

    def traces(self, metric: Metric, axis: Axis, ledger: Ledger) -> Traces:
        """What competes, by seed."""
        return {seed: run.trace(metric, axis, ledger) for seed, run in self.runs.items()}


@dataclass(frozen=True)
class Results:
    """A whole result set: entries by target and method, in the order of the records."""

    entries: dict[str, dict[str, Entry]]
    cells: list[dict[str, Any]]

    @property
    def metrics(self) -> list[Metric]:
        """Metrics with at least one number."""
        runs = [run for methods in self.entries.values() for entry in methods.values() for run in entry.runs.values()]
        return [m for m in METRICS.values() if any(bool(np.isfinite(run.curves[m.name]).any()) for run in runs)]

    @property
    def curves(self) -> list[Metric]:
        """Those of them that are known at every checkpoint."""
        return [metric for metric in self.metrics if not metric.final]


def read(
    cells: "pd.DataFrame",
    curves: "pd.DataFrame",
    quantities: "pd.DataFrame | None" = None,
    calibrated: Mapping[tuple[str, str], bool] | None = None,
) -> Results:
    """Runs from the tables of the records. Of equal cells with different budgets that with the largest counts.

    `calibrated` says of targets and methods, by their SPECs, whether simulation-based calibration found them so.
    """
    numeric = [name for name in curves.columns if curves[name].dtype.kind in "fi"]
    columns = {name: curves[name].to_numpy(dtype=np.float64) for name in numeric}
    running = (curves["phase"] != "warmup").to_numpy(dtype=bool)
    where = curves.groupby("cell_id", sort=False).indices
    said = {} if quantities is None else asked.by_cell(quantities, {str(cell): len(at) for cell, at in where.items()})
    rows = _largest_budgets(
        [{str(key): _plain(value) for key, value in row.items()} for row in cells.to_dict("records")]
    )
    for row in rows:
        verdict = (calibrated or {}).get((str(row["target"]), str(row["method"])))
        row["sbc"] = None if verdict is None else float(not verdict)
    tags = _method_tags(rows)
    entries: dict[str, dict[str, Entry]] = {}
    for row in rows:
        target, method = str(row["target"]), str(row["method"])
        of_target = entries.setdefault(target, {})
        if method not in of_target:
            of_target[method] = Entry(target, method, tags[method], {})
        if row["status"] == "skipped":
            of_target[method] = replace(of_target[method], skipped=text(row["reason"]) or "skipped")
            continue
        mine = where.get(row["cell_id"], np.empty(0, dtype=np.intp))
        answers = said.get(row["cell_id"], asked.Asked({}, {}))
        of_run = {name: values[mine] for name, values in columns.items()} | answers.curves
        of_target[method].runs[int(row["seed"])] = Run(row, of_run, running[mine], answers.last)
    for methods in entries.values():
        _complete([run for entry in methods.values() for run in entry.runs.values()])
    return Results(entries, rows)


def _complete(runs: list[Run]) -> None:
    """Give every run of a target the curves of all quantities, unknown where its cell is of an older format."""
    names = {name for run in runs for name in run.curves if name.startswith(asked.PREFIX)}
    for run in runs:
        for name in names - run.curves.keys():
            run.curves[name] = np.full(len(run.running), np.nan)


def _method_tags(rows: list[dict[str, Any]]) -> dict[str, frozenset[str]]:
    """Tags of each method by its SPEC.

    Where all cells of a SPEC died before they could say them, what its siblings of the same name have in common:
    options add tags, as a warm start does.
    """
    said: dict[str, set[str]] = {}
    for row in rows:
        words = set(text(row["method_tags"]).split()) | ({"oracle"} if row["oracle"] else set())
        said.setdefault(str(row["method"]), set()).update(words)
    names = {str(row["method"]): str(row["method_name"]) for row in rows}
    common: dict[str, set[str]] = {}
    for method, name in names.items():
        if said[method]:
            common[name] = common.get(name, said[method]) & said[method]
    return {method: frozenset(said[method] or common.get(name, set())) for method, name in names.items()}


def _largest_budgets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in rows:
        key = (str(row["target"]), str(row["method"]), int(row["seed"]))
        if key not in kept or _budget(row) > _budget(kept[key]):
            kept[key] = row
    return list(kept.values())


def _budget(row: dict[str, Any]) -> tuple[float, ...]:
    """What decides between cells that differ in nothing else: of equal budgets, the newer format."""
    return tuple(number(row[name], 0.0) for name in ("max_gradients", "max_seconds", "schema_version"))


def deviation(metric: Metric, values: Array) -> Array:
    """How far `values` are from perfect: itself, the absolute difference, or for ratios |log|."""
    if metric.perfect is None or metric.perfect == 0.0:
        return values
    if metric.log:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(np.log(values / metric.perfect))
    return np.abs(values - metric.perfect)


def number(value: Any, missing: float = math.nan) -> float:
    """`value` as a float; `missing` where it is null or NaN."""
    return missing if value is None or value != value else float(value)  # NaN


def text(value: Any) -> str:
    """`value` as text, '' where it is null."""
    return value if isinstance(value, str) else ""


def median(values: Iterable[float], unknown: float = math.nan) -> float:
    """The median of what is known, `unknown` if nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else unknown


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    return None if value is None or value != value else value  # NaN
