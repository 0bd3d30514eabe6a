"""Reverse KL for normalising flows: path-derivative gradients, Adam, averaged iterates, and a rule that ends it.

The flow starts as the identity on a Gaussian that another method fits, and so is never worse than that; or on a wide
Gaussian, from which the target is annealed: log density (1 - beta) log q_0 + beta log p, beta rising from 0 to 1. At
which weight modes part decides the masses that a fit follows them with, and what is wrong then is mended at beta = 1,
in steps as many as those that warmed it; the last of them shrink, and their average is what was found.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from targets.kernel import Matrix, Vector
from targets.options import require
from targets.protocols import Approximation, Phase, Run, Status, Work
from targets.target import Target
from variational import advi, laplace
from variational.evaluation import compile_log_densities, log_densities
from variational.flow import Flow, Map
from variational.flow_state import State
from variational.gaussian import Gaussian
from variational.method import Recipe
from variational.mode import compile_search, starting_point
from variational.planar import Planar
from variational.planar import push as planar_push
from variational.psis import smooth
from variational.realnvp import RealNVP
from variational.realnvp import push as realnvp_push

BASES: dict[str, Callable[[], Recipe]] = {
    "fullrank": advi.advi_fullrank,
    "meanfield": advi.advi_meanfield,
    "laplace": laplace.laplace,
}
STARTS = "starts"
SPREAD = 50  # starting points whose spread is seen
WIDER = 3.0  # times that spread has a wide base: modes that it does not reach are found late, with the wrong masses
WARM = 0.5  # of an annealed fit, after which the target is as it is
COOL = 0.3  # of it, at its end, in which steps shrink
AVERAGED = 0.1  # of it, the last, that its average is over
PATIENCE = 10_000  # evaluations that the fit of the base may take
WINDOW = 250  # steps that iterates are averaged over at first
CHUNK = 64  # steps in a compiled call
JUDGES = 1000  # draws, always the same, by which averages are compared
SLOWER, SLOWEST = 4.0, 64.0  # the rate falls by this where a window gains little, and by this in all
SURER = 0.05  # of the tolerance is asked of a base that is good enough as it is
RETREATS = 6
SHARE = 0.8  # of the score function in the gradient while a target is warmed; afterwards all, since paths hardly feel
# the masses of modes: few draws lie between them, whose long gradients are cut


@dataclass
class FlowRun:
    """One fit: first of the base, then of the flow, with decisions at the ends of windows of steps."""

    target: Target
    rng: np.random.Generator
    map: Map
    fit: Run | None
    tolerance: float
    rate: float
    batch: int
    annealing: int
    base: Gaussian | None = None
    judges: Matrix | None = None
    best: Flow | None = None
    log_ratios: Vector | None = None
    state: State | None = None
    window: int = WINDOW
    steps: int = 0
    annealed: bool = True
    slower: float = 1.0
    skipped: int = 0
    retreats: int = 0
    bent: bool = False
    k_hat: float = np.nan
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
            whole, forgotten = (self.window, 0) if self.annealed else (self.annealing, self._forgotten())
            here = forgotten if self.steps < forgotten else whole
            steps = min(here - self.steps, CHUNK - self.steps % CHUNK, max(1, (until - self.work.total) // self.batch))
            self._train(self.state, steps)
            if self.steps == forgotten:
                self.state.forget()
            elif self.steps == whole:
                self._decide(self.state, whole - forgotten)

    def _forgotten(self) -> int:
        """Steps of annealing before those whose average is kept."""
        return int((1.0 - AVERAGED) * self.annealing)

    def _begin(self, until: int) -> None:
        """Go on with the fit of the base; once it has ended, start the flow."""
        if self.fit is None:
            base = self._wide()
        else:
            before = self.work.total
            self.fit.advance(min(until, PATIENCE) - before)
            self.work = Work() + self.fit.work
            ended = self.fit.status is not Status.RUNNING or self.work.total >= PATIENCE
            if not ended:
                return
            found = self.fit.approximation()
            base = found if isinstance(found, Gaussian) else None
            if self.fit.status is Status.FAILED or base is None:
                self._fail(self.fit.reason or f"the fit of the base found nothing in {PATIENCE} evaluations")
                return
        if base is None:
            self._fail("no starting point has a finite density and gradient")
            return
        self.base = base
        self.judges = self.rng.standard_normal((JUDGES, self.target.dim))
        self.state = State.at(self.map, self.map.initial(self.rng), base, self.batch)
        if self.annealing:
            self.annealed = False
            return
        self._judge(self.state.parameters)
        spread = float(np.var(self.log_ratios)) if self.log_ratios is not None else np.inf
        if 0.5 * spread <= SURER * self.tolerance:  # KL(q || p) is half the variance of the log ratio where it is small
            self._converge(f"the base is within {SURER * self.tolerance:g} nats of the target")

    def _wide(self) -> Gaussian | None:
        """A Gaussian `WIDER` than the starting points are spread."""
        if starting_point(self.target, self.rng, self.work) is None:
            return None
        points = np.array([self.target.start(self.rng) for _ in range(SPREAD)])
        return Gaussian(points.mean(axis=0), WIDER * points.std(axis=0) + 1e-8)

    def _train(self, state: State, steps: int) -> None:
        beta, warming, rate, share = 1.0, 0.0, self.rate / self.slower, 1.0 if self.annealing else 0.0
        if not self.annealed:
            warming = 1.0 / (WARM * self.annealing)
            beta = min(self.steps * warming, 1.0)
            share = SHARE if self.steps - self.steps % CHUNK < WARM * self.annealing else 1.0
            left = 1.0 - (self.steps - self.steps % CHUNK) / self.annealing
            rate *= min(max(left / COOL, 1.0 / SLOWEST), 1.0)
        self.skipped += state.train(self.target, self.rng, self.map, steps, rate, share, beta, warming)
        self.steps += steps
        self.work.gradient_evaluations += steps * self.batch

    def _decide(self, state: State, averaged: int) -> None:
        """At the end of a window: keep the average of so many steps if it is better; go on, go on slower, or stop."""
        average = state.average(averaged)
        self.steps = 0
        if not self.annealed:
            self.annealed, self.slower = True, SLOWEST
            if np.all(np.isfinite(average)):
                self._judge(average)
                return
        if not np.all(np.isfinite(average)):
            self._retreat(state)
            return
        gain = self._judge(average)
        if gain > self.tolerance:
            return
        if self.log_ratios is None:
            return
        if self.slower >= SLOWEST:
            rates = "the slowest rate" if self.annealing else "each of four rates"
            self._converge(f"{self.window} steps at {rates} gained less than {self.tolerance:g} nats")
        else:
            self.slower *= SLOWER
            self.window *= 2

    def _judge(self, parameters: Vector) -> float:
        """Compare a flow with the best one so far, on the same draws, and keep the better; nats that it gains."""
        assert self.base is not None and self.judges is not None  # noqa: S101
        flow = Flow(self.base, self.map, parameters.copy())
        points, ours = flow.draw(self.judges)
        ratios = log_densities(self.target, points, self.work) - ours
        fine = bool(np.all(np.isfinite(ratios)))
        before = self.log_ratios
        gain = float(np.mean(ratios - before)) if fine and before is not None else np.inf if fine else -np.inf
        if gain > 0 or before is None:
            self.bent = self.best is not None or self.annealing > 0
            self.best = flow
            self.log_ratios = ratios if fine else None
            self.k_hat = smooth(ratios)[1]
        return gain

    def _retreat(self, state: State) -> None:
        """Go back to the best flow, slower."""
        self.retreats += 1
        if self.retreats > RETREATS or self.best is None:
            self._fail("the parameters of the flow overflow")
            return
        self.slower *= SLOWER
        state.restart(self.best.parameters)

    def _converge(self, reason: str) -> None:
        self.status, self.reason = Status.CONVERGED, reason

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> Approximation | None:
        """The best average so far; while the target is annealed the last iterate, and before that the base."""
        if self.base is None:
            return None if self.fit is None else self.fit.approximation()
        if self.best is not None:
            return self.best if self.bent else self.base
        assert self.state is not None  # noqa: S101
        return Flow(self.base, self.map, self.state.parameters.copy())

    def diagnostics(self) -> dict[str, float]:
        if self.state is None:
            return {}
        said = {"skipped": float(self.skipped), "retreats": float(self.retreats)}
        if self.log_ratios is not None:
            said |= {"elbo": float(np.mean(self.log_ratios)), "k_hat": self.k_hat}
        return said


def realnvp(
    *,
    base: str | None = None,
    couplings: int = 10,
    units: int = 32,
    annealing: int = 0,
    tolerance: float = 0.02,
    rate: float = 0.001,
    draws: int = 32,
) -> Recipe:
    """A RealNVP on a Gaussian base.

    `base` is `fullrank`, `meanfield` or `laplace`, the fit that it starts from, or `starts`, a Gaussian three times
    as wide as starting points are spread; by default `fullrank`, or `starts` with annealing. `couplings` have
    networks with two hidden layers of so many `units`. The target is annealed over `annealing` steps, half of them at
    its own density. `tolerance` is the gain in nats below which it slows down, and at last stops; `rate` the first step
    of Adam, `draws` those of a step.
    """
    require(couplings >= 1, f"realnvp: couplings={couplings} is not accepted; it takes 1 or more")
    require(units >= 1, f"realnvp: units={units} is not accepted; it takes 1 or more")

    def refuse(target: Target) -> str | None:
        return None if target.dim >= 2 else "a coupling takes two coordinates or more"

    def shape(dim: int) -> Map:
        return RealNVP(dim, couplings, units)

    return _recipe("realnvp", shape, realnvp_push, base, annealing, tolerance, rate, draws, refuse)


def planar(
    *,
    base: str | None = None,
    layers: int = 16,
    annealing: int = 0,
    tolerance: float = 0.02,
    rate: float = 0.001,
    draws: int = 32,
) -> Recipe:
    """A planar flow on a Gaussian base, of so many `layers`. Other options as those of `realnvp`."""
    require(layers >= 1, f"planar: layers={layers} is not accepted; it takes 1 or more")

    def shape(dim: int) -> Map:
        return Planar(dim, layers)

    return _recipe("planar", shape, planar_push, base, annealing, tolerance, rate, draws, lambda _: None)


def _recipe(
    name: str,
    shape: Callable[[int], Map],
    push: Any,
    base: str | None,
    annealing: int,
    tolerance: float,
    rate: float,
    draws: int,
    refuse: Callable[[Target], str | None],
) -> Recipe:
    known = ", ".join((*BASES, STARTS))
    require(base in (None, *BASES, STARTS), f"{name}: base={base} is not accepted; it takes {known} or none")
    require(annealing >= 0, f"{name}: annealing={annealing} is not accepted; it takes a number of steps, or 0 for none")
    require(draws >= 2 and draws % 2 == 0, f"{name}: draws={draws} is not accepted; it takes an even number, 2 or more")
    for option, value in (("tolerance", tolerance), ("rate", rate)):
        require(value > 0, f"{name}: {option}={value:g} is not accepted; it takes a positive number")
    chosen = base or (STARTS if annealing else "fullrank")
    recipe = BASES[chosen]() if chosen in BASES else None

    def begin(target: Target, seed: int) -> FlowRun:
        ours, theirs = np.random.SeedSequence(seed).spawn(2)
        fit = None if recipe is None else recipe.start(target, int(theirs.generate_state(1)[0]))
        return FlowRun(
            target,
            np.random.default_rng(ours),
            shape(target.dim),
            fit,
            tolerance,
            rate,
            draws,
            annealing,
        )

    def prepare(target: Target) -> None:
        compile_search(target)
        compile_log_densities(target)
        if recipe is not None:
            recipe.compile(target)
        smooth(np.zeros(100))  # loads what it needs
        _ = shape(2).train.compiled, push.compiled

    return Recipe(begin, prepare, refuse)
