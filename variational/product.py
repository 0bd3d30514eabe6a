"""Independent coordinates of any shape: each density is piecewise linear between the nodes of its own even grid."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from targets.kernel import Matrix, Vector


@dataclass(frozen=True, eq=False)
class Marginal:
    """A density on an even grid, linear in between and zero beyond; it need not be normalised when it is given.

    Attributes:
        nodes: (n,) evenly spaced.
        heights: (n,) densities there, none negative; the outermost are taken to be the ends of its support.
    """

    nodes: Vector
    heights: Vector

    @cached_property
    def step(self) -> float:
        """The distance of neighbours."""
        return float(self.nodes[-1] - self.nodes[0]) / (len(self.nodes) - 1)

    @cached_property
    def density(self) -> Vector:
        """(n,) at the nodes, normalised."""
        total = self.step * float(self.heights.sum() - 0.5 * (self.heights[0] + self.heights[-1]))
        return np.asarray(self.heights / total)

    @cached_property
    def below(self) -> Vector:
        """(n,) distribution function at the nodes, from 0 to 1."""
        cells = 0.5 * self.step * (self.density[1:] + self.density[:-1])
        sums = np.concatenate([[0.0], np.cumsum(cells)])
        return np.asarray(sums / sums[-1])

    @cached_property
    def mean(self) -> float:
        """The mean, exact for the density between the nodes as well."""
        return float(self.nodes[0]) + self._moment(1)

    @cached_property
    def variance(self) -> float:
        """The variance, exact likewise."""
        return self._moment(2) - self._moment(1) ** 2

    def _moment(self, power: int) -> float:
        """E (x - first node)^power, cell by cell: Simpson's rule is exact for polynomials of degree three."""
        offset = self.nodes - self.nodes[0]
        middle = 0.5 * (offset[1:] + offset[:-1])
        left, right = self.density[:-1], self.density[1:]
        inner = offset[:-1] ** power * left + 2 * middle**power * (left + right) + offset[1:] ** power * right
        return float(self.step / 6 * inner.sum())

    def quantile(self, probabilities: Vector) -> Vector:
        """The inverse of the distribution function, exact."""
        share = np.asarray(probabilities, dtype=np.float64)
        cell = np.clip(np.searchsorted(self.below, share, side="right") - 1, 0, len(self.nodes) - 2)
        rest = np.maximum(share - self.below[cell], 0.0)
        left = self.density[cell]
        slope = (self.density[cell + 1] - left) / self.step
        # left t + slope t^2 / 2 = rest, in the form that does not cancel
        root = np.sqrt(np.maximum(left**2 + 2 * slope * rest, 0.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = np.where(rest > 0, 2 * rest / (left + root), 0.0)
        return np.asarray(self.nodes[cell] + np.clip(moved, 0.0, self.step))

    def log_density(self, x: Vector) -> Vector:
        """(n,) log densities at x (n,)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.interp(x, self.nodes, self.density, left=0.0, right=0.0)))


@dataclass(frozen=True, eq=False)
class Product:
    """A product of such densities, one for each coordinate."""

    marginals: tuple[Marginal, ...]

    diagonal = True  # it knows of no correlations: see `harness.handover`

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.marginals)

    @property
    def mean(self) -> Vector:
        """(dim,)."""
        return np.array([marginal.mean for marginal in self.marginals])

    @property
    def variance(self) -> Vector:
        """(dim,) marginal variances."""
        return np.array([marginal.variance for marginal in self.marginals])

    @property
    def sd(self) -> Vector:
        """(dim,) marginal standard deviations."""
        return np.asarray(np.sqrt(self.variance))

    @property
    def covariance(self) -> Matrix:
        """(dim, dim), diagonal."""
        return np.diag(self.variance)

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim)."""
        return np.stack([marginal.quantile(probabilities) for marginal in self.marginals], axis=1)

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Independent draws (n, dim), by the inverse of the distribution functions."""
        uniform = rng.random((n, self.dim))
        return np.stack([m.quantile(u) for m, u in zip(self.marginals, uniform.T, strict=True)], axis=1)

    def log_density(self, x: Matrix) -> Vector:
        """(n,) log densities at the points x (n, dim)."""
        parts = [m.log_density(column) for m, column in zip(self.marginals, np.atleast_2d(x).T, strict=True)]
        return np.asarray(np.sum(parts, axis=0))
