"""The Gaussian with given moments, and expectations of its log density wherever moments are known."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from targets.kernel import Matrix, Vector
from variational.gaussian import LOG_TWO_PI, Gaussian


@dataclass(frozen=True, eq=False)
class Normal(Gaussian):
    """A Gaussian whose factor is diagonal where its covariance is."""

    @classmethod
    def of(cls, mean: Vector, covariance: Matrix) -> "Normal | None":
        """None where the covariance is not finite, or not positive definite to rounding."""
        variance = np.diagonal(covariance)
        if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(covariance)) and np.all(variance > 0)):
            return None
        if np.count_nonzero(covariance) == len(mean):
            return cls(mean, np.sqrt(variance))
        try:
            factor = np.asarray(np.linalg.cholesky(covariance))
        except np.linalg.LinAlgError:
            return None
        # The squared diagonal over the variance is what the coordinates before it leave unexplained.
        if np.min(np.diagonal(factor) ** 2 / variance) <= len(mean) * np.finfo(float).eps:
            return None
        return cls(mean, factor)

    @cached_property
    def precision(self) -> Matrix:
        """The inverse of the covariance (dim, dim)."""
        if self.diagonal:
            return np.diag(1 / self.variance)
        half = self.standardise(self.mean + np.eye(self.dim))
        return np.asarray(half @ half.T)

    def expected_log_density(self, mean: Vector, covariance: Matrix) -> float:
        """E log N(x) under any distribution of x with this mean and covariance."""
        offset = float(np.sum(self.standardise(mean) ** 2))
        spread = np.diagonal(covariance) / self.variance if self.diagonal else self.precision * covariance
        return -0.5 * (self.dim * LOG_TWO_PI + float(np.sum(spread)) + offset) - self.half_log_determinant


def divergence(q: Normal, covariance: Matrix, p: Normal) -> float:
    """KL(q || p) in nats; `covariance` is that of q, which the caller holds."""
    return max(0.0, -q.entropy - p.expected_log_density(q.mean, covariance))
