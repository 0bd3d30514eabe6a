"""Reverse KL by reparameterised gradients (ADVI: Kucukelbir et al. 2017), mean field and full rank.

Family x objective x gradient x optimiser x stopping rule: a Gaussian; KL(q || p); path derivatives on orthogonal
antithetic draws; natural-gradient steps (`variational.descent`) from a rough mode; iterates averaged over windows, and
a stopping rule on the averages alone, which a constant added to the log density cannot change. The rule follows the
idea of Welandawe et al. 2022 (RAABBVI): first stationary, then accurate, with step sizes lowered until their bias is
small.
"""

from dataclasses import dataclass, field

import numpy as np

from targets.kernel import Vector
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational import descent
from variational.families import Average, State, difference, merge
from variational.gaussian import Gaussian
from variational.method import Recipe
from variational.mode import compile_search, curvature, find_mode, starting_point

SHORTEST_WINDOW = 64  # steps
RELAXATIONS = 3.0  # a window is at least this many relaxation times of the scales
DRIFT = 0.3  # correlation of successive changes above which the iterates still travel
PERSISTENT = 0.3  # ratio of the scales' variances in two windows above which it is noise, and not convergence
STALLED = 200  # blocks in a row without a finite gradient
FAINTEST, WIDEST = 1e-100, 1e100
ROUGH = 1e-4  # nats left to gain where the mode is good enough to start from
ROUGH_LIMIT = 200  # gradients spent on it at most


