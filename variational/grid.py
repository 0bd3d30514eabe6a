"""Moments of a density in up to three dimensions by the trapezoidal rule on a box that is found and refined.

The trapezoidal rule converges faster than any power of the step for smooth densities that vanish at the boundary
(Trefethen and Weideman 2014), so a uniform grid beats Gauss rules here, and its own refinement shows how exact it is.
"""

from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix, Vector
from targets.protocols import Work
from targets.target import Target
from variational.evaluation import log_densities

NEGLIGIBLE = -40.0  # log density relative to the largest, below which a face of the box is empty
FIRST = {1: 129, 2: 65, 3: 17}  # nodes an axis
LIMIT = {1: 2**16 + 1, 2: 1025, 3: 129}
HOPELESS = 0.3  # change in sd at the last but one refinement from which the last will not converge either
GROWTHS = 20  # of the box, before tails are called heavy


@dataclass(frozen=True)
class Grid:
    """A box with its nodes and the normalised masses on them.

    Attributes:
        axes: nodes of each coordinate.
        points: (n, dim) all nodes.
        masses: (n,) probabilities, which sum to one.
        log_normaliser: log of the integral over the box.
    """

    axes: tuple[Vector, ...]
    points: Matrix
    masses: Vector
    log_normaliser: float

    @property
    def mean(self) -> Vector:
        """(dim,)."""
        return np.asarray(self.masses @ self.points)

    @property
    def covariance(self) -> Matrix:
        """(dim, dim)."""
        centred = self.points - self.mean
        return np.asarray((centred * self.masses[:, None]).T @ centred)

    @property
    def entropy(self) -> float:
        """Differential entropy in nats."""
        cell = float(np.prod([axis[1] - axis[0] for axis in self.axes]))
        held = self.masses[self.masses > 0]
        return -float(np.sum(held * np.log(held / cell)))


def log_table(
    target: Target, low: Vector, high: Vector, nodes: int, work: Work | None = None
) -> tuple[tuple[Vector, ...], Matrix, Vector]:
    """Axes, points (n, dim) and log densities there (n,), with `nodes` an axis between `low` and `high` (dim,)."""
    axes = tuple(np.linspace(a, b, nodes) for a, b in zip(low, high, strict=True))
    points = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    return axes, points, log_densities(target, points, work)


def tabulate(target: Target, low: Vector, high: Vector, nodes: int, work: Work | None = None) -> Grid | None:
    """Evaluate on `nodes` an axis between `low` and `high` (dim,); None where no node has a finite density."""
    axes, points, values = log_table(target, low, high, nodes, work)
    top = float(values.max())
    if not np.isfinite(top):
        return None
    masses = np.exp(values - top)
    total = float(masses.sum())
    cell = float(np.prod([axis[1] - axis[0] for axis in axes]))
    return Grid(axes, points, masses / total, top + float(np.log(total * cell)))


def support(target: Target, centre: Vector, scale: Vector, work: Work | None = None) -> tuple[Vector, Vector] | None:
    """A box (low, high) outside of which the density is negligible; None where it cannot be found.

    It starts eight scales around the centre, grows every face that carries density, is looked at from four times as far
    once for modes apart, and then shrinks to what carries density.
    """
    low, high = centre - 8 * scale, centre + 8 * scale
    looked = False
    for _ in range(GROWTHS):
        nodes = FIRST[target.dim]
        grid = tabulate(target, low, high, nodes, work)
        if grid is None:
            return None
        held = _held(grid, nodes)
        first = np.array([kept[0] for kept in held])
        last = np.array([kept[-1] for kept in held])
        open_low, open_high = first == 0, last == nodes - 1
        width = high - low
        if np.any(open_low | open_high):
            low, high = low - np.where(open_low, width, 0.0), high + np.where(open_high, width, 0.0)
            continue
        step = width / (nodes - 1)
        tight = low + (first - 1) * step, low + (last + 1) * step
        if looked and np.all(last - first > nodes // 4):
            return tight
        middle, half = 0.5 * (tight[0] + tight[1]), 0.5 * (tight[1] - tight[0])
        low, high = (middle - half, middle + half) if looked else (middle - 4 * half, middle + 4 * half)
        looked = True
    return None


def _held(grid: Grid, nodes: int) -> list[np.ndarray]:
    table = grid.masses.reshape((nodes,) * len(grid.axes))
    floor = table.max() * np.exp(NEGLIGIBLE)
    kept = []
    for axis in range(table.ndim):
        others = tuple(k for k in range(table.ndim) if k != axis)
        kept.append(np.flatnonzero(table.max(axis=others) > floor))
    return kept


def integrate(
    target: Target, centre: Vector, scale: Vector, tolerance: float = 1e-10, work: Work | None = None
) -> Grid | None:
    """The finest grid needed: nodes double until mean and covariance change by less than `tolerance` (in sd units).

    None where no box holds the density (heavy tails), or the largest grid is still too coarse.
    """
    box = support(target, centre, scale, work)
    if box is None:
        return None
    nodes = FIRST[target.dim]
    coarse = tabulate(target, *box, nodes, work)
    while coarse is not None and 2 * nodes - 1 <= LIMIT[target.dim]:
        nodes = 2 * nodes - 1
        fine = tabulate(target, *box, nodes, work)
        if fine is None:
            return None
        sd = np.sqrt(np.diagonal(fine.covariance))
        shift = np.abs(fine.mean - coarse.mean) / sd
        spread = np.abs(fine.covariance - coarse.covariance) / np.outer(sd, sd)
        change = max(float(shift.max()), float(spread.max()))
        if change <= tolerance:
            return fine
        if change > HOPELESS and 4 * nodes > LIMIT[target.dim]:
            return None
        coarse = fine
    return None
