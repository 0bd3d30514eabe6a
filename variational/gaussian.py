"""Gaussian approximations, with a diagonal or a dense covariance."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.linalg import solve_triangular

from targets.kernel import Matrix, Vector

LOG_TWO_PI = math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """N(mean, factor factor^T).

    Attributes:
        mean: (dim,).
        factor: (dim,) standard deviations of independent coordinates, or (dim, dim) a lower Cholesky factor.
    """

    mean: Vector
    factor: Vector | Matrix

    @classmethod
    def from_moments(cls, mean: Vector, covariance: Vector | Matrix) -> "Gaussian":
        """The Gaussian with these moments; `covariance` is (dim,) variances or (dim, dim).

        Raises:
            numpy.linalg.LinAlgError: the covariance is not positive definite.
        """
        if covariance.ndim == 2:
            return cls(mean, np.asarray(np.linalg.cholesky(covariance), dtype=np.float64))
        if not np.all(covariance > 0):
            raise np.linalg.LinAlgError("a variance is not positive")
        return cls(mean, np.sqrt(covariance))

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    @property
    def diagonal(self) -> bool:
        """Whether the coordinates are independent; the covariance is then held in O(dim) memory."""
        return self.factor.ndim == 1

    @property
    def variance(self) -> Vector:
        """(dim,) marginal variances."""
        return self.factor**2 if self.diagonal else np.einsum("ij,ij->i", self.factor, self.factor)

    @property
    def sd(self) -> Vector:
        """(dim,) marginal standard deviations."""
        return np.sqrt(self.variance)

    @property
    def covariance(self) -> Matrix:
        """(dim, dim)."""
        return np.diag(self.variance) if self.diagonal else np.asarray(self.factor @ self.factor.T)

    @property
    def half_log_determinant(self) -> float:
        """Half the log determinant of the covariance."""
        return float(np.sum(np.log(self.factor if self.diagonal else np.diagonal(self.factor))))

    @property
    def entropy(self) -> float:
        """Differential entropy in nats."""
        return 0.5 * self.dim * (1 + LOG_TWO_PI) + self.half_log_determinant

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim) marginal quantiles."""
        return np.asarray(self.mean + special.ndtri(np.asarray(probabilities))[:, None] * self.sd)

    def colour(self, standard: Matrix) -> Matrix:
        """The points (n, dim) that standard normal coordinates (n, dim) stand for."""
        return np.asarray(self.mean + (standard * self.factor if self.diagonal else standard @ self.factor.T))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Independent draws (n, dim)."""
        return self.colour(rng.standard_normal((n, self.dim)))

    def standardise(self, x: Matrix) -> Matrix:
        """Standard normal coordinates (n, dim) of the points x (n, dim): the inverse of `colour`."""
        offset = np.atleast_2d(x) - self.mean
        if self.diagonal:
            return np.asarray(offset / self.factor)
        inverse = solve_triangular(self.factor, np.eye(self.dim), lower=True, check_finite=False)
        return np.asarray(offset @ inverse.T)  # one matrix product is many times faster than a solve for each point

    def log_density(self, x: Matrix) -> Vector:
        """(n,) normalised log densities at the points x (n, dim)."""
        z = self.standardise(x)
        return np.asarray(-0.5 * (np.einsum("ij,ij->i", z, z) + self.dim * LOG_TWO_PI) - self.half_log_determinant)


def triangular(factor: Matrix) -> Matrix:
    """The lower triangular factor, with positive diagonal, of factor factor^T."""
    upper = np.linalg.qr(factor.T, mode="r")
    signs = np.where(np.diagonal(upper) < 0, -1.0, 1.0)
    return np.ascontiguousarray((signs[:, None] * upper).T)
