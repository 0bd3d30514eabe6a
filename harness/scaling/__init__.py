"""The study of cost: seconds of a sweep, an epoch or a gradient, and peak memory, as the data and the model grow."""

import math
from typing import Any

import numpy as np

from harness.executor import Executor, Task
from harness.scaling.series import SERIES, Series
from harness.work import Measure
from targets.options import require

REPEATS = 5  # of which the median is told
SECONDS = 900.0  # of a measurement, its data and its compilation included
LEAST = 1e-3  # seconds below which a measurement says nothing about the slope


def compute(seeds: int | None, max_evaluations: int | None) -> dict[str, Any]:
    """Every series, ready for JSON; each size in a process of its own, one at a time.

    Args:
        seeds: how often each is timed.
        max_evaluations: the largest number of rows or documents, where not all sizes are wanted.
    """
    repeats = REPEATS if seeds is None else seeds
    require(repeats >= 1, f"--seeds {repeats} is not accepted; it takes 1 or more")
    most = math.inf if max_evaluations is None else max_evaluations
    require(most >= 1000, f"--max-gradients {most:g} is not accepted; it takes 1000 rows or more")
    with Executor(1) as executor:
        return {"repeats": repeats, "series": [_series(each, repeats, most, executor) for each in SERIES]}


def _series(series: Series, repeats: int, most: float, executor: Executor) -> dict[str, Any]:
    sizes = [size for size in series.sizes if size <= most or not series.counts_data]
    tasks = [Task(str(size), Measure(series.where, size, repeats), SECONDS) for size in sizes]
    rows: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    for finished in executor.run(tasks):
        if finished.result is None:
            failures[finished.task.key] = finished.reason
        else:
            rows.append({"size": int(finished.task.key), **finished.result})
    rows.sort(key=lambda row: row["size"])
    return {
        "name": series.name,
        "unit": series.unit,
        "variable": series.variable,
        "rows": rows,
        "failures": failures,
        **slope([row["size"] for row in rows], [row["seconds"] for row in rows]),
    }


def slope(sizes: list[int], seconds: list[float]) -> dict[str, float | None]:
    """The slope of log seconds over log size by least squares, with its standard error, where two or more tell.

    Sizes whose seconds are below `LEAST` are left out: calls from Python weigh in them.
    """
    kept = [(math.log(size), math.log(value)) for size, value in zip(sizes, seconds, strict=True) if value >= LEAST]
    if len(kept) < 2:
        return {"slope": None, "slope_error": None}
    x, y = np.array(kept).T
    centred = x - x.mean()
    found = float(centred @ y / (centred @ centred))
    left = y - y.mean() - found * centred
    error = math.sqrt(float(left @ left) / (len(x) - 2) / float(centred @ centred)) if len(x) > 2 else None
    return {"slope": found, "slope_error": error}
