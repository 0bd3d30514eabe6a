"""Normalising flows: a Gaussian, bent by a map whose inverse and volume are known."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.special import ndtri

from targets.kernel import Matrix, Vector
from variational.gaussian import LOG_TWO_PI, Gaussian

FEWEST, MOST, NUMBERS = 10, 14, 20  # powers of two: points that moments are taken from, and coordinates of them at most


class Map(Protocol):
    """A map of standard normal coordinates, with its parameters apart."""

    @property
    def dim(self) -> int: ...

    @property
    def size(self) -> int: ...  # number of parameters

    def initial(self, rng: np.random.Generator) -> Vector: ...  # (size,), of the identity

    def push(self, parameters: Vector, z: Matrix) -> tuple[Matrix, Vector]: ...  # images (n, dim) and log |J| (n,)

    def pull(self, parameters: Vector, y: Matrix) -> tuple[Matrix, Vector]: ...  # points, and log |J| of the map there

    def scratch(self, batch: int) -> tuple[Any, ...]: ...  # what `train` works on

    @property
    def train(self) -> Any: ...  # the loop that fits the parameters


@dataclass(frozen=True, eq=False)
class Flow:
    """The distribution of base.mean + base.factor T(z), z standard normal, T the map with its parameters.

    Moments and quantiles are those of `MOST` (by powers of two) scrambled Sobol points: they are near exact in few
    dimensions, and no worse than those of as many draws in many.
    """

    base: Gaussian
    map: Map
    parameters: Vector

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.base.dim

    @cached_property
    def points(self) -> Matrix:
        """(n, dim) evenly spread over q."""
        from scipy.stats import qmc

        power = min(MOST, max(FEWEST, NUMBERS - math.ceil(math.log2(self.dim))))
        uniform = qmc.Sobol(self.dim, rng=np.random.default_rng(0)).random_base2(power)
        return self.colour(ndtri(np.clip(uniform, 2.0**-40, 1 - 2.0**-40)))

    @cached_property
    def mean(self) -> Vector:
        """(dim,)."""
        return np.asarray(self.points.mean(axis=0))

    @cached_property
    def covariance(self) -> Matrix:
        """(dim, dim)."""
        return np.atleast_2d(np.cov(self.points, rowvar=False, bias=True))

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim) marginal quantiles."""
        return np.asarray(np.quantile(self.points, np.asarray(probabilities), axis=0))

    def colour(self, standard: Matrix) -> Matrix:
        """The points (n, dim) that standard normal coordinates (n, dim) stand for."""
        return self.base.colour(self.map.push(self.parameters, standard)[0])

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Independent draws (n, dim)."""
        return self.colour(rng.standard_normal((n, self.dim)))

    def standardise(self, x: Matrix) -> Matrix:
        """Standard normal coordinates (n, dim) of the points x (n, dim): the inverse of `colour`."""
        return self.map.pull(self.parameters, self.base.standardise(x))[0]

    def log_density(self, x: Matrix) -> Vector:
        """(n,) normalised log densities at the points x (n, dim)."""
        z, log_determinant = self.map.pull(self.parameters, self.base.standardise(x))
        return self._log_density(z, log_determinant)

    def draw(self, standard: Matrix) -> tuple[Matrix, Vector]:
        """What `colour` gives, with the log densities (n,) there, which need no inverse."""
        y, log_determinant = self.map.push(self.parameters, standard)
        return self.base.colour(y), self._log_density(standard, log_determinant)

    def _log_density(self, z: Matrix, log_determinant: Vector) -> Vector:
        height = -0.5 * (np.einsum("ij,ij->i", z, z) + self.dim * LOG_TWO_PI)
        return np.asarray(height - log_determinant - self.base.half_log_determinant)
