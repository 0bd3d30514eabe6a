"""A Gaussian whose covariance is diagonal but for a few directions: dim (k + 1) numbers instead of dim^2."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from targets.kernel import Matrix, Vector
from variational.gaussian import LOG_TWO_PI, Gaussian


@dataclass(frozen=True, eq=False)
class StretchedGaussian:
    """N(mean, D (I + V' (L - I) V) D), with D the diagonal matrix of `scale` and L that of `variances`.

    In units of `scale` the variance is `variances` along the rows of V and one in all directions orthogonal to them.

    Attributes:
        mean: (dim,).
        scale: (dim,).
        vectors: (k, dim) orthonormal rows.
        variances: (k,).
    """

    mean: Vector
    scale: Vector
    vectors: Matrix
    variances: Vector

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    @property
    def variance(self) -> Vector:
        """(dim,) marginal variances."""
        return np.asarray(self.scale**2 * (1 + (self.variances - 1) @ self.vectors**2))

    @property
    def sd(self) -> Vector:
        """(dim,) marginal standard deviations."""
        return np.asarray(np.sqrt(self.variance))

    @property
    def covariance(self) -> Matrix:
        """(dim, dim), made when it is asked for."""
        stretched = (self.vectors.T * (self.variances - 1)) @ self.vectors
        stretched[np.diag_indices(self.dim)] += 1
        return np.asarray(self.scale[:, None] * (0.5 * (stretched + stretched.T)) * self.scale)

    @property
    def half_log_determinant(self) -> float:
        """Half the log determinant of the covariance."""
        return float(np.sum(np.log(self.scale)) + 0.5 * np.sum(np.log(self.variances)))

    @property
    def entropy(self) -> float:
        """Differential entropy in nats."""
        return 0.5 * self.dim * (1 + LOG_TWO_PI) + self.half_log_determinant

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim) marginal quantiles."""
        return np.asarray(self.mean + special.ndtri(np.asarray(probabilities))[:, None] * self.sd)

    def colour(self, standard: Matrix) -> Matrix:
        """The points (n, dim) that standard normal coordinates (n, dim) stand for, by the symmetric root."""
        return np.asarray(self.mean + self.scale * self._along(standard, np.sqrt(self.variances)))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Independent draws (n, dim)."""
        return self.colour(rng.standard_normal((n, self.dim)))

    def standardise(self, x: Matrix) -> Matrix:
        """Standard normal coordinates (n, dim) of the points x (n, dim): the inverse of `colour`."""
        return self._along((np.atleast_2d(x) - self.mean) / self.scale, 1 / np.sqrt(self.variances))

    def log_density(self, x: Matrix) -> Vector:
        """(n,) normalised log densities at the points x (n, dim)."""
        z = self.standardise(x)
        return np.asarray(-0.5 * (np.einsum("ij,ij->i", z, z) + self.dim * LOG_TWO_PI) - self.half_log_determinant)

    def times(self, g: Vector) -> Vector:
        """The covariance times g (dim,)."""
        return np.asarray(self.scale * self._along((self.scale * g)[None, :], self.variances)[0])

    def dense(self) -> Gaussian:
        """The same Gaussian with its whole covariance.

        Raises:
            numpy.linalg.LinAlgError: the covariance is not positive definite to rounding.
        """
        return Gaussian.from_moments(self.mean, self.covariance)

    def _along(self, z: Matrix, factors: Vector) -> Matrix:
        """The rows of z (n, dim), multiplied by `factors` (k,) along the vectors."""
        return np.asarray(z + ((z @ self.vectors.T) * (factors - 1)) @ self.vectors)
