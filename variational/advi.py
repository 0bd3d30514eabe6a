"""Reverse KL by reparameterised gradients (ADVI: Kucukelbir et al. 2017), mean field and full rank.

Family x objective x gradient x optimiser x stopping rule: a Gaussian; KL(q || p); path derivatives on orthogonal
antithetic draws; natural-gradient steps (`variational.descent`) from a rough mode; iterates averaged over windows, and
a stopping rule on the averages alone, which a constant added to the log density cannot change. The rule follows the
idea of Welandawe et al. 2022 (RAABBVI): first stationary, then accurate, with step sizes lowered until their bias is
small.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from targets.kernel import Vector
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational import descent
from variational.families import State
from variational.gaussian import Gaussian
from variational.iterates import Average, Iterates, Member
from variational.method import Recipe
from variational.mode import compile_search, curvature, find_mode, starting_point

SHORTEST_WINDOW = 64  # steps
RELAXATIONS = 2.0  # a window is at least this many relaxation times of the scales
DRIFT = 0.3  # correlation of successive changes above which the iterates still travel
SURER = 0.05  # of the tolerance is asked for where it costs little: without noise
PERSISTENT = 0.3  # ratio of the scales' variances in two windows above which it is noise, and not convergence
LOOSER = 1.5  # than the tolerance may be what the windows of half the length, which have more noise, agreed to
RETREATS = 12  # times that a fit is taken back to where the density could be evaluated, narrower and slower
FAINTEST, WIDEST = 1e-100, 1e100
ROUGH = 1e-4  # nats left to gain where the mode is good enough to start from
ROUGH_LIMIT = 200  # gradients spent on it at most
CURVED = 512  # dimensions up to which a mean field starts from differences of gradients, two for each coordinate


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
    state: Iterates | None = None
    averages: list[Average] = field(default_factory=list)
    last_change: Vector | None = None
    safe: Member | None = None
    best: Average | None = None
    exact: bool = False
    agreed: bool = False
    retreats: int = 0
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
            steps = min(self.window - self.state.steps, max(1, (until - self.work.total) // self.state.cost))
            made = self.state.advance(self.target, self.rng, steps, self.rate, self.pace)
            self.work.gradient_evaluations += self.state.cost * made
            if self.state.steps == self.window or self.state.stalled:
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
        q = self._start(Gaussian(x, sd))
        self.state, self.safe = self._moving(q), q
        self.window = self._multiple(max(self._shortest(), RELAXATIONS * self.state.block / self.pace))

    def _shortest(self) -> int:
        return SHORTEST_WINDOW

    def _moving(self, q: Any) -> Iterates:
        return State.at(q)

    def _start(self, q: Gaussian) -> Member:
        """What the fit starts from, given where a rough mode lies, if one was looked for, and the scales seen there."""
        if self.warm_start and (self.fullrank or q.dim <= CURVED):
            return self._curved(q)
        return Gaussian(q.mean, np.diag(q.factor)) if self.fullrank else q

    def _curved(self, q: Gaussian) -> Gaussian:
        """As wide as the density is curved at the mean, along each coordinate or in all directions.

        Where it curves upwards, that counts as if it were downwards.
        """
        hessian = curvature(self.target, q.mean, q.factor, self.work) * np.outer(q.factor, q.factor)
        if not np.all(np.isfinite(hessian)):
            return Gaussian(q.mean, np.diag(q.factor) if self.fullrank else q.factor)
        if not self.fullrank:
            size = np.abs(np.diagonal(hessian))
            return Gaussian(q.mean, q.factor / np.sqrt(np.maximum(size, 1e-4 * max(1.0, float(size.max())))))
        values, vectors = np.linalg.eigh(hessian)
        size = np.maximum(np.abs(values), 1e-4 * max(1.0, float(np.abs(values).max())))
        return Gaussian(q.mean, q.factor[:, None] * vectors / np.sqrt(size))

    def _multiple(self, steps: float) -> int:
        block = self.state.block if self.state is not None else 1
        return int(np.ceil(steps / block)) * block

    def _decide(self, state: Iterates) -> None:
        """At the end of a window: step back, go on, lower the steps, lengthen the windows, or stop."""
        if state.stalled:
            self._retreat(state, f"the last {descent.HOPELESS} blocks of draws had no finite gradient")
            return
        latest = state.average()
        if not (np.isfinite(latest.elbo) and np.all(np.isfinite(latest.q.mean))):
            self._retreat(state, "the log density or the approximation overflows")
            return
        if not np.all((latest.q.sd > FAINTEST) & (latest.q.sd < WIDEST)):
            self._fail(f"the scale of coordinate {int(np.argmax(np.abs(np.log(latest.q.sd))))} ran away")
            return
        before = self.averages[-1] if self.averages else None
        aliased = state.aliased and (before is None or latest.log_variance > PERSISTENT * before.log_variance)
        self.exact = latest.quadratic and not aliased
        self.best = latest._replace(q=state.current()) if self.exact else latest
        self.safe = latest.q
        self.averages = [*self.averages[-1:], latest]
        state.open_window()
        if before is not None:
            self._compare(state, before, latest)

    def _compare(self, state: Iterates, before: Average, latest: Average) -> None:
        """Judge the latest window by the one before."""
        left, trend = self._left(state.difference(before.q, latest.q))
        wanted = SURER * self.tolerance if self.exact else self.tolerance
        agreed, self.agreed = self.agreed, False
        if trend > DRIFT or self.exact:
            if left <= wanted and not (trend > DRIFT and self._lower_steps(state, latest)):
                self._converge(f"averages over windows of {self.window} steps agree to {wanted:g} sd")
            return
        if self._lower_steps(state, latest):
            return
        self.best = latest._replace(q=state.merge(before.q, latest.q))
        # windows differ by twice the error of their average; a slow drift shows once they are longer
        if agreed and 0.5 * left <= wanted:
            self._converge(f"the average over {2 * self.window} steps is within {wanted:g} sd")
            return
        self.agreed = 0.5 * left <= LOOSER * wanted
        self.averages = [self.best]
        self.window *= 2

    def _left(self, change: Vector) -> tuple[float, float]:
        """How far the averages may still be from where they go, and the trend of their changes.

        Noise alone makes successive changes anticorrelated; a slow approach makes them alike, and leaves
        change * trend / (1 - trend) to go. Without an earlier change nothing is known of the trend.
        """
        previous, self.last_change = self.last_change, change
        size = float(np.abs(change).max())
        if previous is None:
            return size / SURER, 1.0
        squared = float(previous @ previous)
        trend = float(change @ previous) / squared if squared > 0 else 0.0
        return size * max(1.0, trend / (1 - trend) if trend < 1 else np.inf), trend

    def _lower_steps(self, state: Iterates, latest: Average) -> bool:
        """Lower the step sizes where the iterates' own spread biases their average; whether they were lowered."""
        excess = latest.mean_variance / self.tolerance, latest.log_variance / self.tolerance
        if max(excess) <= 1:
            return False
        factors = [min(max(1 / e, 1 / 16), 0.7) if e > 1 else 1.0 for e in excess]
        self.rate *= factors[0]
        self.pace *= factors[1]
        self.best = latest._replace(q=state.merge(self.averages[-2].q, latest.q))
        self._restart(state, self.best.q)
        return True

    def _restart(self, state: Iterates, q: Member) -> None:
        state.restart(q)
        self.averages, self.last_change, self.agreed = [], None, False
        self.window = self._multiple(max(self.window, RELAXATIONS * max(state.block / self.pace, 1 / self.rate)))

    def _retreat(self, state: Iterates, trouble: str) -> None:
        """Go back to the last window that could be evaluated, narrower and with smaller steps each time."""
        if self.retreats >= RETREATS or self.safe is None:
            self._fail(trouble)
            return
        self.retreats += 1
        self.rate *= 0.5
        self.pace *= 0.5
        self._restart(state, state.narrowed(self.safe, 0.5**self.retreats))

    def _converge(self, reason: str) -> None:
        self.status, self.reason = Status.CONVERGED, reason

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> Member | None:
        """The last iterate where there is no noise; else the last average, with what the open window adds to it."""
        if self.state is None:
            return None
        if self.status is Status.RUNNING and (self.best is None or self.exact):
            return self.state.current()
        if self.best is None:
            return self.safe
        if self.status is not Status.RUNNING or self.state.steps < self.state.block:
            found: Member = self.best.q
            return found
        running = self.state.average().q
        merged: Member = self.state.merge(self.best.q, running, self.state.steps / (self.window + self.state.steps))
        return merged

    def diagnostics(self) -> dict[str, float]:
        if self.best is None or self.state is None:
            return {}
        return {"elbo": self.best.elbo, **self.state.counts(), "retreats": float(self.retreats)}


