"""Pathfinder (Zhang, Carpenter, Gelman and Vehtari 2022): Gaussians along a path to the mode, and the best of them.

L-BFGS climbs from a starting point. After each of its moves the curvature that it has seen makes a Gaussian, at the end
of a Newton step; a few draws estimate the bound on the evidence of each, and the largest bound wins. All Gaussians of a
path share their standard normal draws, so that bounds differ by less noise than independent draws would leave.
"""

from dataclasses import dataclass, field

import numpy as np

from targets.kernel import Matrix, Vector, aligned, empty, zeros
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import Target
from variational.curvature_pairs import CurvaturePairs
from variational.evaluation import compile_log_densities, log_densities
from variational.gaussian import LOG_TWO_PI, Gaussian
from variational.method import Recipe
from variational.mode import FOUND, HISTORY, PAUSED, STUCK, climb, compile_search, starting_point
from variational.stretched import StretchedGaussian

SETTLED = 1e-6  # nats left to gain where the path ends
MOVES = 32  # of the climb in one piece of work, and Gaussians that are judged in one call
LIMIT = 10_000  # gradients that a path may take
EVEN = 1e-8  # nats of difference between bounds that are the same
UPDATES = ("block", "bfgs")
FRESH = 100  # draws that the bound reported is estimated with: that which won is too high by having won


@dataclass
class Climb:
    """The climb, in pieces: what `variational.mode.climb` works on."""

    x: Vector
    gradient: Vector
    state: Vector
    steps: Matrix
    changes: Matrix
    inner: Vector
    updates: int = 0
    calls: int = 0
    outcome: int = PAUSED

    @classmethod
    def at(cls, x: Vector, value: float, gradient: Vector) -> "Climb":
        """From x (dim,), with the log density and its gradient there."""
        dim = len(x)
        state, history = aligned([value, 0.0]), (zeros(HISTORY, dim), zeros(HISTORY, dim), zeros(2 * HISTORY))
        return cls(aligned(x), aligned(gradient), state, *history)

    def go_on(self, target: Target, work: Work) -> Matrix:
        """At most `MOVES` moves: (n, 2 dim) position and gradient after each."""
        dim = len(self.x)
        scratch, trail = (empty(dim), empty(dim), empty(dim)), empty(MOVES, 2 * dim)
        arrays = *scratch, self.steps, self.changes, self.inner, self.state, trail
        limit = LIMIT - self.calls
        self.outcome, calls, self.updates, made, _ = climb(
            target.kernel, target.data, self.x, self.gradient, *arrays, self.updates, MOVES, limit, SETTLED
        )
        self.calls += calls
        work.gradient_evaluations += calls
        return trail[:made]


