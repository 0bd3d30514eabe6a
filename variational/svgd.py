"""Stein variational gradient descent (Liu and Wang 2016): particles that climb the density and repel each other.

Particle i moves along phi_i = 1/n sum_j [k(x_j, x_i) grad log p(x_j) + grad_j k(x_j, x_i)], with the kernel
exp(-|x - y|^2 / h), h = median |x - y|^2 / log n. Steps are Adam's (Kingma and Ba 2015) in units of the particles'
spread. There is no noise: the particles come to rest at a fixed point. The run ends where what is left of phi, per
unit of kernel, is below the tolerance, and so is what the last third of all iterations changed in means and log sds.

In many dimensions the kernel cannot tell particles apart and the fixed point is too narrow (Ba et al. 2022); see
`docs/methods.md` for how much.
"""

from dataclasses import dataclass, field

import numpy as np
from numba import float64, types

from targets.kernel import MATRIX, VECTOR, Matrix, Vector, aligned, empty, loop, zeros
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational.evaluation import gradients, with_gradients
from variational.method import Recipe
from variational.mode import starting_points
from variational.particles import Particles

DECAYS = 0.9, 0.999  # of Adam's two averages
TINY = 1e-8
LOOK = 50  # iterations between looks at what is left
ADRIFT = 0.2  # net move of the particles over their path since the last look, below which they only swing
SLOWER = 0.5  # factor of the step then
SLOWEST = 1e-3  # of the first step
LONGER = 1.5  # times as many iterations as at the last milestone make the next
LARGEST = 50_000_000  # pairs of particles


@loop(types.void(MATRIX, VECTOR))
def distances(points, squares):  # type: ignore[no-untyped-def]
    """Fill `squares` (n (n - 1) / 2,) with the squared distances of all pairs of points (n, dim)."""
    n, dim = points.shape
    place = 0
    for i in range(n):
        for j in range(i):
            total = 0.0
            for k in range(dim):
                total += (points[i, k] - points[j, k]) ** 2
            squares[place] = total
            place += 1


@loop(types.void(MATRIX, MATRIX, VECTOR, float64, MATRIX, VECTOR))
def directions(points, slopes, squares, width, phi, masses):  # type: ignore[no-untyped-def]
    """Fill `phi` (n, dim), and `masses` (n,) with the mean of the kernel at each particle.

    `slopes` (n, dim) are the gradients of log p, `squares` those of `distances`, `width` is h.
    """
    n, dim = points.shape
    for i in range(n):
        masses[i] = 1.0
        for k in range(dim):
            phi[i, k] = slopes[i, k]
    place = 0
    for i in range(n):
        for j in range(i):
            kernel = np.exp(-squares[place] / width)
            push = 2.0 * kernel / width
            place += 1
            masses[i] += kernel
            masses[j] += kernel
            for k in range(dim):
                apart = push * (points[i, k] - points[j, k])
                phi[i, k] += kernel * slopes[j, k] + apart
                phi[j, k] += kernel * slopes[i, k] - apart
    for i in range(n):
        masses[i] /= n
        for k in range(dim):
            phi[i, k] /= n