def advi_meanfield(*, tolerance: float = 0.02, warm_start: bool = True, rate: float = 0.5, pace: float = 0.5) -> Recipe:
    """A Gaussian with independent coordinates.

    `tolerance` is the accuracy of means and log sds at which it stops, in units of q; `warm_start` begins at a rough
    mode with the scale seen on the way; `rate` and `pace` are the first steps of means and of log sds, 1 a Newton step.
    """
    return _recipe("advi_meanfield", False, tolerance, warm_start, rate, pace)


def advi_fullrank(*, tolerance: float = 0.02, warm_start: bool = True, rate: float = 0.5, pace: float = 0.5) -> Recipe:
    """A Gaussian with a dense covariance. As `advi_meanfield`; `warm_start` takes the curvature at the mode as well."""
    return _recipe("advi_fullrank", True, tolerance, warm_start, rate, pace)


def _recipe(name: str, fullrank: bool, tolerance: float, warm_start: bool, rate: float, pace: float) -> Recipe:
    for option, value in (("tolerance", tolerance), ("rate", rate), ("pace", pace)):
        require(value > 0, f"{name}: {option}={value:g} is not accepted; it takes a positive number")

    def begin(target: Target, seed: int) -> AdviRun:
        return AdviRun(target, np.random.default_rng(seed), fullrank, tolerance, warm_start, rate, pace)

    def prepare(target: Target) -> None:
        compile_search(target)
        _ = (descent.fullrank if fullrank else descent.meanfield).compiled

    return Recipe(begin, prepare)
