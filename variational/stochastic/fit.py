"""A run of stochastic-gradient VI: Adam from a rough mode or another fit, until averages of iterates agree.

At each step size the iterates go on until a window of them is stationary (split R-hat at most 1.1, over 200 steps or
more) and has 25 effective iterates; its average is accurate if its Monte Carlo error is below half the tolerance
(Welandawe et al. 2022, who stop there, at 0.1 sd). What the spread of the iterates does to it is a bias that no error
of an average shows. So the step is divided by four, whose iterates spread half as far (the grid of Agrawal, Sheldon and
Domke 2020), and the run has converged once two accurate averages in a row agree. No value of the bound decides that.
But a stage that lowers the bound, as one does whose steps are too long for the many entries of a dense scale, is
undone, and its step divided by four.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import logsumexp

from targets.blocks import Blocks, shuffled
from targets.kernel import Vector
from targets.protocols import Phase, Run, Status, Work
from targets.target import Target
from variational.evaluation import log_densities
from variational.gaussian import Gaussian
from variational.mode import find_mode, starting_point
from variational.psis import smooth
from variational.stochastic.parts import DRAWN, HOPELESS, SKIPPED
from variational.stochastic.plan import Plan
from variational.stochastic.state import ROWS, State, approximation, diagonals, weighed_draws
from variational.stochastic.stopping import LEAST_WINDOW, judge

GRID = tuple(0.1 / 4**k for k in range(5))
TRIAL = 400  # steps with each of the grid, if it is searched
ROUGH, ROUGH_LIMIT, ROUGH_PASSES = 1e-4, 200, 30  # nats left to gain at the start, and gradients spent on it at most
FURTHEST, WIDEST = 1e100, 230.0  # of a mean, and of a log sd
TRAVEL = 5.0  # sd that the steps of a window could have led to: otherwise it would settle since it cannot move
SHORTEST = 1e-8  # step size
NOISE = 3.0  # standard errors by which a bound must differ
JUDGED, JUDGED_PASSES = 1000, 50  # draws that the bound and k-hat are from; the latter for mini-batches


@dataclass
class StochasticRun:
    """One fit.

    Attributes:
        cover: the fit that this one starts from; none starts at a rough mode.
        marks: the steps of this stage at which it was looked at, with the sum of theta until then.
        trials: bound, step size and average of each step size tried.
        opened, height: where the bound was highest in this stage or at its start, and the bound there with its error.
        best, accurate: the average that the last stage ended with, and whether its error is below half the tolerance.
    """

    target: Target
    rng: np.random.Generator
    plan: Plan
    cover: Run | None = None
    state: State | None = None
    step_size: float = 0.0
    searching: bool = False
    marks: list[tuple[int, Vector]] = field(default_factory=list)
    trials: list[tuple[float, float, Vector]] = field(default_factory=list)
    height: tuple[float, float] = (-math.inf, 0.0)
    opened: Vector = field(default_factory=lambda: np.empty(0))
    best: Vector | None = None
    accurate: bool = False
    ratios: Vector = field(default_factory=lambda: np.empty(0))
    numbers: dict[str, float] = field(default_factory=dict)
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            if self.state is None:
                self._begin(until)
                continue
            stop = self._next_look(self.state)
            steps = min(stop - self.state.steps, self._steps_until(self.state, until))
            self.state.advance(self.target, self.rng, steps, self.step_size, self.work)
            if self.state.stalled:
                self._fail(f"the last {HOPELESS} steps had no draw with a finite density")
            elif self.state.steps == stop:
                self._look(self.state)

    def _steps_until(self, state: State, until: int) -> int:
        left = float(until - self.work.total)
        if state.blocks is not None:
            left -= (self.work.row_evaluations % len(state.blocks.data)) / len(state.blocks.data)
        return max(1, math.ceil(left / state.cost(self.target) - 1e-9))

    def _next_look(self, state: State) -> int:
        """At half a record, at three quarters of it, and when it is full; a trial is looked at twice."""
        if self.searching:
            return TRIAL // 2 if state.steps < TRIAL // 2 else TRIAL
        quarter = ROWS // 4 * state.thin
        return max(2, state.steps // quarter + 1) * quarter

    def _begin(self, until: int) -> None:
        start = self._mode() if self.cover is None else self._covered(self.cover, until)
        if start is None:
            return
        blocks: Blocks | None = None
        if self.plan.batch_rows is not None:
            blocks = shuffled(self.target, self.rng, self.plan.batch_rows)
            self.work.row_evaluations = self.work.gradient_evaluations * len(blocks.data)
        self.state = State.at(self.plan, start.mean, start.sd, self.rng, blocks)
        self.state.enter(start)
        self.searching = self.plan.step is None
        self.step_size = self.plan.step or GRID[0]
        self._open(self.state.vectors.theta.copy())

    def _mode(self) -> Gaussian | None:
        """A rough mode, with the scales seen on the way; None after failing."""
        begun = starting_point(self.target, self.rng, self.work)
        if begun is None:
            self._fail("no starting point has a finite density and gradient")
            return None
        limit = ROUGH_LIMIT if self.plan.batch_rows is None else ROUGH_PASSES
        mode = find_mode(self.target, *begun, ROUGH, limit, self.work)
        return Gaussian(mode.x, mode.scale)

    def _covered(self, cover: Run, until: int) -> Gaussian | None:
        """Go on with the fit that this one starts from: what it found; None before its end, or if it failed."""
        cover.advance(until - self.work.total)
        self.work = Work() + cover.work
        found = cover.approximation()
        if cover.status is Status.CONVERGED and isinstance(found, Gaussian):
            return found
        if cover.status is not Status.RUNNING:
            self._fail(cover.reason)
        return None

    def _open(self, theta: Vector) -> None:
        """Begin a stage, or a trial, at theta."""
        assert self.state is not None  # noqa: S101
        self.state.restart(theta)
        self.marks = [(0, np.zeros_like(theta))]
        self.opened = theta
        if not self.searching:
            self.height = self._bound(self.state, theta)

    def _look(self, state: State) -> None:
        theta = state.vectors.theta
        logs = theta[diagonals(self.plan, state.dim)]
        if not (np.all(np.abs(theta[: state.dim]) < FURTHEST) and np.all(np.isfinite(theta))):
            self._fail("the mean ran away, or the log density overflows")
        elif not np.all(np.abs(logs) < WIDEST):
            self._fail(f"the scale of coordinate {int(np.argmax(np.abs(logs)))} ran away")
        elif self.searching:
            self._try(state)
        else:
            self._judge(state)

    def _try(self, state: State) -> None:
        """Keep the average of the second half of a trial; after the last, go on from the best."""
        if state.steps < TRIAL:
            self.marks.append((state.steps, state.vectors.total.copy()))
            return
        average = self._average(state, *self.marks[-1])
        self.trials.append((self._bound(state, average)[0], self.step_size, average))
        if len(self.trials) < len(GRID):
            self.step_size = GRID[len(self.trials)]
            self._open(self.opened)
            return
        self.searching = False
        _, self.step_size, theta = max(self.trials, key=lambda trial: trial[0])
        self._open(theta)

    def _judge(self, state: State) -> None:
        """End the stage where a window of its iterates has settled: the longest that has."""
        rows, now = state.rows, state.steps
        for steps, total in self.marks:
            if now - steps < max(LEAST_WINDOW, now // 3, TRAVEL / self.step_size):
                break
            average = self._average(state, steps, total)
            lengths = state.lengths(average)[state.watched]
            found = judge((rows[steps // state.thin :] - average[state.watched]) / lengths, self.plan.tolerance)
            if found.settled:
                self._end_stage(state, average, found.error <= 0.5 * self.plan.tolerance)
                return
        if len(rows) == ROWS:
            self._go_on(state)
        else:
            self.marks.append((now, state.vectors.total.copy()))

    def _go_on(self, state: State) -> None:
        """With the stage, unless its steps have lowered the bound; it is asked whenever their number has doubled."""
        half = next(mark for mark in reversed(self.marks) if mark[0] <= state.steps // 2)
        average = self._average(state, *half)
        bound = self._bound(state, average)
        if bound[0] >= self.height[0] - NOISE * math.hypot(bound[1], self.height[1]):
            if bound[0] > self.height[0]:
                self.height, self.opened = bound, average
            self.marks.append((state.steps, state.vectors.total.copy()))
            state.thin_out()
            return
        self.accurate = False
        self.step_size *= 0.25
        if self.step_size < SHORTEST:
            self._fail("no step is short enough to raise the bound: gradients have too much noise")
            return
        self._open(self.opened)

    def _average(self, state: State, steps: int, total: Vector) -> Vector:
        return np.asarray((state.vectors.total - total) / (state.steps - steps))

    def _end_stage(self, state: State, average: Vector, accurate: bool) -> None:
        before, self.best = self.best if self.accurate else None, average
        self.accurate = accurate
        if before is not None and accurate:
            change = float(np.max(np.abs(average - before) / state.lengths(average)))
            if change <= self.plan.tolerance:
                self.status = Status.CONVERGED
                self.reason = (
                    f"averages with steps of {4 * self.step_size:.3g} and {self.step_size:.3g} agree to "
                    f"{self.plan.tolerance:g} sd"
                )
                self._bound(state, average)
                if state.blocks is None:
                    self.numbers["k_hat"] = smooth(self.ratios)[1]
                return
        self.step_size *= 0.25
        self._open(average)

    def _bound(self, state: State, theta: Vector) -> tuple[float, float]:
        """The objective at theta and its standard error, from draws of its own; keeps the ELBO and the log ratios."""
        q = approximation(self.plan, state.dim, theta)
        draws, alpha = self.plan.draws, self.plan.alpha
        n = JUDGED if state.blocks is None else JUDGED_PASSES
        with np.errstate(all="ignore"):  # what has diverged overflows
            points, densities = weighed_draws(q, self.rng, max(2, n // draws) * draws)
            ratios = log_densities(self.target, points, self.work) - densities
        if state.blocks is not None:
            self.work.row_evaluations += len(points) * len(state.blocks.data)
        self.numbers = {}
        if not np.all(np.isfinite(ratios)):
            return -math.inf, 0.0
        self.numbers["elbo"] = float(ratios.mean())
        if state.blocks is None:
            self.ratios = ratios
        bounds = ratios
        if alpha != 1.0:
            bounds = (logsumexp((1 - alpha) * ratios.reshape(-1, draws), axis=1) - math.log(draws)) / (1 - alpha)
        return float(bounds.mean()), float(bounds.std() / math.sqrt(len(bounds)))

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self):  # type: ignore[no-untyped-def]
        """The average over the latter part of this stage, or of the stage before where this one is young."""
        state = self.state
        if state is None:
            return None if self.cover is None else self.cover.approximation()
        theta = state.vectors.theta
        settled = [mark for mark in self.marks if mark[0] <= state.steps // 2]
        if self.best is not None and (self.status is not Status.RUNNING or state.steps < LEAST_WINDOW):
            theta = self.best
        elif state.steps > 0 and self.status is Status.RUNNING:
            theta = self._average(state, *settled[-1])
        if not np.all(np.isfinite(theta)):
            return None
        return approximation(self.plan, state.dim, theta)

    def diagnostics(self) -> dict[str, float]:
        if self.state is None:
            return {}
        skipped, drawn = (int(self.state.tally[kind]) for kind in (SKIPPED, DRAWN))
        return {**self.numbers, "step_size": self.step_size, "skipped": float(skipped), "drawn": float(drawn)}
