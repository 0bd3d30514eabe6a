"""The state of a reverse-KL fit for each family: what the loops of `variational.descent` move, and what is averaged."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import hadamard, solve_triangular

from targets.kernel import Matrix, Vector, aligned, empty, zeros
from targets.target import Target
from variational import descent
from variational.gaussian import Gaussian, triangular

QUADRATIC = 1e-3  # nats^2, or squared sd
LARGEST_BLOCK = 512  # pairs; in more dimensions some off-diagonal noise stays


class Average(NamedTuple):
    """Iterates averaged over a window.

    Attributes:
        q: their average: of means, and of variances or factors.
        mean_variance: largest variance of a mean over the window, in units of q's variance.
        log_variance: largest variance of a log scale over the window.
        level: average log density of a pair of draws with its slope taken out (`variational.descent`).
        level_variance: variance of it over the pairs, in nats^2: none where the target is Gaussian.
    """

    q: Gaussian
    mean_variance: float
    log_variance: float
    level: float
    level_variance: float

    @property
    def elbo(self) -> float:
        """The bound on the evidence: at the optimum the slope taken out is worth half a nat a coordinate."""
        return self.level - 0.5 * self.q.dim + self.q.entropy

    @property
    def quadratic(self) -> bool:
        """Whether the log density is quadratic, as far as draws and means show."""
        return max(self.level_variance, self.mean_variance) < QUADRATIC


def difference(a: Gaussian, b: Gaussian) -> Vector:
    """Where b lies seen from a: whitened shift of the mean, then change of the log sds or of the whitened factor."""
    if a.diagonal:
        return np.concatenate([(b.mean - a.mean) / a.factor, np.log(b.factor / a.factor)])
    change = solve_triangular(a.factor, b.factor, lower=True) - np.eye(a.dim)
    return np.concatenate([a.standardise(b.mean)[0], change[np.tril_indices(a.dim)]])


def merge(a: Gaussian, b: Gaussian) -> Gaussian:
    """The average over two windows of equal length."""
    if a.diagonal:
        return Gaussian(0.5 * (a.mean + b.mean), np.sqrt(0.5 * (a.factor**2 + b.factor**2)))
    return Gaussian(0.5 * (a.mean + b.mean), 0.5 * (a.factor + b.factor))


@dataclass
class State:
    """Arrays that a loop works on. `scale` is (dim,) log sds, or a (dim, dim) factor."""

    mean: Vector
    scale: Vector | Matrix
    velocity: Vector
    pull: Vector | Matrix
    magnitudes: Vector
    signs: np.ndarray
    order: np.ndarray
    strata: np.ndarray
    tally: np.ndarray
    sums: Matrix
    factors: Matrix
    heights: Vector
    fresh: bool = False
    steps: int = 0

    @classmethod
    def at(cls, q: Gaussian) -> "State":
        """A state that starts from q."""
        dim = q.dim
        block = min(1 << (dim - 1).bit_length(), LARGEST_BLOCK)
        signs = np.ascontiguousarray(hadamard(block, dtype=np.int8)[:, np.arange(dim) % block])
        state = cls(
            aligned(q.mean),
            aligned(q.factor),
            zeros(dim),
            zeros(*q.factor.shape),
            zeros(dim),
            signs,
            np.arange(block),
            np.zeros(dim, dtype=np.int64),
            np.zeros(4, dtype=np.int64),
            zeros(6, dim),
            zeros(0, 0) if q.diagonal else zeros(dim, dim),
            zeros(4),
        )
        state.restart(q)
        return state

    @property
    def diagonal(self) -> bool:
        """Whether the family is mean field."""
        return self.scale.ndim == 1

    @property
    def block(self) -> int:
        """Pairs that share their magnitudes."""
        return len(self.order)

    @property
    def cycle(self) -> int:
        """Pairs over which the noise is smallest: blocks with magnitudes of each stratum."""
        return descent.STRATA * self.block

    def restart(self, q: Gaussian) -> None:
        """Go on from q, with a new window."""
        self.mean[:] = q.mean
        self.scale[:] = np.log(q.factor) if self.diagonal else q.factor
        self.velocity[:] = 0.0
        self.open_window()

    def open_window(self) -> None:
        """Forget what was averaged."""
        self.sums[:] = 0.0
        self.sums[descent.ANCHOR] = self.mean
        self.factors[:] = 0.0
        self.heights[:] = 0.0
        self.steps = 0

    def advance(self, target: Target, rng: np.random.Generator, steps: int, rate: float, pace: float) -> None:
        """Make steps, of two gradients each."""
        dim = len(self.mean)
        vectors = empty(dim), empty(dim), empty(dim)
        drawn = target.kernel, target.data, rng, self.signs, self.order, self.strata, self.tally, self.magnitudes
        moved = self.mean, self.scale, self.velocity, self.pull
        gathered = (empty(dim), self.sums) if self.diagonal else (empty(dim), empty(2, dim), self.sums, self.factors)
        step = descent.meanfield if self.diagonal else descent.fullrank
        step(*drawn, *moved, *vectors, *gathered, self.heights, int(self.fresh), steps, rate, pace)
        self.steps += steps

    def current(self) -> Gaussian:
        """The last iterate."""
        return Gaussian(self.mean.copy(), np.exp(self.scale) if self.diagonal else triangular(self.scale))

    def average(self) -> Average:
        """The average over the window so far."""
        n = self.steps
        shift, square = self.sums[descent.MEANS] / n, self.sums[descent.MEAN_SQUARES] / n
        log, log_square = self.sums[descent.LOGS] / n, self.sums[descent.LOG_SQUARES] / n
        mean = self.sums[descent.ANCHOR] + shift
        factor = np.sqrt(self.sums[descent.VARIANCES] / n) if self.diagonal else triangular(self.factors / n)
        q = Gaussian(mean, factor)
        spread = float(np.max((square - shift**2) / q.variance))
        count, rise, rise_square, level = self.heights
        rise, rise_square = rise / max(count, 1), rise_square / max(count, 1)
        return Average(q, spread, float(np.max(log_square - log**2)), float(level + rise), float(rise_square - rise**2))
