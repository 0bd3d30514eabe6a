"""The numbers that a page draws: medians and bands over seeds, short enough to send along."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from reports import analysis
from reports.last_errors import last
from reports.records import Metric
from reports.runs import LEDGERS, Axis, Entry, Ledger, Run, median, number
from reports.statistics import Array, Crossover
from reports.tables_of_divergences import DIRECTIONS, floor
from reports.wording import sentence

BAND = (0.1, 0.9)
AXES: tuple[Axis, ...] = ("seconds", "evaluations")
SMALLEST = 1e-15  # what a logarithmic axis shows of an error of zero


def target_numbers(target: str, methods: Mapping[str, Entry], metrics: list[Metric]) -> dict[str, Any]:
    """All that the page draws of one target. Lists over checkpoints are aligned within a method."""
    entries = [entry for entry in methods.values() if any(len(run.running) for run in entry.runs.values())]
    cells = [run.cell for entry in entries for run in entry.runs.values()]
    return {
        "name": target,
        "methods": [_method(entry, metrics) for entry in entries],
        "crossovers": {
            metric.name: {axis: _crossovers(methods, metric, axis) for axis in AXES}
            for metric in metrics
            if metric.ranks
        },
        "log_normaliser": short(median([number(cell["true_log_normaliser"]) for cell in cells])),
        "asymmetry": _asymmetry(entries),
    }


def short(value: float, digits: int = 4) -> float | None:
    """A number with few digits; None where JSON has none."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _method(entry: Entry, metrics: list[Metric]) -> dict[str, Any]:
    runs = [run for run in entry.runs.values() if len(run.running)]
    made: dict[str, Any] = {
        "name": entry.method,
        "kind": entry.kind,
        "warm": entry.warm_start,
        "runs": len(entry.runs),
        "failed": sum(bool(run.failure) for run in entry.runs.values()),
        "cost": {axis: {ledger.key: _costs(runs, axis, ledger) for ledger in LEDGERS} for axis in AXES},
        "metrics": {},
    }
    if not entry.has_evaluations:
        del made["cost"]["evaluations"]
    for metric in metrics:
        errors = _aligned(runs, [run.error(metric) for run in runs])
        if not np.isfinite(errors).any():
            continue
        low, middle, high = (_quantile(errors, probability) for probability in (BAND[0], 0.5, BAND[1]))
        least = -math.inf if metric.perfect is None else SMALLEST
        made["metrics"][metric.name] = {
            "mid": _shorts(middle, least),
            "low": _shorts(low, least),
            "high": _shorts(high, least),
            "reference": _floor(runs, metric.reference_floor),
            "sampling": _floor(runs, metric.sampling_floor),
            "slope": _slope(entry, runs, metric),
        }
    return made


def _costs(runs: list[Run], axis: Axis, ledger: Ledger) -> list[float | None]:
    """Median cost of each checkpoint, made to grow: fewer seeds may reach the last ones."""
    costs = _aligned(runs, [run.cost(axis, ledger) for run in runs], carry=False)
    counted = ~np.isnan(costs).all(axis=0)
    middle = np.full(costs.shape[1], math.nan)
    middle[counted] = np.nanmedian(costs[:, counted], axis=0)
    middle[counted] = np.maximum.accumulate(middle[counted])
    return _shorts(middle, -math.inf)


def _aligned(runs: list[Run], rows: list[Array], carry: bool = True) -> Array:
    """(runs, checkpoints) with the checkpoints of each phase side by side, from the phase's beginning on.

    A run that has fewer of them than others carries its last value on within the phase, or has NaN.
    """
    phases = [[row[run.running == phase] for run, row in zip(runs, rows, strict=True)] for phase in (False, True)]
    return np.concatenate([_padded(parts, carry) for parts in phases], axis=1)