@dataclass
class AdviRun:
    """One fit. The first `advance` finds the start; then steps are made, with decisions at the ends of windows."""

    target: Target
    rng: np.random.Generator
    fullrank: bool
    tolerance: float
    warm_start: bool
    rate: float
    pace: float
    window: int = 0
    state: State | None = None
    averages: list[Average] = field(default_factory=list)
    last_change: Vector | None = None
    best: Average | None = None
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            if self.state is None:
                self._begin()
                continue
            steps = min(self.window - self.state.steps, max(1, (until - self.work.total) // 2))
            self.state.advance(self.target, self.rng, steps, self.rate, self.pace)
            self.work.gradient_evaluations += 2 * steps
            if self.state.steps == self.window:
                self._decide(self.state)

    def _begin(self) -> None:
        start = starting_point(self.target, self.rng, self.work)
        if start is None:
            self._fail("no starting point has a finite density and gradient")
            return
        x, value, gradient = start
        dim = self.target.dim
        sd = np.ones(dim)
        if self.warm_start:
            mode = find_mode(self.target, x, value, gradient, ROUGH, ROUGH_LIMIT, self.work)
            x, sd = mode.x, mode.scale
        q = Gaussian(x, sd)
        if self.fullrank:
            q = self._curved(q) if self.warm_start else Gaussian(x, np.diag(sd))
        self.state = State.at(q)
        self.window = self._multiple(max(SHORTEST_WINDOW, RELAXATIONS * self.state.block / self.pace))

    def _curved(self, q: Gaussian) -> Gaussian:
        """The curvature at the mean, made positive: where the density is convex, as wide as it is curved."""
        hessian = curvature(self.target, q.mean, q.factor, self.work) * np.outer(q.factor, q.factor)
        if not np.all(np.isfinite(hessian)):
            return Gaussian(q.mean, np.diag(q.factor))
        values, vectors = np.linalg.eigh(hessian)
        size = np.maximum(np.abs(values), 1e-4 * max(1.0, float(np.abs(values).max())))
        return Gaussian(q.mean, q.factor[:, None] * vectors / np.sqrt(size))

    def _multiple(self, steps: float) -> int:
        """The next multiple of a block: a whole one carries no off-diagonal noise."""
        block = self.state.block if self.state is not None else 1
        return int(np.ceil(steps / block)) * block

    def _decide(self, state: State) -> None:
        if state.tally[descent.STALLED] >= STALLED:
            self._fail(f"the last {state.tally[descent.STALLED]} blocks of draws had no finite gradient")
            return
        latest = state.average()
        if not np.all((latest.q.sd > FAINTEST) & (latest.q.sd < WIDEST)):
            self._fail(f"the scale of coordinate {int(np.argmax(np.abs(np.log(latest.q.sd))))} ran away")
            return
        self.best = latest
        self.averages.append(latest)
        state.open_window()
        if len(self.averages) < 2:
            return
        change = difference(self.averages[-2].q, self.averages[-1].q)
        previous, self.last_change = self.last_change, change
        if previous is None:
            return
        size = float(previous @ previous)
        trend = float(change @ previous) / size if size > 0 else 0.0
        left = float(np.abs(change).max()) * max(1.0, trend / (1 - trend) if trend < 1 else np.inf)
        if left > self.tolerance and trend > DRIFT:
            return
        if left > self.tolerance and latest.log_variance > PERSISTENT * self.averages[-2].log_variance:
            state.fresh = True
        if self._lower_steps(state, latest):
            return
        joint = latest if trend > 0 else latest._replace(q=merge(self.averages[-2].q, latest.q))
        self.best = joint
        if left <= self.tolerance:
            self.status = Status.CONVERGED
            self.reason = f"averages over windows of {self.window} steps agree to {self.tolerance:g} sd"
            return
        self.averages, self.last_change = [joint], None
        self.window *= 2

    def _lower_steps(self, state: State, latest: Average) -> bool:
        """Lower the step sizes where the iterates' own spread biases their average; whether they were lowered."""
        excess = latest.mean_variance / self.tolerance, latest.log_variance / self.tolerance
        if max(excess) <= 1:
            return False
        factors = [min(max(1 / e, 1 / 16), 0.7) if e > 1 else 1.0 for e in excess]
        self.rate *= factors[0]
        self.pace *= factors[1]
        state.restart(merge(self.averages[-2].q, latest.q))
        self.averages, self.last_change = [], None
        self.window = self._multiple(max(self.window, RELAXATIONS * max(state.block / self.pace, 1 / self.rate)))
        return True

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> Gaussian | None:
        if self.best is not None:
            return self.best.q
        return None if self.state is None else self.state.current()

    def diagnostics(self) -> dict[str, float]:
        if self.best is None or self.state is None:
            return {}
        return {"elbo": self.best.height + self.best.q.entropy, "skipped": float(self.state.tally[descent.SKIPPED])}


def advi_meanfield(*, tolerance: float = 0.01, warm_start: bool = True, rate: float = 1.0, pace: float = 0.5) -> Recipe:
    """A Gaussian with independent coordinates.

    `tolerance` is the accuracy of means and log sds at which it stops, in units of q; `warm_start` begins at a rough
    mode with the scale seen on the way; `rate` and `pace` are the first steps of means and of log sds, 1 a Newton step.
    """
    return _recipe("advi_meanfield", False, tolerance, warm_start, rate, lambda _: pace, pace)


def advi_fullrank(*, tolerance: float = 0.01, warm_start: bool = True, rate: float = 0.5, pace: float = 0.5) -> Recipe:
    """A Gaussian with a dense covariance.

    As `advi_meanfield`, and `warm_start` takes the curvature at the mode too (2 dim gradients); `pace` is divided by
    dim + 2, beyond which steps on single draws are unstable.
    """
    return _recipe("advi_fullrank", True, tolerance, warm_start, rate, lambda _: pace, pace)


def _recipe(name, fullrank, tolerance, warm_start, rate, pace_at, pace):  # type: ignore[no-untyped-def]
    for option, value in (("tolerance", tolerance), ("rate", rate), ("pace", pace)):
        require(value > 0, f"{name}: {option}={value:g} is not accepted; it takes a positive number")

    def begin(target: Target, seed: int) -> AdviRun:
        rng = np.random.default_rng(seed)
        return AdviRun(target, rng, fullrank, tolerance, warm_start, rate, pace_at(target.dim))

    def prepare(target: Target) -> None:
        compile_search(target)
        _ = (descent.fullrank if fullrank else descent.meanfield).compiled

    return Recipe(begin, prepare)
