"""Draws of equal weight: what resampling by importance leaves."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from targets.kernel import Matrix, Vector


@dataclass(frozen=True, eq=False)
class ResampledDraws:
    """A set of draws that stands for a distribution; some may be there more than once.

    Attributes:
        points: (n, dim).
    """

    points: Matrix

    @property
    def values(self) -> np.ndarray:
        """(1, n, dim), the shape in which samplers hold theirs: its moments have the noise of so many draws."""
        return self.points[None]

    @cached_property
    def distinct(self) -> int:
        """How many of the draws differ."""
        return len(np.unique(self.points, axis=0))

    @property
    def mean(self) -> Vector:
        """(dim,)."""
        return np.asarray(self.points.mean(axis=0))

    @property
    def covariance(self) -> Matrix:
        """(dim, dim)."""
        centred = self.points - self.mean
        return np.asarray(centred.T @ centred / len(centred))

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim) marginal quantiles."""
        return np.asarray(np.quantile(self.points, probabilities, axis=0))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Draws (n, dim) in random order: without repetition as far as there are that many, then evenly."""
        size = len(self.points)
        whole, rest = divmod(n, size)
        chosen = np.concatenate([np.tile(np.arange(size), whole), rng.choice(size, rest, replace=False)])
        return np.asarray(self.points[rng.permutation(chosen)])

    def log_density(self, x: Matrix) -> None:
        """None: draws have no density."""


def resample(points: Matrix, weights: Vector, rng: np.random.Generator, n: int) -> ResampledDraws:
    """Draw n of the points (m, dim) by their weights (m,), systematically: each n w times, rounded up or down.

    (Kitagawa 1996; the number of copies has the least variance of all schemes that are unbiased.)
    """
    edges = np.cumsum(weights)
    places = (rng.random() + np.arange(n)) / n * edges[-1]
    return ResampledDraws(points[np.minimum(np.searchsorted(edges, places, side="right"), len(points) - 1)])
