"""The state of a mixture fit: what the loops of `variational.mixture_steps` move, and the iterates' average."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from targets.kernel import Matrix, Vector, aligned, empty, zeros
from targets.target import Target
from variational import mixture_steps
from variational.gaussian import LOG_TWO_PI, Gaussian
from variational.mixture import MixtureOfGaussians
from variational.orthogonal import Directions

FAINTEST, WIDEST = 1e-100, 1e100  # scales between which a fit has not run away


class Average(NamedTuple):
    """Iterates averaged over a window, and the average of their bounds."""

    q: MixtureOfGaussians
    elbo: float


@dataclass
class State:
    """Arrays that a loop works on; `scales` are (k, dim) sds, or (k, dim, dim) lower factors with their `inverses`."""

    logs: Vector
    means: Matrix
    scales: np.ndarray
    inverses: np.ndarray
    free: np.ndarray
    directions: Directions
    tally: np.ndarray
    sum_means: Matrix
    sum_scales: np.ndarray
    sum_weights: Vector
    sum_elbo: Vector
    steps: int = 0

    @classmethod
    def at(cls, q: MixtureOfGaussians, free: Sequence[bool] | None = None) -> "State":
        """A state that starts from q, in which only the components that are `free` move; all by default."""
        scales = aligned(np.array([part.factor for part in q.parts]))
        diagonal = scales.ndim == 2
        inverses = zeros(0, 0, 0) if diagonal else aligned(np.array([_inverse(factor) for factor in scales]))
        return cls(
            aligned(np.log(q.weights)),
            aligned(q.means),
            scales,
            inverses,
            np.ones(len(q.parts), dtype=np.int64) if free is None else np.array(free, dtype=np.int64),
            Directions.of(q.dim),
            np.zeros(2, dtype=np.int64),
            zeros(*q.means.shape),
            zeros(*scales.shape),
            zeros(len(q.parts)),
            zeros(1),
        )

    @property
    def diagonal(self) -> bool:
        """Whether the components' coordinates are independent."""
        return self.scales.ndim == 2

    @property
    def count(self) -> int:
        """Number of components."""
        return len(self.logs)

    @property
    def price(self) -> int:
        """Gradients of one step."""
        return 2 * self.directions.block * self.count

    def open_window(self) -> None:
        """Forget what was averaged."""
        for total in (self.sum_means, self.sum_scales, self.sum_weights, self.sum_elbo):
            total[...] = 0.0
        self.steps = 0

    def advance(self, target: Target, rng: np.random.Generator, steps: int, rate: float, pace: float) -> None:
        """Make `steps` steps, of `price` gradients each."""
        count, dim = self.means.shape
        drawn = target.kernel, target.data, rng, self.directions, self.tally
        vectors = tuple(empty(dim) for _ in range(3))
        used = np.zeros(count, dtype=np.int64), *(empty(count) for _ in range(5))
        sums = self.sum_means, self.sum_scales, self.sum_weights, self.sum_elbo
        if self.diagonal:
            moved = self.logs, self.means, self.scales, self.free
            scratch = tuple(empty(count, dim) for _ in range(3))
            mixture_steps.diagonal(*drawn, *moved, *vectors, *scratch, *used, *sums, steps, rate, pace)
        else:
            factors = self.logs, self.means, self.scales, self.inverses, self.free
            tensors = empty(count, dim), empty(count, dim), empty(count, dim, dim), empty(dim, dim)
            mixture_steps.dense(*drawn, *factors, *vectors, *tensors, *used, *sums, steps, rate, pace)
        self.steps += steps

    @property
    def finite(self) -> bool:
        """Whether the iterate is a mixture at all: finite, and no scale out of bounds."""
        sds = self.scales if self.diagonal else np.diagonal(self.scales, axis1=1, axis2=2)
        held = (self.logs, self.means, self.scales, self.inverses)
        return all(map(_finite, held)) and bool(np.all((sds > FAINTEST) & (sds < WIDEST)))

    def current(self) -> MixtureOfGaussians:
        """The last iterate."""
        return _mixture(self.means, self.scales, np.exp(self.logs))

    def average(self) -> Average:
        """The average over the window so far, of one step at least."""
        q = _mixture(self.sum_means / self.steps, self.sum_scales / self.steps, self.sum_weights / self.steps)
        return Average(q, float(self.sum_elbo[0]) / self.steps + 0.5 * q.dim * LOG_TWO_PI)


def _mixture(means: Matrix, scales: np.ndarray, weights: Vector) -> MixtureOfGaussians:
    parts = tuple(Gaussian(mean.copy(), scale.copy()) for mean, scale in zip(means, scales, strict=True))
    return MixtureOfGaussians(parts, weights / weights.sum())


def _finite(values: np.ndarray) -> bool:
    return bool(np.all(np.isfinite(values)))


def _inverse(factor: Matrix) -> Matrix:
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(factor, np.eye(len(factor)), lower=True))
