"""Figure 4: the speed-accuracy trade-off, from a race that is run for it on real data."""

import math
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.budget import Budget
from harness.cell import Cell, compute
from harness.registry import method as make_method
from harness.registry import target as make_target
from reports import analysis
from reports.records import METRICS, open_folder
from reports.runs import Entry, Ledger, read
from reports.statistics import Crossover, final_error

TARGET = "logistic_regression"
METHODS = (
    "laplace",
    "advi_meanfield",
    "advi_fullrank",
    "hmc",
    "hmc[warm_start=advi_fullrank,take=draws+metric]",
)
METRIC = METRICS["centred_b2"]  # a squared error: its root is drawn
SEEDS = 5
BUDGET = Budget(400_000, 30.0)


def trade_off(seed: int) -> dict[str, Any]:
    """Error of the variances against seconds on the breast-cancer posterior, five seeds from `seed` on."""
    return race(TARGET, METHODS, range(seed, seed + SEEDS), BUDGET)


def race(target: str, methods: Sequence[str], seeds: Sequence[int], budget: Budget) -> dict[str, Any]:
    """The numbers of the figure for any target and methods.

    `error` is the median over seeds of the root of `centred_b2` at that time, `low` and `high` its quartiles; `floors`
    are where VI methods end. `crossover` is that of the VI method with the lowest floor; `crossovers` holds all.
    """
    label = make_target(target).label
    with tempfile.TemporaryDirectory() as where:
        records = open_folder(where, create=True)
        for seed in seeds:
            for spec in methods:
                records.write(*compute(Cell(target, spec, seed, budget), jobs=1))
        records.consolidate()
        entries = read(records.cells(), records.curves()).entries[label]
    order = [entries[name] for name in map(_label, methods) if entries[name].runs]
    floors = {entry.method: _floor(entry) for entry in order if entry.kind == "vi"}
    found = {match.vi: _crossover(match) for match in analysis.matches(entries, METRIC, "seconds", Ledger())}
    known = {name: floor for name, floor in floors.items() if floor is not None}
    best = min(known, key=lambda name: known[name], default=None)
    sampler = next((entry for entry in order if entry.kind == "mcmc" and not entry.warm_start), None)
    return {
        "target": label,
        "metric": "RMS error of the variances",
        "curves": {entry.method: curve for entry in order if (curve := _curve(entry))["seconds"]},
        "floors": floors,
        "slope": None if sampler is None else _slope(sampler),
        "crossover": None if best is None else found.get(best),
        "crossover_of": best,
        "crossovers": found,
        "seeds": list(seeds),
        "note": (
            "Medians over seeds with quartiles. Seconds count set-up, warm-up and run, for a warm start the VI fit "
            "too; compilation is left out. The crossover is that of the VI method with the lowest floor. The slope is "
            "that of HMC's error against gradients after warm-up."
        ),
    }


def _label(spec: str) -> str:
    return str(getattr(make_method(spec), "label", spec))


def _curve(entry: Entry) -> dict[str, list[float | None]]:
    """Runs as step functions of time, at the median times of the checkpoints that at least half of the seeds have."""
    traces = [trace for trace in entry.traces(METRIC, "seconds", Ledger()).values() if len(trace.cost)]
    most = sorted((len(trace.cost) for trace in traces), reverse=True)
    length = most[(len(most) - 1) // 2] if most else 0
    times = [float(np.median([trace.cost[k] for trace in traces if k < len(trace.cost)])) for k in range(length)]
    if not times:
        return {"seconds": [], "error": [], "low": [], "high": []}
    grid = np.unique(times)
    errors = np.sqrt([trace.at(grid) for trace in traces])
    low, middle, high = np.quantile(errors, [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")
    return {"seconds": grid.tolist(), "error": _plain(middle), "low": _plain(low), "high": _plain(high)}


def _floor(entry: Entry) -> float | None:
    return _number(math.sqrt(final_error(list(entry.traces(METRIC, "seconds", Ledger()).values())).value))


def _slope(entry: Entry) -> dict[str, float | None] | None:
    """Of the root of the squared error: half the slope of the squared error."""
    fitted = analysis.slope(entry, METRIC)
    if fitted is None:
        return None
    return {
        "value": 0.5 * fitted.slope.value,
        "low": _number(0.5 * fitted.slope.low),
        "high": _number(0.5 * fitted.slope.high),
    }


def _crossover(match: analysis.Match) -> dict[str, Any] | None:
    found: Crossover = match.found
    if not math.isfinite(found.cost.value):
        return None
    return {
        "seconds": found.cost.value,
        "low": _number(found.cost.low),
        "high": _number(found.cost.high),
        "sampler": match.mcmc,
    }


def _plain(values: np.ndarray) -> list[float | None]:
    return [_number(float(value)) for value in values]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
