"""The clock. It belongs to the harness alone: methods do work and never look at the time."""

import contextlib
import gc
import os
import time
from collections.abc import Iterator

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Clock:
    """Sums the seconds of the stretches that it encloses, by the monotonic clock, with garbage collection off."""

    def __init__(self) -> None:
        self.nanoseconds = 0

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self.nanoseconds * 1e-9

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count the time spent in the `with` block, whether or not it raises."""
        was_on = gc.isenabled()
        gc.disable()
        begin = time.perf_counter_ns()
        try:
            yield
        finally:
            self.nanoseconds += time.perf_counter_ns() - begin
            if was_on:
                gc.enable()


def pin_threads_of_children() -> None:
    """Let every process started from now on use one BLAS and one numba thread."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS to one thread within this process."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
