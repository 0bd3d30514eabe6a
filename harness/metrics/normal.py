"""A multivariate normal as metrics need it: log densities, and their expectation where moments are known."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from targets.kernel import Matrix, Vector

LOG_TWO_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Normal:
    """N(mean, covariance). `factor` is the lower Cholesky factor (dim, dim), or the diagonal (dim,) of a diagonal one."""

    mean: Vector
    covariance: Matrix
    factor: Matrix

    @classmethod
    def of(cls, mean: Vector, covariance: Matrix) -> "Normal | None":
        """None where the covariance is not finite, or not positive definite to rounding."""
        if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(covariance))):
            return None
        variance = np.diagonal(covariance)
        if np.any(variance <= 0):
            return None
        if np.count_nonzero(covariance) == len(mean):
            return cls(mean, covariance, np.sqrt(variance))
        try:
            factor = cholesky(covariance, lower=True)
        except LinAlgError:
            return None
        # The squared diagonal relative to the variance is one less the squared multiple correlation.
        if np.min(np.diagonal(factor) ** 2 / variance) <= len(mean) * np.finfo(float).eps:
            return None
        return cls(mean, covariance, factor)

    def whiten(self, columns: Matrix) -> Matrix:
        """The inverse factor times columns (dim, n)."""
        if self.factor.ndim == 1:
            return np.asarray(columns / self.factor[:, None])
        return np.asarray(solve_triangular(self.factor, columns, lower=True))

    @property
    def log_determinant(self) -> float:
        """Log determinant of the covariance."""
        diagonal = self.factor if self.factor.ndim == 1 else np.diagonal(self.factor)
        return 2 * float(np.sum(np.log(diagonal)))

    @property
    def entropy(self) -> float:
        """Differential entropy in nats."""
        return 0.5 * (len(self.mean) * (1 + LOG_TWO_PI) + self.log_determinant)

    def log_density(self, x: Matrix) -> Vector:
        """Log densities (n,) at the points x (n, dim)."""
        squares = np.sum(self.whiten((x - self.mean).T) ** 2, axis=0)
        return np.asarray(-0.5 * (len(self.mean) * LOG_TWO_PI + self.log_determinant + squares))

    def expected_log_density(self, mean: Vector, covariance: Matrix) -> float:
        """E log N(x) under any distribution of x with this mean and covariance."""
        offset = float(np.sum(self.whiten((mean - self.mean)[:, None]) ** 2))
        return -0.5 * (len(self.mean) * LOG_TWO_PI + self.log_determinant + self.trace(covariance) + offset)

    def trace(self, covariance: Matrix) -> float:
        """Trace of the inverse of its own covariance times another one."""
        if self.factor.ndim == 1:
            return float(np.sum(np.diagonal(covariance) / self.factor**2))
        return float(np.sum(self.precision * covariance))

    @cached_property
    def precision(self) -> Matrix:
        """The inverse of the covariance (dim, dim)."""
        half = self.whiten(np.eye(len(self.mean)))
        return np.asarray(half.T @ half)


def divergence(q: Normal, p: Normal) -> float:
    """KL(q || p) in nats."""
    return max(0.0, -q.entropy - p.expected_log_density(q.mean, q.covariance))
