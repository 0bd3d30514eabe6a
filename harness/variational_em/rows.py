"""What the study says of one algorithm on one model, and how it is measured."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harness.clock import one_thread
from targets.kernel import Matrix, Vector

ROUNDS = 7  # of timing, the algorithms in turn


@dataclass(frozen=True)
class Row:
    """One algorithm.

    Attributes:
        model, algorithm: their names.
        points: what is taken for a point.
        latent: how q(z) is found.
        below: what the bound is below.
        bound: its last value, in nats; None for chains, which have none, as of the next four.
        gap: what it lies below that, in nats, with its standard error, 0 where exact; NaN where draws are too few.
        gap_error: see `gap`.
        least_gain: the least gain of a sweep as a share of the bound: not below zero, but for rounding.
        sweeps: until a sweep gained less than the tolerance.
        cost: of a sweep, in those of EM.
        seconds: of a sweep on the rows that are timed.
        off: root mean square of how far its points are from the posterior means, in posterior standard deviations.
        sd_ratio: median over quantities of its standard deviation over that of chains; 0 of points.
        coverage: of its 90 % intervals, mean over quantities and repetitions; None where the level was not asked.
    """

    model: str
    algorithm: str
    points: str
    latent: str
    below: str
    bound: float | None
    gap: float | None
    gap_error: float
    least_gain: float | None
    sweeps: int | None
    cost: float
    seconds: float
    off: float
    sd_ratio: float
    coverage: float | None

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON: null where a number is not known."""
        told = asdict(self)
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in told.items()}


def least_gain(bounds: Sequence[float] | Vector) -> float | None:
    """The least gain of a sweep over the size of the bound; None of a single one."""
    values = np.asarray(bounds)
    return float(np.min(np.diff(values) / np.abs(values[1:]))) if len(values) > 1 else None


def off(points: Vector, draws: Matrix) -> float:
    """See `Row.off`: of points (k,), by draws (n, k) of the posterior."""
    return float(np.sqrt(np.mean(((points - draws.mean(axis=0)) / draws.std(axis=0)) ** 2)))


def sd_ratio(fit: Matrix, chains: Matrix) -> float:
    """See `Row.sd_ratio`: of draws (n, k) of both."""
    return float(np.median(fit.std(axis=0) / chains.std(axis=0)))


def seconds(sweeps: Mapping[str, Callable[[], object]], each: int) -> dict[str, float]:
    """Seconds a sweep: the median of `ROUNDS` timings, of functions that make `each`, called in turn on one thread."""
    found: dict[str, list[float]] = {name: [] for name in sweeps}
    with one_thread():
        for call in sweeps.values():  # compiles
            call()
        gc.collect()
        for _ in range(ROUNDS):
            for name, call in sweeps.items():
                began = time.perf_counter()
                call()
                found[name].append((time.perf_counter() - began) / each)
    return {name: statistics.median(times) for name, times in found.items()}