@dataclass
class SvgdRun:
    """One fit. An iteration, of one gradient a particle, is atomic."""

    target: Target
    rng: np.random.Generator
    particles: int
    step_size: float
    tolerance: float
    points: Matrix | None = None  # where the particles go next
    held: Matrix | None = None  # the last points that could be evaluated
    slopes: Matrix | None = None  # and the gradients there
    first: Matrix | None = None
    second: Matrix | None = None
    made: int = 0  # iterations
    counted: int = 0  # those that Adam has averaged
    pace: float = 1.0  # factor of the step
    path: float = 0.0  # sd that the particles have gone since the last look
    seen: Matrix | None = None  # where they were then
    milestone: int = LOOK
    marked: Matrix | None = None  # where they were at the last milestone
    left: float = float("inf")
    skipped: int = 0
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            if self.points is None:
                self._begin()
            else:
                self._iterate(self.points)

    def _begin(self) -> None:
        found = starting_points(self.target, self.rng, self.particles, self.work)
        if len(found) < self.particles:
            self._fail("no starting point has a finite density and gradient")
            return
        self.points, self.slopes = aligned(np.array([x for x, _, _ in found])), np.array([g for _, _, g in found])
        self.held = self.points.copy()
        self.first, self.second = zeros(*self.points.shape), zeros(*self.points.shape)

    def _iterate(self, points: Matrix) -> None:
        """Move all particles once. Those that have come to where there is no finite gradient go back first."""
        assert self.first is not None and self.second is not None and self.held is not None  # noqa: S101
        values, slopes = gradients(self.target, points, self.work)
        bad = ~(np.isfinite(values) & np.isfinite(slopes).all(axis=1))
        points[bad], slopes[bad] = self.held[bad], self.slopes[bad]  # type: ignore[index]
        self.held, self.slopes = points.copy(), slopes
        self.skipped += int(bad.sum())
        phi, masses = field_of(points, slopes)
        sd = points.std(axis=0) + TINY * (np.abs(points).max(axis=0) + TINY)
        if self.made % LOOK == 0 and self._look(points, phi / masses[:, None] * sd, bool(bad.any())):
            return
        self.made += 1
        self.counted += 1
        scaled = phi * sd
        self.first = DECAYS[0] * self.first + (1 - DECAYS[0]) * scaled
        self.second = DECAYS[1] * self.second + (1 - DECAYS[1]) * scaled**2
        mean = self.first / (1 - DECAYS[0] ** self.counted)
        size = np.sqrt(self.second / (1 - DECAYS[1] ** self.counted))
        move = self.pace * self.step_size * mean / (size + TINY)
        self.path += float(np.sqrt(np.mean(move**2)))
        points += sd * move

    def _look(self, points: Matrix, left: Matrix, lame: bool) -> bool:
        """Whether the run ends here; steps shrink where the particles only swing about what they seek."""
        self.left = float(np.sqrt(np.mean(left**2, axis=0)).max())
        if not (np.isfinite(self.left) and np.all(np.isfinite(points))):
            self._fail("the particles ran away")
            return True
        if self.seen is not None and self.pace > SLOWEST:
            self.pace *= SLOWER if moved(self.seen, points).mean() < (ADRIFT * self.path) ** 2 else 1.0
        if self.made >= self.milestone:
            gone = np.inf if self.marked is None else changed(self.marked, points)
            if max(gone, self.left) <= self.tolerance and not lame:
                self.status = Status.CONVERGED
                self.reason = f"the particles are at rest to {self.tolerance:g} sd"
            self.marked, self.milestone = points.copy(), int(LONGER * self.milestone)
        self.seen, self.path = points.copy(), 0.0
        return self.status is not Status.RUNNING

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def approximation(self) -> Particles | None:
        return None if self.held is None else Particles(self.held)

    def diagnostics(self) -> dict[str, float]:
        said = {"left": self.left, "skipped": float(self.skipped)}
        return {key: value for key, value in said.items() if np.isfinite(value)}


def moved(before: Matrix, points: Matrix) -> Vector:
    """Mean squared moves of the particles (dim,), in units of their variance."""
    return np.asarray(np.mean((points - before) ** 2, axis=0) / np.maximum(points.var(axis=0), 1e-300))


def changed(before: Matrix, points: Matrix) -> float:
    """The largest change of a mean, in sd, or of a log sd."""
    sd, then = points.std(axis=0), before.std(axis=0)
    return float(max(np.abs((points - before).mean(axis=0) / sd).max(), np.abs(np.log(sd / then)).max()))


def field_of(points: Matrix, slopes: Matrix) -> tuple[Matrix, Vector]:
    """The field phi (n, dim) at particles whose gradients of log p are `slopes`, and the kernel's means (n,) there."""
    n = len(points)
    squares, phi, masses = empty(n * (n - 1) // 2), empty(*points.shape), empty(n)
    distances(points, squares)
    middle = len(squares) // 2
    width = float(np.partition(squares, middle)[middle]) / np.log(n)
    directions(points, slopes, squares, max(width, 1e-300), phi, masses)
    return phi, masses


def svgd(*, particles: int | None = None, step_size: float = 0.1, tolerance: float = 0.02) -> Recipe:
    """Particles without a density.

    `particles` is their number, by default 100, or twice the dimension if that is more; `step_size` is Adam's, in sd of
    the particles; `tolerance` is how far, in sd, the particles may still be driven where it stops.
    """
    require(
        particles is None or particles >= 3, f"svgd: particles={particles} is not accepted; it takes 3 or more, or none"
    )
    for option, value in (("step_size", step_size), ("tolerance", tolerance)):
        require(value > 0, f"svgd: {option}={value:g} is not accepted; it takes a positive number")

    def count(target: Target) -> int:
        return max(100, 2 * target.dim) if particles is None else particles

    def begin(target: Target, seed: int) -> SvgdRun:
        return SvgdRun(target, np.random.default_rng(seed), count(target), step_size, tolerance)

    def refuse(target: Target) -> str | None:
        if count(target) <= target.dim:
            return f"{particles} particles have no covariance in {target.dim} dimensions"
        pairs = count(target) ** 2 // 2
        return None if pairs <= LARGEST else f"{count(target)} particles are too many pairs"

    def prepare(target: Target) -> None:
        _ = target.kernel, with_gradients.compiled, distances.compiled, directions.compiled

    return Recipe(begin, prepare, refuse)
