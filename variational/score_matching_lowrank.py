"""Batch and match with a diagonal plus low-rank covariance, for many dimensions: Modi, Cai and Saul 2025."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from targets.kernel import Matrix, Vector, aligned, empty, zeros
from targets.options import require
from targets.target import Target
from variational import matching, patching
from variational.gaussian import Gaussian
from variational.iterates import Average, Iterates, Member
from variational.lowrank import LowRankGaussian
from variational.method import Recipe
from variational.mode import compile_search
from variational.score_matching import ScoreRun

DENSE = 512  # dimensions up to which covariances are compared whole
SHARED = 0.5  # of the variance at the start, in directions drawn at random


def turned(factor: Matrix, towards: Matrix, weight: Vector) -> Matrix:
    """The factor (dim, rank) times the rotation that brings it nearest to another one, coordinates weighted."""
    left, _, right = np.linalg.svd(factor.T @ (towards * weight[:, None]))
    return np.asarray(factor @ (left @ right))


@dataclass
class LowRankBatches:
    """The state of a fit (`variational.iterates`)."""

    batch: int
    mean: Vector
    psi: Vector
    factor: Matrix
    anchor: Matrix
    tally: np.ndarray
    sums: Matrix
    factors: Matrix
    heights: Vector
    steps: int = 0
    aliased: bool = False

    @classmethod
    def at(cls, q: LowRankGaussian, batch: int) -> "LowRankBatches":
        """A state that starts from q."""
        dim, shape = q.dim, q.factor.shape
        tally = np.zeros(4, dtype=np.int64)
        fresh = zeros(dim), zeros(dim), zeros(*shape), zeros(*shape), tally, zeros(6, dim), zeros(*shape), zeros(4)
        state = cls(batch, *fresh)
        state.restart(q)
        return state

    @property
    def cost(self) -> int:
        """Gradients a step."""
        return self.batch

    @property
    def block(self) -> int:
        """Steps after which there were as many draws as directions to be found."""
        return -(-int(self.factor.shape[1]) // self.batch)

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

    def restart(self, q: LowRankGaussian) -> None:
        """Go on from q, with a new window."""
        self.mean[:], self.psi[:], self.factor[:] = q.mean, q.deviations**2, q.factor
        self.tally[matching.STALLED] = 0
        self.open_window()

    def open_window(self) -> None:
        """Forget what was averaged."""
        self.anchor[:] = self.factor
        self.sums[:] = 0.0
        self.sums[matching.ANCHOR] = self.mean
        self.factors[:] = 0.0
        self.heights[:] = 0.0
        self.steps = 0

    def advance(self, target: Target, rng: np.random.Generator, steps: int, rate: float, pace: float) -> int:
        """Make steps of one batch each, with the smaller of both as the gain. Returns how many."""
        dim, rank = self.factor.shape
        scratch = empty(self.batch, dim), empty(self.batch, dim), empty(rank), empty(dim)
        made = patching.match(
            target.kernel, target.data, rng, self.mean, self.psi, self.factor, self.anchor, *scratch,
            self.tally, self.sums, self.factors, self.heights, steps, min(rate, pace),
        )  # fmt: skip
        self.steps += made
        return int(made)

    def current(self) -> LowRankGaussian:
        """The last iterate."""
        return LowRankGaussian(self.mean.copy(), np.sqrt(self.psi), self.factor.copy())

    def average(self) -> Average:
        """The average over the window so far."""
        n = self.steps
        shift, square = self.sums[matching.MEANS] / n, self.sums[matching.MEAN_SQUARES] / n
        log, log_square = self.sums[matching.LOGS] / n, self.sums[matching.LOG_SQUARES] / n
        deviations = np.sqrt(self.sums[patching.PSI] / n)
        q = LowRankGaussian(self.sums[matching.ANCHOR] + shift, deviations, self.factors / n)
        count = max(float(self.heights[matching.COUNT]), 1.0)
        rise, rise_square = self.heights[matching.RISE] / count, self.heights[matching.RISE_SQUARE] / count
        return Average(
            q,
            float(np.max((square - shift**2) / q.variance)),
            float(np.max(log_square - log**2)),
            float(self.heights[matching.LEVEL] + rise),
            float(rise_square - rise * rise),
        )

    def difference(self, a: LowRankGaussian, b: LowRankGaussian) -> Vector:
        """Changes of means, log sds and covariances, in units of a's sds.

        In many dimensions the factors are compared instead, which then are few numbers, and are identified.
        """
        if a.dim <= DENSE:
            change = 0.5 * (b.covariance - a.covariance) / np.outer(a.sd, a.sd)
        else:
            change = (turned(b.factor, a.factor, 1 / a.deviations**2) - a.factor) / a.sd[:, None]
        return np.concatenate([(b.mean - a.mean) / a.sd, np.log(b.sd / a.sd), change.ravel()])

    def merge(self, a: LowRankGaussian, b: LowRankGaussian, share: float = 0.5) -> LowRankGaussian:
        """The average of both, of which b is a `share`."""
        factor = turned(b.factor, a.factor, 1 / a.deviations**2)
        deviations = np.sqrt((1 - share) * a.deviations**2 + share * b.deviations**2)
        return LowRankGaussian(
            (1 - share) * a.mean + share * b.mean, deviations, (1 - share) * a.factor + share * factor
        )

    def narrowed(self, q: LowRankGaussian, by: float) -> LowRankGaussian:
        """The same with all sds multiplied."""
        return LowRankGaussian(q.mean, q.deviations * by, q.factor * by)


@dataclass
class PatchedRun(ScoreRun):
    """A fit that starts from independent coordinates, half of whose variance points in random directions."""

    rank: int = 10

    def _moving(self, q: Any) -> Iterates:
        return LowRankBatches.at(q, self._batch())

    def _start(self, q: Gaussian) -> Member:
        rank = min(self.rank, q.dim)
        directions = self.rng.standard_normal((q.dim, rank))
        directions *= np.sqrt(SHARED) / np.linalg.norm(directions, axis=1, keepdims=True)
        return LowRankGaussian(aligned(q.mean), np.sqrt(1 - SHARED) * q.factor, directions * q.factor[:, None])


def bam_lowrank(*, tolerance: float = 0.02, warm_start: bool = True, batch: int = 20, rank: int = 10) -> Recipe:
    """Batch, match and patch: `rank` columns of a factor, and a diagonal; the other options are those of `bam`."""
    require(tolerance > 0, f"bam_lowrank: tolerance={tolerance:g} is not accepted; it takes a positive number")
    require(batch >= 2, f"bam_lowrank: batch={batch} is not accepted; it takes 2 or more")
    require(rank >= 1, f"bam_lowrank: rank={rank} is not accepted; it takes 1 or more")

    def begin(target: Target, seed: int) -> PatchedRun:
        weight = batch * target.dim
        first = weight / (1 + weight)
        return PatchedRun(
            target, np.random.default_rng(seed), False, tolerance, warm_start, first, first, batch=batch, rank=rank
        )

    def prepare(target: Target) -> None:
        compile_search(target)
        _ = patching.match.compiled

    return Recipe(begin, prepare)
