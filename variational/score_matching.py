"""Gaussians with a dense covariance from batches of scores: BaM, GSM, and natural gradients.

The steps are those of `variational.matching`; windows of iterates, the lowering of gains and the end are those of
`variational.advi`, whose rule looks at averages of iterates alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from targets.kernel import Matrix, Vector, aligned, empty, zeros
from targets.options import require
from targets.protocols import Status
from targets.target import Target
from variational import matching
from variational.advi import AdviRun
from variational.families import Gaussians
from variational.gaussian import Gaussian, triangular
from variational.iterates import Average, Iterates, Member
from variational.method import Recipe
from variational.mode import compile_search

SHORTEST_WINDOW, WINDOW_DRAWS = 16, 128  # a window has so many steps and draws at least
SMALLEST_BATCH, LARGEST_BATCH = 10, 100


@dataclass
class Batches(Gaussians):
    """The state of a fit by batches of scores (`variational.iterates`)."""

    rule: int
    batch: int
    mean: Vector
    factor: Matrix
    covariance: Matrix
    tally: np.ndarray
    sums: Matrix
    spreads: Matrix
    heights: Vector
    steps: int = 0

    @classmethod
    def at(cls, q: Gaussian, rule: int, batch: int) -> "Batches":
        """A state that starts from q."""
        dim = q.dim
        dense = zeros(dim, dim), zeros(dim, dim)
        tally = np.zeros(4, dtype=np.int64)
        state = cls(rule, batch, aligned(q.mean), *dense, tally, zeros(5, dim), zeros(dim, dim), zeros(4))
        state.restart(q)
        return state

    @property
    def cost(self) -> int:
        """Gradients a step."""
        return self.batch

    @property
    def block(self) -> int:
        """Steps after which there were as many draws as dimensions."""
        return -(-len(self.mean) // self.batch)

    @property
    def aliased(self) -> bool:
        """No: a batch says nothing new where the approximation is exact."""
        return False

    @property
    def stalled(self) -> bool:
        """Whether batches in a row could not be evaluated, although the scales shrank."""
        return bool(self.tally[matching.STALLED] >= matching.HOPELESS)

    def counts(self) -> dict[str, float]:
        """Draws that could not be evaluated, and updates that were taken back."""
        return {
            "skipped": float(self.tally[matching.SKIPPED]),
            "reverted": float(self.tally[matching.REVERTED]),
        }

    def restart(self, q: Gaussian) -> None:
        """Go on from q, with a new window."""
        self.mean[:] = q.mean
        self.factor[:] = np.diag(q.factor) if q.diagonal else q.factor
        self.tally[matching.STALLED] = 0
        self.open_window()

    def open_window(self) -> None:
        """Forget what was averaged."""
        self.covariance[:] = self.factor @ self.factor.T  # free of the rounding of many updates
        self.sums[:] = 0.0
        self.sums[matching.ANCHOR] = self.mean
        self.spreads[:] = 0.0
        self.heights[:] = 0.0
        self.steps = 0

    def advance(self, target: Target, rng: np.random.Generator, steps: int, rate: float, pace: float) -> int:
        """Make steps of one batch each, with the smaller of both as the gain. Returns how many."""
        dim = len(self.mean)
        scratch = empty(self.batch, dim), empty(self.batch, dim), empty(dim), empty(dim)
        made = matching.match(
            target.kernel, target.data, rng, self.rule, self.mean, self.factor, self.covariance, *scratch,
            self.tally, self.sums, self.spreads, self.heights, steps, min(rate, pace),
        )  # fmt: skip
        self.steps += made
        return int(made)

    def current(self) -> Gaussian:
        """The last iterate."""
        return Gaussian(self.mean.copy(), triangular(self.factor))

    def average(self) -> Average:
        """The average over the window so far."""
        n = self.steps
        shift, square = self.sums[matching.MEANS] / n, self.sums[matching.MEAN_SQUARES] / n
        log, log_square = self.sums[matching.LOGS] / n, self.sums[matching.LOG_SQUARES] / n
        q = Gaussian(self.sums[matching.ANCHOR] + shift, _root(self.spreads / n))
        count = max(float(self.heights[matching.COUNT]), 1.0)
        rise, rise_square = self.heights[matching.RISE] / count, self.heights[matching.RISE_SQUARE] / count
        return Average(
            q,
            float(np.max((square - shift**2) / q.variance)),
            float(np.max(log_square - log**2)),
            float(self.heights[matching.LEVEL] + rise),
            float(rise_square - rise * rise),
        )


def _root(covariance: Matrix) -> Matrix:
    """Its Cholesky factor; of NaN where rounding has left it none, which the run then steps back from."""
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.full_like(covariance, np.nan)


@dataclass
class ScoreRun(AdviRun):
    """A fit by one of the rules of `variational.matching`.

    Attributes:
        rule, batch: of the steps; a batch of 0 is `batch_for` the dimension.
        settled: whether the iterates were seen not to travel any more: until then the last one is the best.
    """

    rule: int = matching.BAM
    batch: int = 0
    settled: bool = False

    def _shortest(self) -> int:
        return max(SHORTEST_WINDOW, WINDOW_DRAWS // self._batch())

    def _batch(self) -> int:
        return self.batch or batch_for(self.target.dim)

    def _moving(self, q: Any) -> Iterates:
        return Batches.at(q, self.rule, self._batch())

    def _start(self, q: Gaussian) -> Member:
        return Gaussian(q.mean, np.diag(q.factor))  # scores say the rest

    def _lower_steps(self, state: Iterates, latest: Average) -> bool:
        self.settled = True
        return super()._lower_steps(state, latest)

    def approximation(self) -> Member | None:
        """The last iterate as long as they travel; then as `variational.advi` has it."""
        if self.state is not None and self.status is Status.RUNNING and not self.settled:
            return self.state.current()
        return super().approximation()


def batch_for(dim: int) -> int:
    """Draws a step: one more than would determine a Gaussian target exactly, as long as that is a batch."""
    return min(max(dim + 2, SMALLEST_BATCH), LARGEST_BATCH)


def bam(
    *, tolerance: float = 0.02, warm_start: bool = True, batch: int = 0, regularisation: float | None = None
) -> Recipe:
    """Batch and match.

    `tolerance` is the accuracy of means and of the factor at which it stops, in units of the approximation;
    `warm_start` begins at a rough mode with the scale seen on the way; `batch` is the number of draws a step, 0 for
    `batch_for` the dimension; `regularisation` is the first lambda, batch x dim by default, as published for Gaussian
    targets: it is lowered until its noise biases little.
    """
    accepted = regularisation is None or regularisation > 0
    require(accepted, f"bam: regularisation={regularisation} is not accepted; it takes a positive number or none")

    def gain(dim: int) -> float:
        weight = (batch or batch_for(dim)) * dim if regularisation is None else regularisation
        return weight / (1 + weight)

    return _recipe("bam", matching.BAM, tolerance, warm_start, batch, gain)


def gsm(*, tolerance: float = 0.02, warm_start: bool = True, batch: int = 2, rate: float = 1.0) -> Recipe:
    """Gaussian score matching. `rate` is the share of an update that is first taken, 1 as published; else as `bam`."""
    return _by_rate("gsm", matching.GSM, tolerance, warm_start, batch, rate)


def ngvi(*, tolerance: float = 0.02, warm_start: bool = True, batch: int = 10, rate: float = 0.3) -> Recipe:
    """Reverse KL by natural gradients of mean and precision. `rate` is the first step, 1 a Newton step; as `bam`."""
    return _by_rate("ngvi", matching.NATURAL, tolerance, warm_start, batch, rate)


def _by_rate(name: str, rule: int, tolerance: float, warm_start: bool, batch: int, rate: float) -> Recipe:
    require(rate > 0, f"{name}: rate={rate:g} is not accepted; it takes a positive number")
    return _recipe(name, rule, tolerance, warm_start, batch, lambda _: rate)


def _recipe(
    name: str, rule: int, tolerance: float, warm_start: bool, batch: int, gain: Callable[[int], float]
) -> Recipe:
    require(tolerance > 0, f"{name}: tolerance={tolerance:g} is not accepted; it takes a positive number")
    require(batch == 0 or batch >= 2, f"{name}: batch={batch} is not accepted; it takes 2 or more, or 0 for its own")

    def begin(target: Target, seed: int) -> ScoreRun:
        rng, first = np.random.default_rng(seed), gain(target.dim)
        return ScoreRun(target, rng, True, tolerance, warm_start, first, first, rule=rule, batch=batch)

    def prepare(target: Target) -> None:
        compile_search(target)
        _ = matching.match.compiled

    return Recipe(begin, prepare)