@dataclass
class PathfinderRun:
    """One path. A piece of work is some moves of the climb, or the draws of the Gaussians that they make."""

    target: Target
    rng: np.random.Generator
    standard: Matrix
    pairs: CurvaturePairs
    climb: Climb | None = None
    trail: Matrix | None = None
    here: Vector | None = None
    best: StretchedGaussian | None = None
    bound: float = -np.inf
    moves: int = 0
    best_move: int = 0
    elbo: float = float("nan")
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        until = self.work.total + work
        while self.status is Status.RUNNING and self.work.total < until:
            if self.climb is None:
                self._begin()
            elif self.trail is not None:
                self._judge(self.trail)
            elif self.climb.outcome == PAUSED:
                self.trail = self.climb.go_on(self.target, self.work)
            else:
                self._end(self.climb)

    def _begin(self) -> None:
        start = starting_point(self.target, self.rng, self.work)
        if start is None:
            self.status, self.reason = Status.FAILED, "no starting point has a finite density and gradient"
            return
        self.climb, self.here = Climb.at(*start), np.concatenate([start[0], start[2]])

    def _judge(self, trail: Matrix) -> None:
        """The bounds of the Gaussians after some moves; `trail` is (n, 2 dim), position and gradient after each."""
        found = []
        for point in trail:
            assert self.here is not None  # noqa: S101  # where the climb began
            step, change = np.split(point - self.here, 2)
            self.here = point
            self.moves += 1
            self.pairs.add(step, -change)
            q = self.pairs.gaussian(*np.split(point, 2))
            if q is not None:
                found.append((self.moves, q))
        self.trail = None
        for (move, q), bound in zip(found, self._bounds([q for _, q in found], self.standard), strict=True):
            # towards the end they are the same, but for rounding; the latest knows most
            if bound > self.bound - EVEN:
                self.best, self.bound, self.best_move = q, max(float(bound), self.bound), move

    def _bounds(self, found: list[StretchedGaussian], standard: Matrix) -> Vector:
        """E_q [log p - log q] of each q, over its draws at `standard` (n, dim)."""
        if not found:
            return np.empty(0)
        with np.errstate(over="ignore", invalid="ignore"):
            draws = np.concatenate([q.colour(standard) for q in found])
        heights = log_densities(self.target, draws, self.work).reshape(len(found), -1)
        ours = 0.5 * (np.einsum("ij,ij->i", standard, standard) + self.target.dim * LOG_TWO_PI)
        with np.errstate(over="ignore", invalid="ignore"):
            bounds = np.mean(heights + ours, axis=1) + [q.half_log_determinant for q in found]
        return np.where(np.isfinite(bounds), bounds, -np.inf)

    def _end(self, climb: Climb) -> None:
        if self.best is None:
            self.status, self.reason = Status.FAILED, "no move made a Gaussian whose draws all have a finite density"
            return
        self.elbo = float(self._bounds([self.best], self.rng.standard_normal((FRESH, self.target.dim)))[0])
        said = f"move {self.best_move} of {self.moves} has the best bound"
        if climb.outcome == FOUND or self.best_move < self.moves:
            self.status, self.reason = Status.CONVERGED, said
        else:
            self.status = Status.FAILED
            stuck = "cannot be evaluated further up" if climb.outcome == STUCK else f"goes on after {LIMIT} gradients"
            self.reason = f"the last move has the best bound, and the path {stuck}"

    def approximation(self) -> StretchedGaussian | Gaussian | None:
        """The best so far; with all of its covariance where the pairs span all directions."""
        if self.best is None or len(self.best.variances) < self.best.dim:
            return self.best
        try:
            return self.best.dense()
        except np.linalg.LinAlgError:
            return self.best

    def diagnostics(self) -> dict[str, float]:
        said = {"elbo": self.elbo} if np.isfinite(self.elbo) else {}
        return {**said, "moves": float(self.moves), "best_move": float(self.best_move)}


@dataclass(frozen=True)
class Path:
    """The options that all paths have: see `pathfinder`.

    Raises:
        UsageError: one is not accepted.
    """

    name: str
    history: int
    elbo_draws: int
    update: str

    def __post_init__(self) -> None:
        for option in ("history", "elbo_draws"):
            number = getattr(self, option)
            require(number >= 1, f"{self.name}: {option}={number} is not accepted; it takes 1 or more")
        require(
            self.update in UPDATES,
            f"{self.name}: update={self.update} is not accepted; it takes {', '.join(UPDATES)}",
        )

    def start(self, target: Target, rng: np.random.Generator) -> PathfinderRun:
        """A path with its own stream of random numbers."""
        standard = rng.standard_normal((self.elbo_draws, target.dim))
        return PathfinderRun(target, rng, standard, CurvaturePairs(self.history, self.update == "block"))


def compile_path(target: Target) -> None:
    """Load or compile what a path calls."""
    compile_search(target)
    compile_log_densities(target)


def pathfinder(*, history: int = 5, elbo_draws: int = 25, update: str = "block") -> Recipe:
    """The best Gaussian on one path.

    `history` is how many pairs of steps and gradients its covariance is made of, `elbo_draws` how many draws the bound
    of each is estimated with, and `update` how pairs are put together: as a `block`, or one after the other (`bfgs`).
    """
    path = Path("pathfinder", history, elbo_draws, update)
    return Recipe(lambda target, seed: path.start(target, np.random.default_rng(seed)), compile_path)
