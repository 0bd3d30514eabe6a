"""What steps of samplers and of VI fits cost, and what a leapfrog step costs beyond its kernel call."""

import statistics
import time

import numpy as np

from benchmarks.kernels import evaluate
from harness import registry
from targets.kernel import aligned, empty
from targets.protocols import Phase, Run, Status

GRADIENTS = 20_000
COORDINATES = 2_000_000  # evaluations times dimension of one measurement of the overhead


def spend(run: Run, evaluations: int) -> None:
    """Advance a run through its phases until it ends or has spent so much."""
    while run.status is Status.RUNNING and run.work.total < evaluations:
        run.advance(evaluations - run.work.total)


def warm_up(run: Run) -> None:
    """Advance a sampler to its first draws after warm-up."""
    while run.status is Status.RUNNING and run.phase is Phase.WARMUP:
        run.advance(GRADIENTS)
    run.advance(1)


class Sampling:
    """Seconds for so many evaluations after warm-up."""

    params = (("hmc", "nuts", "mams", "mclmc", "slice", "random_walk"), ("ar1", "rotated"), (2, 10, 100))
    param_names = ("method", "structure", "dim")
    number = 1  # the run goes on from call to call, so that each sample begins with a new one

    def setup(self, method: str, structure: str, dim: int) -> None:
        target = registry.target(f"correlated_gaussian[structure={structure},dim={dim}]")
        self.run = registry.method(method).start(target, seed=1)
        warm_up(self.run)

    def time_advance(self, method: str, structure: str, dim: int) -> None:
        self.run.advance(GRADIENTS)


class Fitting:
    """Seconds for a whole fit, to convergence or to a budget."""

    params = (
        ("cavi", "laplace", "advi_meanfield", "advi_fullrank", "forward_kl_meanfield", "forward_kl_fullrank"),
        ("correlated_gaussian[dim=10]", "correlated_gaussian[dim=50]", "banana"),
    )
    param_names = ("method", "target")
    timeout = 300

    def setup(self, method: str, target: str) -> None:
        self.target, self.method = registry.target(target), registry.method(method)
        if self.method.unfit(self.target) is not None:
            raise NotImplementedError
        self.method.compile(self.target)
        self.method.start(self.target, seed=1).advance(1)

    def time_fit(self, method: str, target: str) -> None:
        spend(self.method.start(self.target, seed=1), GRADIENTS)


class Overhead:
    """Nanoseconds of a leapfrog step beyond its kernel call, all that the sampler does after warm-up included.

    Of processor time, which waiting for a processor does not count to.
    """

    params = (("hmc", "nuts", "nuts[metric=nutpie_low_rank]"), ("ar1", "rotated"), (2, 10, 100, 300, 1000))
    param_names = ("method", "structure", "dim")
    unit = "ns"
    timeout = 300

    def setup(self, method: str, structure: str, dim: int) -> None:
        self.target = registry.target(f"correlated_gaussian[structure={structure},dim={dim}]")
        self.run = registry.method(method).start(self.target, seed=1)
        warm_up(self.run)
        self.run.advance(COORDINATES // dim)
        visited = self.run.approximation()
        assert visited is not None
        self.x = aligned(visited.sample(np.random.default_rng(1), 1)[0])
        self.gradient = empty(dim)
        self.once()

    def track_overhead(self, method: str, structure: str, dim: int) -> float:
        return statistics.median(self.once() for _ in range(9))

    def once(self) -> float:
        """One measurement: a stretch of sampling, and as many bare calls right after it."""
        before = self.run.work.gradient_evaluations
        start = time.process_time_ns()
        self.run.advance(COORDINATES // self.target.dim)
        sampled = time.process_time_ns()
        n = self.run.work.gradient_evaluations - before
        evaluate(self.target.kernel, self.x, self.gradient, self.target.data, n)
        return ((sampled - start) - (time.process_time_ns() - sampled)) / n
