"""Reverse KL with a mixture of Gaussians by natural gradients (Lin, Khan and Schmidt 2019; Arenz et al. 2023).

A fit starts from the modes that climbs from widely scattered points lead to, shares its components out among them, and
moves all of them at once (`variational.mixture_steps`). Iterates are averaged over windows that double while steps
shrink, until successive averages are the same distribution; components that have lost their weight are removed.
"""

from dataclasses import dataclass, field

import numpy as np

from targets.kernel import Vector, aligned
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational import mixture_steps
from variational.closed_form import reverse_optimum
from variational.evaluation import compile_log_densities, gradients
from variational.gaussian import Gaussian
from variational.method import Recipe
from variational.mixture import MixtureOfGaussians, discrepancy
from variational.mixture_state import Average, State
from variational.mode import around_mode, compile_search, starting_points

ROUGH, ROUGH_LIMIT = 1e-2, 200  # of the searches for modes: nats left to gain, and gradients at most
SAME = 1.0  # sd of the curvature within which two climbs have found the same mode
RATE = 0.5  # first steps, 1 a Newton step
FIRST = 16  # steps of the first window
SLOWER = 0.7  # factor of the steps where windows do not agree
SLOWEST = 0.02
DRIFT = 0.3  # correlation of successive changes of the averages above which they still travel
FADED = 1e-4  # weight below which a component is removed, once windows agree
AGREEMENTS = 2  # of windows in a row, each twice as long as the one before
COLLAPSED = 4  # windows in a row without a draw that could be evaluated
LARGEST = 100_000_000  # numbers in the components' factors
COVARIANCES = ("full", "diagonal")


