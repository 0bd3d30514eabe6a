"""The metrics that draw no curve: what each method's last answer has of them, on one target."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reports.records import METRICS, Metric
from reports.runs import Entry, Run, deviation, median
from reports.wording import significant, sortable


def table(methods: Mapping[str, Entry]) -> dict[str, Any] | None:
    """Head and rows for the page, medians over seeds; None where no such metric is known."""
    runs = [run for entry in methods.values() for run in entry.runs.values()]
    shown = [m for m in METRICS.values() if m.final and any(not math.isnan(last(run, m.name)) for run in runs)]
    rows = [{"method": e.method, "cells": [_cell(e, m) for m in shown]} for e in methods.values() if e.runs]
    return {"head": shown, "rows": rows} if shown else None


def last(run: Run, column: str) -> float:
    """A column at the last checkpoint, NaN where there is none."""
    values = run.curves[column]
    return float(values[-1]) if len(values) else math.nan


def _cell(entry: Entry, metric: Metric) -> dict[str, Any]:
    """The median over seeds; `noise` where it lies within its floors, and cannot be told from a perfect answer."""
    value, reference, sampling = (
        median([last(run, column) for run in entry.runs.values()])
        for column in (metric.name, metric.reference_floor, metric.sampling_floor)
    )
    floor = float(np.nanmax([reference, sampling, 0.0]))
    error = float(deviation(metric, np.array([value]))[0])
    return {
        "text": "" if math.isnan(value) else significant(value, 3 if metric.perfect else 2),
        "sort": sortable(error),
        "noise": error <= floor,
        "title": f"reference floor {significant(reference)}, sampling floor {significant(sampling)}",
    }
