"""Logistic approximations: a location and a scale applied to independent standard logistic numbers."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.linalg import solve_triangular

from targets.kernel import Matrix, Vector

VARIANCE = math.pi**2 / 3  # of a standard logistic number
ENTROPY = 2.0  # nats, of the same
FURTHEST, SPACING = 26.0, 0.05  # of the inverse Fourier integral, in reciprocal sd; the tails wrap around at 125 sd
NEWTON = 60  # steps at most from the normal quantile; they are halved where they would leave the bracket


@dataclass(frozen=True, eq=False)
class Logistic:
    """The distribution of mean + factor e with e independent standard logistic numbers.

    Attributes:
        mean: (dim,).
        factor: (dim,) scales of independent coordinates, or (dim, dim) a lower triangular matrix.
    """

    mean: Vector
    factor: Vector | Matrix

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    @property
    def diagonal(self) -> bool:
        """Whether the coordinates are independent."""
        return self.factor.ndim == 1

    @property
    def variance(self) -> Vector:
        """(dim,) marginal variances."""
        return VARIANCE * (self.factor**2 if self.diagonal else np.einsum("ij,ij->i", self.factor, self.factor))

    @property
    def sd(self) -> Vector:
        """(dim,) marginal standard deviations."""
        return np.sqrt(self.variance)

    @property
    def covariance(self) -> Matrix:
        """(dim, dim)."""
        return np.diag(self.variance) if self.diagonal else np.asarray(VARIANCE * (self.factor @ self.factor.T))

    @property
    def half_log_determinant(self) -> float:
        """The log determinant of the scale."""
        return float(np.sum(np.log(self.factor if self.diagonal else np.diagonal(self.factor))))

    @property
    def entropy(self) -> float:
        """Differential entropy in nats."""
        return ENTROPY * self.dim + self.half_log_determinant

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim) marginal quantiles; of sums of logistic numbers where the scale is dense."""
        p = np.asarray(probabilities, dtype=np.float64)
        if self.diagonal:
            return np.asarray(self.mean + special.logit(p)[:, None] * self.factor)
        standard = [_quantiles_of_sum(row / sd, p) for row, sd in zip(self.factor, self.sd, strict=True)]
        return np.asarray(self.mean + np.transpose(standard) * self.sd)

    def colour(self, standard: Matrix) -> Matrix:
        """The points (n, dim) that standard logistic numbers (n, dim) stand for."""
        return np.asarray(self.mean + (standard * self.factor if self.diagonal else standard @ self.factor.T))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Independent draws (n, dim)."""
        return self.colour(rng.logistic(size=(n, self.dim)))

    def log_density(self, x: Matrix) -> Vector:
        """(n,) normalised log densities at the points x (n, dim)."""
        offset = np.atleast_2d(x) - self.mean
        if self.diagonal:
            drawn = np.abs(offset / self.factor)
        else:
            drawn = np.abs(solve_triangular(self.factor, offset.T, lower=True, check_finite=False).T)
        return np.asarray(-np.sum(drawn + 2 * np.log1p(np.exp(-drawn)), axis=1) - self.half_log_determinant)


def _quantiles_of_sum(weights: Vector, p: Vector) -> Vector:
    """Quantiles (len(p),) of the sum of weights_j e_j, of unit variance, from its characteristic function.

    That is the product of a / sinh a with a = pi weights_j t; F(x) = 1/2 + 1/pi int_0^inf sin(t x) phi(t) / t dt
    (Gil-Pelaez 1951), by the trapezoidal rule.
    """
    t = np.arange(SPACING / 2, FURTHEST, SPACING)  # the midpoint rule, which spares t = 0
    a = np.minimum(np.abs(math.pi * np.outer(weights, t)), 700.0)
    phi = np.prod(np.where(a > 1e-8, a / np.sinh(np.maximum(a, 1e-8)), 1.0), axis=0) * SPACING / math.pi
    low, high = np.full_like(p, -60.0), np.full_like(p, 60.0)
    x = special.ndtri(np.clip(p, 1e-300, 1 - 1e-16))
    for _ in range(NEWTON):
        angle = np.outer(x, t)
        gap = 0.5 + np.sin(angle) @ (phi / t) - p
        low, high = np.where(gap < 0, x, low), np.where(gap < 0, high, x)
        moved = x - gap / np.maximum(np.cos(angle) @ phi, 1e-300)
        moved = np.where((moved > low) & (moved < high), moved, 0.5 * (low + high))
        if np.max(np.abs(moved - x)) < 1e-12:
            break
        x = moved
    return np.asarray(x)
