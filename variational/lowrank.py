"""Gaussians whose covariance is a diagonal plus a matrix of low rank."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special
from scipy.linalg import cho_factor, cho_solve

from targets.kernel import Matrix, Vector
from variational.gaussian import LOG_TWO_PI


@dataclass(frozen=True, eq=False)
class LowRankGaussian:
    """N(mean, diag(deviations^2) + factor factor').

    Attributes:
        mean, deviations: (dim,).
        factor: (dim, rank).
    """

    mean: Vector
    deviations: Vector
    factor: Matrix

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    @property
    def variance(self) -> Vector:
        """(dim,) marginal variances."""
        return np.asarray(self.deviations**2 + np.einsum("ij,ij->i", self.factor, self.factor))

    @property
    def sd(self) -> Vector:
        """(dim,) marginal standard deviations."""
        return np.sqrt(self.variance)

    @property
    def covariance(self) -> Matrix:
        """(dim, dim)."""
        return np.asarray(np.diag(self.deviations**2) + self.factor @ self.factor.T)

    @cached_property
    def _inner(self) -> tuple[Matrix, bool]:
        """Cholesky factor of I + B' D^-2 B, with D the deviations and B the factor (Woodbury)."""
        scaled = self.factor / self.deviations[:, None]
        factored: tuple[Matrix, bool] = cho_factor(np.eye(scaled.shape[1]) + scaled.T @ scaled, lower=True)
        return factored

    @property
    def half_log_determinant(self) -> float:
        """Half the log determinant of the covariance."""
        return float(np.log(self.deviations).sum() + np.log(np.diagonal(self._inner[0])).sum())

    @property
    def entropy(self) -> float:
        """Differential entropy in nats."""
        return 0.5 * self.dim * (1 + LOG_TWO_PI) + self.half_log_determinant

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim) marginal quantiles."""
        return np.asarray(self.mean + special.ndtri(np.asarray(probabilities))[:, None] * self.sd)

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Independent draws (n, dim)."""
        own, shared = rng.standard_normal((n, self.dim)), rng.standard_normal((n, self.factor.shape[1]))
        return np.asarray(self.mean + own * self.deviations + shared @ self.factor.T)

    def log_density(self, x: Matrix) -> Vector:
        """(n,) normalised log densities at the points x (n, dim)."""
        z = (np.atleast_2d(x) - self.mean) / self.deviations
        along = z @ (self.factor / self.deviations[:, None])
        squares = np.einsum("ij,ij->i", z, z) - np.einsum("ij,ji->i", along, cho_solve(self._inner, along.T))
        return np.asarray(-0.5 * (squares + self.dim * math.log(2 * math.pi)) - self.half_log_determinant)
