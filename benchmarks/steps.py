"""What steps of samplers and of VI fits cost, and what a leapfrog step costs beyond its kernel call."""

import statistics
import time

import numpy as np

from benchmarks.kernels import evaluate
from harness import gradients, registry
from targets.kernel import aligned, empty
from targets.protocols import Phase, Run, Status, Work
from variational.stochastic.fit import StochasticRun
from variational.stochastic.parts import THIN

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
        (
            "cavi",
            "laplace",
            "advi_meanfield",
            "advi_fullrank",
            "forward_kl_meanfield",
            "forward_kl_fullrank",
            "bbvi",
            "bbvi[family=fullrank]",
        ),
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


class DrawOverhead:
    """Nanoseconds of a reparameterised draw beyond its kernel call: random numbers, gradient and optimiser included.

    Of processor time, and of the loop alone, without the decisions between its calls. 40 + 6 dim is the aim.
    """

    params = (("bbvi", "bbvi[noise=logistic]", "advi_meanfield"), (2, 10, 100, 300, 1000))
    param_names = ("method", "dim")
    unit = "ns"
    timeout = 300

    def setup(self, method: str, dim: int) -> None:
        self.target = registry.target(f"correlated_gaussian[dim={dim}]")
        chosen = registry.method(method)
        chosen.compile(self.target)
        self.run = chosen.start(self.target, seed=1)
        self.run.advance(1)
        self.x, self.gradient = aligned(np.zeros(dim)), empty(dim)
        self.once()

    def track_overhead(self, method: str, dim: int) -> float:
        return statistics.median(self.once() for _ in range(9))

    def once(self) -> float:
        """One measurement: steps that all but stand still, and as many bare calls right after them."""
        draws = COORDINATES // self.target.dim // 2
        start = time.process_time_ns()
        made = self.steps(draws)
        fitted = time.process_time_ns()
        evaluate(self.target.kernel, self.x, self.gradient, self.target.data, made)
        return ((fitted - start) - (time.process_time_ns() - fitted)) / made

    def steps(self, draws: int) -> int:
        state, target, rng = self.run.state, self.target, self.run.rng
        if isinstance(self.run, StochasticRun):
            work = Work()
            state.restart(state.vectors.theta.copy())
            state.settings[THIN] = draws  # nothing is recorded
            state.advance(target, rng, draws // self.run.plan.draws, 1e-4, work)
            return work.gradient_evaluations
        return 2 * state.advance(target, rng, draws // 2, 1e-4, 1e-4)


class GradientVariance:
    """Trace of the covariance of the ELBO's gradient, one draw, in units of q, at the mean-field optimum."""

    params = (
        ("reparameterised", "sticking_the_landing", "score", "score_cv", "rao_blackwell", "relax"),
        ("correlated_gaussian[dim=2]", "correlated_gaussian[dim=100]", "banana", "logistic_regression"),
    )
    param_names = ("estimator", "target")
    unit = "1"
    timeout = 300

    def track_trace(self, estimator: str, target: str) -> float:
        loaded, draws = registry.target(target), gradients.ESTIMATORS[estimator]
        q = gradients.optimum(loaded, 1)
        return gradients.sample(loaded, q, estimator, draws, 2000, np.random.default_rng(1)).trace[0]
