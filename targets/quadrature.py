"""Truth by quadrature in one or two dimensions, and exact draws from the same grid.

The trapezoidal rule on a regular grid converges faster than any power of the step for a smooth density that vanishes at
the edges (Trefethen and Weideman, SIAM Review 56, 2014).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp

from targets.kernel import Matrix, Vector
from targets.truth import Moments

EDGE = 1e-13  # the largest share of the mass that may sit on the border of the grid
SLACK = 1.05  # how far the density may exceed its interpolant in units of the bound found at the cells' centres


@dataclass(frozen=True)
class Grid:
    """A density on a regular grid in d dimensions.

    Attributes:
        log_density: points (n, d) -> (n,), known up to a constant.
        lower, upper: (d,) the corners.
        counts: numbers of nodes along each axis.
    """

    log_density: Callable[[Matrix], Vector]
    lower: Vector
    upper: Vector
    counts: tuple[int, ...]

    @cached_property
    def steps(self) -> Vector:
        """(d,) distances between neighbouring nodes."""
        steps: Vector = (self.upper - self.lower) / (np.array(self.counts) - 1)
        return steps

    @cached_property
    def nodes(self) -> Matrix:
        """(n, d) all nodes, the last axis running fastest."""
        axes = [np.linspace(a, b, n) for a, b, n in zip(self.lower, self.upper, self.counts, strict=True)]
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)

    @cached_property
    def log_values(self) -> Vector:
        """(n,) the log density at the nodes."""
        return self.log_density(self.nodes)

    @cached_property
    def log_normaliser(self) -> float:
        """Log of the integral.

        Raises:
            ArithmeticError: the density has not vanished at the border of the grid.
        """
        total = float(logsumexp(self.log_values))
        shape = self.log_values.reshape(self.counts)
        for axis, end in itertools.product(range(len(self.counts)), (0, -1)):
            if logsumexp(shape.take(end, axis)) - total > np.log(EDGE):
                raise ArithmeticError(f"the grid from {self.lower} to {self.upper} cuts off mass along axis {axis}")
        return total + float(np.log(self.steps).sum())

    @cached_property
    def masses(self) -> Vector:
        """(n,) probabilities of the nodes, so that `masses @ f(nodes)` is the expectation of f."""
        masses: Vector = np.exp(self.log_values - self.log_normaliser + np.log(self.steps).sum())
        return masses

    @property
    def entropy(self) -> float:
        """Differential entropy in nats."""
        seen = self.masses > 0
        return self.log_normaliser - float(self.masses[seen] @ self.log_values[seen])

    def moments(self) -> Moments:
        """Moments of the coordinates."""
        return mixture_moments(self.masses, self.nodes, np.zeros((1, 1)), np.zeros((1, 1)))

    def _log_ratio(self, x: Matrix) -> Vector:
        """(n,) log density minus log of its multilinear interpolant, at points inside the grid."""
        place = (x - self.lower) / self.steps
        cell = np.clip(place.astype(np.intp), 0, np.array(self.counts) - 2)
        inside = place - cell
        values = np.exp(self.log_values - self.log_values.max()).reshape(self.counts)
        interpolant = np.zeros(len(x))
        for corner in itertools.product((0, 1), repeat=len(self.counts)):
            share = np.prod(np.where(corner, inside, 1 - inside), axis=1)
            interpolant += share * values[tuple((cell + corner).T)]
        with np.errstate(divide="ignore"):
            ratio: Vector = self.log_density(x) - self.log_values.max() - np.log(interpolant)
        return ratio

    @cached_property
    def _bound(self) -> float:
        """Bound on `_log_ratio`: an interpolant of a smooth density is lowest, relative to it, amid a concave cell."""
        centres = self.nodes[self.masses > self.masses.max() * 1e-12] + self.steps / 2
        return SLACK * max(float(self._log_ratio(np.minimum(centres, self.upper)).max()), 1e-12)

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Independent draws (n, d), exact but for the mass outside the grid, by rejection from the interpolant."""
        kept: list[Matrix] = []
        missing = n
        while missing:
            size = int(1.02 * missing) + 16
            node = rng.choice(len(self.masses), size=size, p=self.masses / self.masses.sum())
            # a triangular step about a node chosen by its mass is a draw from the interpolant
            triangular = rng.random((size, len(self.counts))) + rng.random((size, len(self.counts))) - 1
            proposed = np.clip(self.nodes[node] + triangular * self.steps, self.lower, self.upper)
            accepted = np.log(rng.random(size)) <= self._log_ratio(proposed) - self._bound
            kept.append(proposed[accepted][:missing])
            missing -= len(kept[-1])
        return np.concatenate(kept)


def mixture_moments(masses: Vector, centre: Matrix, shared: Matrix, own: Matrix) -> Moments:
    """Exact moments of k coordinates that are Gaussian given the node of a grid.

    Given node g, coordinate i is `centre[g, i] + shared[g, i] * w + own[g, i] * z_i`, w and all z_i independent
    standard normals. All arrays (nodes, k), or of one row where they are the same at all nodes; `masses` (nodes,).
    """
    spread = shared + np.zeros_like(centre)
    within = (spread * masses[:, None]).T @ spread + np.diag(masses @ (own**2 + np.zeros_like(centre)))
    return conditional_moments(masses, centre, shared**2 + own**2 + np.zeros_like(centre), within)


def conditional_moments(masses: Vector, centre: Matrix, variance: Matrix, within: Matrix) -> Moments:
    """Exact moments of k coordinates that are Gaussian given the node of a grid.

    Args:
        masses: (nodes,) their probabilities.
        centre: (nodes, k) means given the node.
        variance: (nodes, k) variances given the node.
        within: (k, k) the covariance given the node, averaged over the nodes.
    """
    mean = masses @ centre
    away = centre - mean
    between = (away * masses[:, None]).T @ away
    covariance = 0.5 * (between + between.T + within + within.T)  # to the last bit
    third = masses @ (away**3 + 3 * away * variance)
    fourth = masses @ (away**4 + 6 * away**2 * variance + 3 * variance**2)
    return Moments.from_central(mean, covariance, third, fourth)
