"""What threads bring: two chains on two cores against the same chains one after the other, with the same draws."""

import statistics
import time

import numpy as np

from benchmarks.steps import warm_up
from harness import registry
from targets.protocols import Run

TARGET = "logistic_regression[dataset=synthetic,n=2000,dim=20]"  # more than 10 microseconds a gradient
GRADIENTS = 10_000  # a measurement


class Threads:
    """The ratio of seconds with two threads to seconds with one: 0.5 is perfect, and 1 means that nothing is gained.

    Where there is one core only, it says no more than what threads cost.
    """

    params = (("hmc", "nuts", "random_walk"),)
    param_names = ("method",)
    unit = "ratio"
    timeout = 300

    def setup(self, method: str) -> None:
        target, sampler = registry.target(TARGET), registry.method(f"{method}[num_chains=2]")
        sampler.compile(target)
        self.runs = [sampler.start(target, 1, threads=threads) for threads in (1, 2)]
        for run in self.runs:
            warm_up(run)

    def track_ratio(self, method: str) -> float:
        ratio = statistics.median(self.once() for _ in range(9))
        serial, threaded = (run.approximation().values for run in self.runs)
        if not np.array_equal(serial, threaded):
            raise RuntimeError(f"{method}: the draws depend on the number of threads")
        return ratio

    def once(self) -> float:
        serial, threaded = map(seconds, self.runs)
        return threaded / serial


def seconds(run: Run) -> float:
    start = time.perf_counter()
    run.advance(GRADIENTS)
    return time.perf_counter() - start
