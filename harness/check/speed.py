"""How fast a kernel is beside one that does nothing but touch its data: told, and not judged."""

import time

import numpy as np
from numba import types

from targets.check import Finding
from targets.kernel import DATA, KERNEL, VECTOR, compiled, empty, kernel, loop
from targets.target import Target

NANOSECONDS = 2e7  # that a measurement takes, about
REPEATS = 5


@kernel
def floor(x, gradient, data):  # type: ignore[no-untyped-def]
    """Reads every number once and writes every derivative once."""
    total = 0.0
    for row in range(data.shape[0]):
        for column in range(data.shape[1]):
            total += data[row, column]
    for i in range(x.shape[0]):
        gradient[i] = x[i]
        total += x[i]
    return total


@loop(types.float64(KERNEL, DATA, VECTOR, VECTOR, types.int64))
def repeatedly(kernel, data, x, gradient, times):  # type: ignore[no-untyped-def]
    """Call a kernel so many times at one position; returns the sum of its values."""
    total = 0.0
    for _ in range(times):
        total += kernel(x, gradient, data)
    return total


def finding(target: Target) -> Finding:
    """Nanoseconds of an evaluation at a starting point, and of the least that it could be."""
    own, least = _nanoseconds(target, target.kernel), _nanoseconds(target, compiled(floor))
    detail = f"{own:.0f} ns an evaluation, {own / least:.1f} times what touching the data once takes"
    return Finding(True, "speed", detail)


def _nanoseconds(target: Target, evaluate: object) -> float:
    x, gradient = empty(target.dim), empty(target.dim)
    x[:] = target.start(np.random.default_rng(0))
    _measure(evaluate, target, x, gradient, 1)  # loads the code
    times, best = 1, np.inf
    while times < 2**30:  # a call long enough for the clock to tell
        spent = min(_measure(evaluate, target, x, gradient, times) for _ in range(REPEATS))  # others may be running
        if spent >= 0.1 * NANOSECONDS:
            break
        times *= 4
    for _ in range(REPEATS):
        best = min(best, _measure(evaluate, target, x, gradient, times) / times)
    return best


def _measure(evaluate: object, target: Target, x: np.ndarray, gradient: np.ndarray, times: int) -> float:
    begun = time.perf_counter_ns()
    repeatedly(evaluate, target.data, x, gradient, times)
    return float(time.perf_counter_ns() - begun)
