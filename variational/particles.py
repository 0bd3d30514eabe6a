"""Particles as an approximation: equally weighted points, with moments and quantiles and no density."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from targets.kernel import Matrix, Vector


@dataclass(frozen=True, eq=False)
class Particles:
    """Points (n, dim) of equal weight."""

    points: Matrix

    @cached_property
    def mean(self) -> Vector:
        """(dim,)."""
        return np.asarray(self.points.mean(axis=0))

    @cached_property
    def covariance(self) -> Matrix:
        """(dim, dim), divided by the number of points."""
        centred = self.points - self.mean
        return np.asarray(centred.T @ centred / len(centred))

    @property
    def sd(self) -> Vector:
        """(dim,) marginal standard deviations."""
        return np.asarray(self.points.std(axis=0))

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim) marginal quantiles."""
        return np.asarray(np.quantile(self.points, probabilities, axis=0))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, dim) of the points, picked with replacement."""
        return np.asarray(self.points[rng.integers(len(self.points), size=n)])

    def log_density(self, x: Matrix) -> Vector | None:  # noqa: ARG002  (the protocol's argument)
        """None: points have no density."""
        return None
