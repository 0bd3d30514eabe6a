"""The state of a reverse-KL fit for each family: what the loops of `variational.descent` move, and what is averaged."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from targets.kernel import Matrix, Vector, aligned, empty, zeros
from targets.target import Target
from variational import descent
from variational.gaussian import Gaussian, triangular
from variational.iterates import Average
from variational.orthogonal import Directions


def difference(a: Gaussian, b: Gaussian) -> Vector:
    """Where b lies seen from a: whitened shift of the mean, then change of the log sds or of the whitened factor."""
    if a.diagonal:
        return np.concatenate([(b.mean - a.mean) / a.factor, np.log(b.factor / a.factor)])
    change = solve_triangular(a.factor, b.factor, lower=True) - np.eye(a.dim)
    return np.concatenate([a.standardise(b.mean)[0], change[np.tril_indices(a.dim)]])


def merge(a: Gaussian, b: Gaussian, share: float = 0.5) -> Gaussian:
    """The average over two windows, of which b is a `share`."""
    mean = (1 - share) * a.mean + share * b.mean
    if a.diagonal:
        return Gaussian(mean, np.sqrt((1 - share) * a.factor**2 + share * b.factor**2))
    return Gaussian(mean, (1 - share) * a.factor + share * b.factor)


class Gaussians:
    """What states whose family is Gaussian, with a diagonal or a dense covariance, say of two of its members."""

    def difference(self, a: Gaussian, b: Gaussian) -> Vector:
        """See `difference`."""
        return difference(a, b)

    def merge(self, a: Gaussian, b: Gaussian, share: float = 0.5) -> Gaussian:
        """See `merge`."""
        return merge(a, b, share)

    def narrowed(self, q: Gaussian, by: float) -> Gaussian:
        """The same with all sds multiplied."""
        return Gaussian(q.mean, q.factor * by)


@dataclass
class State(Gaussians):
    """Arrays that a loop works on. `scale` is (dim,) log sds, or a (dim, dim) factor."""

    mean: Vector
    scale: Vector | Matrix
    velocity: Vector
    pull: Vector | Matrix
    directions: Directions
    tally: np.ndarray
    sums: Matrix
    factors: Matrix
    heights: Vector
    steps: int = 0

    @classmethod
    def at(cls, q: Gaussian) -> "State":
        """A state that starts from q."""
        dim = q.dim
        state = cls(
            aligned(q.mean),
            aligned(q.factor),
            zeros(dim),
            zeros(*q.factor.shape),
            Directions.of(dim),
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
    def cost(self) -> int:
        """Gradients a step."""
        return 2

    def counts(self) -> dict[str, float]:
        """Pairs that could not be evaluated."""
        return {"skipped": float(self.tally[descent.SKIPPED])}

    @property
    def block(self) -> int:
        """Pairs whose directions are orthogonal; scales move after each block."""
        return self.directions.block

    @property
    def aliased(self) -> bool:
        """Whether there are more coordinates than a block has directions, so that it cannot cancel all noise."""
        return self.block < self.directions.columns

    @property
    def stalled(self) -> bool:
        """Whether blocks in a row could not be evaluated, although the scales shrank."""
        return bool(self.tally[descent.STALLED] >= descent.HOPELESS)

    def restart(self, q: Gaussian) -> None:
        """Go on from q, with a new block and a new window."""
        self.mean[:] = q.mean
        self.scale[:] = np.log(q.factor) if self.diagonal else q.factor
        self.velocity[:] = 0.0
        self.tally[descent.STALLED] = 0
        self.open_window()

    def open_window(self) -> None:
        """Forget what was averaged."""
        self.sums[:] = 0.0
        self.sums[descent.ANCHOR] = self.mean
        self.factors[:] = 0.0
        self.heights[:] = 0.0
        self.steps = 0

    def advance(self, target: Target, rng: np.random.Generator, steps: int, rate: float, pace: float) -> int:
        """Make steps, of two gradients each; fewer where the state is stalled. Returns how many."""
        dim = len(self.mean)
        drawn = target.kernel, target.data, rng, self.directions, self.tally
        moved = self.mean, self.scale, self.velocity, self.pull
        scratch = tuple(empty(dim) for _ in range(5 if self.diagonal else 6))
        gathered = (self.sums,) if self.diagonal else (self.sums, self.factors)
        step = descent.meanfield if self.diagonal else descent.fullrank
        made = int(step(*drawn, *moved, *scratch, *gathered, self.heights, steps, rate, pace))
        self.steps += made
        return made

    def current(self) -> Gaussian:
        """The last iterate."""
        return Gaussian(self.mean.copy(), np.exp(self.scale) if self.diagonal else triangular(self.scale))

    def average(self) -> Average:
        """The average over the window so far, which holds one block at least."""
        n, m = self.steps, self.steps // self.block * self.block
        shift, square = self.sums[descent.MEANS] / n, self.sums[descent.MEAN_SQUARES] / n
        log, log_square = self.sums[descent.LOGS] / m, self.sums[descent.LOG_SQUARES] / m
        mean = self.sums[descent.ANCHOR] + shift
        factor = np.sqrt(self.sums[descent.VARIANCES] / m) if self.diagonal else triangular(self.factors / m)
        q = Gaussian(mean, factor)
        spread = float(np.max((square - shift**2) / q.variance))
        wobble = float(np.max(log_square - log**2))
        count, rise, rise_square, level = (float(height) for height in self.heights)
        rise, rise_square = rise / max(count, 1.0), rise_square / max(count, 1.0)
        return Average(q, spread, wobble, level + rise, rise_square - rise * rise)