@dataclass
class MixtureRun:
    """One fit. A step is atomic, as is the start; decisions are made at the ends of windows."""

    target: Target
    rng: np.random.Generator
    components: int
    diagonal: bool
    tolerance: float
    spread: float
    agreements: int = AGREEMENTS
    rate: float = RATE
    window: int = FIRST
    state: State | None = None
    before: MixtureOfGaussians | None = None
    best: Average | None = None
    settled: bool = False  # whether the components have had a window to find their places, and weights may move
    change: float = float("inf")
    step: Vector | None = None  # that the last window's average made from the one before: of means and log sds
    agreed: int = 0
    empty: int = 0
    skipped: int = 0
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
            wanted = -(-(until - self.work.total) // self.state.price)
            steps = min(self.window - self.state.steps, wanted)
            self.state.advance(self.target, self.rng, steps, self.rate, self.rate if self.settled else 0.0)
            self.work.gradient_evaluations += steps * self.state.price
            if self.state.steps == self.window:
                self._decide(self.state)

    def _begin(self) -> None:
        modes = climbed(self.target, self.rng, self.components, self.spread, self.work)
        if not modes:
            self._fail("no starting point has a finite density and gradient")
            return
        self.state = State.at(scattered([self.shaped(mode) for mode in modes], self.components, self.rng))

    def shaped(self, part: Gaussian) -> Gaussian:
        """The part as the family has it: dense, or with the scales that the reverse KL takes of a dense one."""
        if self.diagonal:
            return (
                part
                if part.diagonal
                else reverse_optimum(part.mean, np.asarray(np.linalg.inv(part.covariance), dtype=np.float64))
            )
        return Gaussian(part.mean, np.diag(part.factor)) if part.diagonal else part

    def _decide(self, state: State) -> None:
        """At the end of a window: stop, or go on with longer windows and shorter steps."""
        drawn, skipped = (int(state.tally[what]) for what in (mixture_steps.DRAWN, mixture_steps.SKIPPED))
        self.skipped += skipped
        self.empty = self.empty + 1 if skipped == drawn else 0
        if self.empty >= COLLAPSED or not state.finite:
            self._fail("no draw has a finite gradient" if self.empty else "a component's scale ran away")
            return
        latest = state.average()
        before, settled = self.before, self.settled
        self.best, self.before, self.settled = latest, latest.q, True
        if before is not None and settled:
            self._compare(before, latest)
        if self.state is not state:  # another stage has begun
            return
        kept = latest.q.weights > FADED
        if self.agreed and not kept.all():
            self.state = State.at(pruned(state.current(), kept))
            self.best = Average(pruned(latest.q, kept), latest.elbo)
            self.before = self.best.q
        else:
            state.open_window()
            state.tally[:] = 0

    def _compare(self, before: MixtureOfGaussians, latest: Average) -> None:
        """Judge the latest window by the one before.

        Two windows agree if means and log sds of the whole do, to the tolerance, and the distributions as well as 2 dim
        such errors would let them. Since each window is twice as long as the last, a slow approach cannot look like an
        end.
        """
        change, self.change = self.change, abs(discrepancy(before, latest.q, self.rng))
        last, shift = self.step, (latest.q.mean - before.mean) / before.sd
        step = np.concatenate([shift, np.log(latest.q.sd / before.sd)])
        travels = last is not None and float(step @ last) > DRIFT * float(last @ last)
        self.step = step
        close = float(np.abs(step).max()) <= self.tolerance
        same = self.change <= 2 * self.target.dim * self.tolerance**2
        self.agreed = self.agreed + 1 if close and same else 0
        if self.agreed >= self.agreements:
            self._converge(f"averages over windows of up to {self.window} steps agree to {self.tolerance:g} sd")
        elif self.agreed or (self.change > 0.5 * change and not travels):  # there, or as near as such steps get
            self.window *= 2
            self.rate = max(self.rate if self.agreed else SLOWER * self.rate, SLOWEST)

    def _converge(self, reason: str) -> None:
        self.status, self.reason = Status.CONVERGED, reason

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> MixtureOfGaussians | None:
        """The average over the last window; before the first has ended, the last iterate."""
        if self.best is not None:
            return self.best.q
        return None if self.state is None or not self.state.finite else self.state.current()

    def diagnostics(self) -> dict[str, float]:
        if self.best is None:
            return {}
        return {"elbo": self.best.elbo, "components": float(len(self.best.q.parts)), "skipped": float(self.skipped)}


def climbed(target: Target, rng: np.random.Generator, count: int, spread: float, work: Work) -> list[Gaussian]:
    """The distinct modes that climbs from `count` points lead to, each with the curvature there.

    The points are the target's starting points, moved away from their common middle by the factor `spread`.
    """
    found: list[Gaussian] = []
    starts = starting_points(target, rng, count, work)
    middle = np.mean([x for x, _, _ in starts], axis=0) if starts else np.zeros(target.dim)
    for x, value, gradient in starts:
        shape = around_mode(target, *_moved(target, x, value, gradient, middle, spread, work), ROUGH, ROUGH_LIMIT, work)
        if not any(np.linalg.norm(other.standardise(shape.mean)) < SAME for other in found):
            found.append(shape)
    return found


def _moved(
    target: Target, x: Vector, value: float, gradient: Vector, middle: Vector, spread: float, work: Work
) -> tuple[Vector, float, Vector]:
    """The point further out, with density and gradient; as it was where these are not finite there."""
    out = middle + spread * (x - middle)
    values, slopes = gradients(target, out[None, :], work)
    if np.isfinite(values[0]) and np.all(np.isfinite(slopes)):
        return aligned(out), float(values[0]), aligned(slopes[0])
    return x, value, gradient


def scattered(modes: list[Gaussian], count: int, rng: np.random.Generator) -> MixtureOfGaussians:
    """`count` components of one weight: the modes' shapes in turn, at the modes first and then at draws about them."""
    parts = []
    for k in range(count):
        shape = modes[k % len(modes)]
        mean = shape.mean if k < len(modes) else shape.sample(rng, 1)[0]
        parts.append(Gaussian(mean, shape.factor))
    return MixtureOfGaussians(tuple(parts), np.full(count, 1 / count))


def pruned(q: MixtureOfGaussians, kept: np.ndarray) -> MixtureOfGaussians:
    """Without the components that are not kept."""
    weights = q.weights[kept]
    return MixtureOfGaussians(tuple(p for p, keep in zip(q.parts, kept, strict=True) if keep), weights / weights.sum())


def mixture_vi(
    *, components: int = 10, covariance: str = "full", tolerance: float = 0.02, spread: float = 3.0
) -> Recipe:
    """A mixture of Gaussians.

    `components` is their number at the start; `covariance` of each is 'full' or 'diagonal'; `tolerance` is the accuracy
    of means and log sds at which it stops, in sd; `spread` scatters the starting points by that factor.
    """
    return recipe("mixture_vi", MixtureRun, components, covariance, tolerance, spread)


def recipe(
    name: str, run: type[MixtureRun], components: int, covariance: str, tolerance: float, spread: float
) -> Recipe:
    """The method `name`, whose runs are of this class."""
    require(components >= 1, f"{name}: components={components} is not accepted; it takes 1 or more")
    require(
        covariance in COVARIANCES, f"{name}: covariance={covariance!r} is not accepted; it takes 'full' or 'diagonal'"
    )
    for option, value in (("tolerance", tolerance), ("spread", spread)):
        require(value > 0, f"{name}: {option}={value:g} is not accepted; it takes a positive number")
    diagonal = covariance == "diagonal"

    def begin(target: Target, seed: int) -> MixtureRun:
        return run(target, np.random.default_rng(seed), components, diagonal, tolerance, spread)

    def refuse(target: Target) -> str | None:
        size = components * target.dim * (1 if diagonal else target.dim)
        return None if size <= LARGEST else f"{components} covariances in {target.dim} dimensions are too large"

    def prepare(target: Target) -> None:
        compile_search(target)
        compile_log_densities(target)
        _ = (mixture_steps.diagonal if diagonal else mixture_steps.dense).compiled

    return Recipe(begin, prepare, refuse)