def _padded(parts: list[Array], carry: bool) -> Array:
    length = max(map(len, parts))
    padding = [part[-1] if carry and len(part) else math.nan for part in parts]
    return np.array(
        [np.append(part, np.full(length - len(part), pad)) for part, pad in zip(parts, padding, strict=True)]
    )


def _quantile(errors: Array, probability: float) -> Array:
    known = np.where(np.isnan(errors), math.inf, errors)
    if probability == 0.5:
        return np.asarray(np.median(known, axis=0))
    return np.asarray(np.quantile(known, probability, axis=0, method="inverted_cdf"))


def _floor(runs: list[Run], column: str) -> list[float | None] | None:
    floors = _aligned(runs, [run.curves[column] for run in runs])
    if not (np.nan_to_num(floors, posinf=0.0) > 0).any():
        return None
    return _shorts(_quantile(floors, 0.5), SMALLEST)


def _slope(entry: Entry, runs: list[Run], metric: Metric) -> dict[str, Any] | None:
    fitted = analysis.slope(entry, metric)
    if fitted is None:
        return None
    after = np.array(
        [math.nan if c is None else c for c in _costs(runs, "evaluations", Ledger(warmup=False))], dtype=np.float64
    )
    inside = (after >= 0.99 * fitted.first) & (after <= 1.01 * fitted.last)
    line = [short(fitted.at(cost)) if used else None for cost, used in zip(after, inside, strict=True)]
    interval = fitted.slope
    return {
        "value": round(interval.value, 3),
        "low": round(interval.low, 3),
        "high": round(interval.high, 3),
        "points": fitted.points,
        "expected": metric.rate,
        "line": line,
    }


def _crossovers(methods: Mapping[str, Entry], metric: Metric, axis: Axis) -> dict[str, Any]:
    ledgers = LEDGERS if axis == "seconds" else tuple(ledger for ledger in LEDGERS if not ledger.compile)
    return {
        ledger.key: [
            {"vi": match.vi, "mcmc": match.mcmc, **_crossover(match.found, match.vi, match.mcmc, axis)}
            for match in analysis.matches(methods, metric, axis, ledger)
        ]
        for ledger in ledgers
    }


def _crossover(found: Crossover, vi: str, mcmc: str, axis: Axis) -> dict[str, Any]:
    return {
        "outcome": str(found.outcome),
        "at": short(found.cost.value),
        "low": short(found.cost.low),
        "high": short(found.cost.high),
        "text": sentence(found, vi, mcmc, axis),
    }


def _asymmetry(entries: Iterable[Entry]) -> dict[str, Any] | None:
    """Divergences, ratios of standard deviations and mode masses of each VI method, medians over seeds."""
    made: dict[str, Any] = {"methods": []}
    for entry in entries:
        if entry.kind == "mcmc":
            continue
        runs = [run for run in entry.runs.values() if run.cell["status"] != "failed" and len(run.running)]
        summaries = [json.loads(run.cell["summary"]) for run in runs if run.cell["summary"]]
        if not runs:
            continue
        for key in ("coordinates", "true_mode_masses"):
            made.setdefault(key, next((s[key] for s in summaries if s.get(key)), None))
        made["methods"].append(
            {
                "name": entry.method,
                **{name: short(median([last(run, name) for run in runs])) for name in DIRECTIONS},
                **{f"{name}_noise": short(median([floor(run, name) for run in runs])) for name in DIRECTIONS},
                "sd_ratio": _by_coordinate(summaries, "sd_ratio"),
                "mode_masses": _by_coordinate(summaries, "mode_masses"),
            }
        )
    return made if made["methods"] else None


def _by_coordinate(summaries: list[dict[str, Any]], key: str) -> list[float | None] | None:
    rows = [summary[key] for summary in summaries if summary.get(key)]
    if not rows:
        return None
    return [short(median([number(value) for value in values])) for values in zip(*rows, strict=False)]


def _shorts(values: Array, least: float) -> list[float | None]:
    return [short(max(value, least)) if math.isfinite(value) else None for value in values.tolist()]
