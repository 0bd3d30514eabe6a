"""Seconds of one sweep, epoch or gradient at one size, and the memory that the data and the fit took at their peak."""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import psutil

import targets
from targets.kernel import aligned, compiled, empty
from variational import BayesianGaussianMixture

BLOCK = 100_000  # rows that are made at a time
FEATURES, COMPONENTS, ROWS = 5, 10, 20_000
SEPARATION = 3.0
BATCH = 1000
COVARIATES, PART = 10, 256


class Measured(TypedDict):
    """What a measurement tells: seconds of one, and bytes above what the process held before."""

    seconds: float
    peak_bytes: int


def measured(
    prepare: Callable[[int], Callable[[], object]], size: int, repeats: int, least: int, of: int = 1
) -> Measured:
    """Time what `prepare(size)` returns, which does `of` units at a call, `repeats` times.

    What comes of `prepare(least)` is called before, so that nothing is compiled while time and memory count.
    """
    prepare(least)()
    base = psutil.Process().memory_info().rss
    work = prepare(size)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) / of)
    return {"seconds": statistics.median(times), "peak_bytes": max(0, peak() - base)}


def peak() -> int:
    """Bytes that this process has held at most."""
    kilobytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes


def mixture_rows(size: int, repeats: int) -> Measured:
    """A sweep over a memory map of so many rows."""
    return _mixture(lambda n: (n, FEATURES, COMPONENTS), size, repeats, 1000)


def mixture_features(size: int, repeats: int) -> Measured:
    """A sweep over rows of so many features."""
    return _mixture(lambda d: (ROWS, d, COMPONENTS), size, repeats, size)


def mixture_components(size: int, repeats: int) -> Measured:
    """A sweep with so many components."""
    return _mixture(lambda k: (ROWS, FEATURES, k), size, repeats, size)


def _mixture(shape: Callable[[int], tuple[int, int, int]], size: int, repeats: int, least: int) -> Measured:
    sweeps = 4

    def prepare(size: int) -> Callable[[], object]:
        n, d, components = shape(size)
        rows = _clusters(Path(folder), n, d, components)
        fit = BayesianGaussianMixture(
            n_components=components,
            init_params="random_from_data",
            tol=0.0,
            max_iter=1,
            random_state=1,
            warm_start=True,
        ).fit(rows)
        fit.max_iter = sweeps
        return lambda: fit.fit(rows)

    with tempfile.TemporaryDirectory() as folder:
        return measured(prepare, size, repeats, least, sweeps)


def mixture_step(size: int, repeats: int) -> Measured:
    """A stochastic step, of a batch that is drawn from so many rows."""

    def prepare(size: int) -> Callable[[], object]:
        rows, rng = _clusters(Path(folder), size, FEATURES, COMPONENTS), np.random.default_rng(2)
        fit = BayesianGaussianMixture(n_components=COMPONENTS, total_samples=size, random_state=1)

        def step() -> object:
            return fit.partial_fit(rows[np.sort(rng.integers(size, size=min(size, BATCH)))])

        step()  # the first makes its start
        return step

    with tempfile.TemporaryDirectory() as folder:
        return measured(prepare, size, repeats, 1000)


def _clusters(folder: Path, n: int, d: int, components: int) -> Any:
    """A memory map of rows about spherical clusters, which overlap somewhat."""
    rng = np.random.default_rng(1)
    centres = SEPARATION * rng.standard_normal((components, d))
    path = folder / f"rows-{n}-{d}.npy"
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(n, d))
    for start in range(0, n, BLOCK):
        block = rows[start : start + BLOCK]
        block[:] = centres[rng.integers(components, size=len(block))] + rng.standard_normal(block.shape)
    rows.flush()
    del rows, block  # what was written counts as held as long as it is mapped
    return np.load(path, mmap_mode="r")


def regression_gradient(size: int, repeats: int) -> Measured:
    """A gradient of the posterior, all rows: what a sampler pays for a leapfrog step."""

    def prepare(n: int) -> Callable[[], object]:
        target = _regression(n)
        x, gradient = aligned(np.zeros(target.dim)), empty(target.dim)

        def calls() -> None:
            for _ in range(10):
                target.kernel(x, gradient, target.data)

        return calls

    return measured(prepare, size, repeats, 1000, 10)


def regression_part(size: int, repeats: int) -> Measured:
    """The gradient of a mini-batch: what stochastic VI pays for a draw."""

    def prepare(n: int) -> Callable[[], object]:
        target = _regression(n)
        assert target.rows is not None  # noqa: S101
        x, gradient = aligned(np.zeros(target.dim)), empty(target.dim)
        likelihood, part = compiled(target.rows.likelihood), targets.data_matrix(target.data[:PART])

        def calls() -> None:
            for _ in range(1000):
                likelihood(x, gradient, part)

        return calls

    return measured(prepare, size, repeats, 1000, 1000)


def _regression(n: int) -> targets.Target:
    return targets.load("linear_regression", dataset="synthetic", n=n, dim=COVARIATES)
