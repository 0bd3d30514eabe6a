"""Sliced Wasserstein distance: the mean over random directions of the first Wasserstein distance of the projections.

Coordinates are first standardised by the true mean and standard deviation, so that the unit is the posterior sd.
(Rabin, Peyre, Delon and Bernot 2012; Bonneel, Rabin, Peyre and Pfister 2015, there of second order. The first order is
used here since it exists with heavy tails and grows linearly with a shift.)

In one dimension it is the integral over u in (0, 1) of |Q_q(u) - Q_p(u)|, Q the quantile functions. Both are averaged
over `CELLS` equal cells of u first: exactly so for draws of any number, and in closed form for a Gaussian.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from harness.metrics.laws import gamma_quantile
from targets.kernel import Matrix, Vector

CELLS = 256
DIRECTIONS = 64
MOST_DRAWS = 10_000  # of more, evenly spaced ones are used
BLOCKS, BLOCK = 200, 100  # sets of so many reference draws, whose distances measure its law


def directions(dim: int, rng: np.random.Generator) -> Matrix:
    """Unit vectors (dim, directions), uniform on the sphere; one is enough in one dimension."""
    if dim == 1:
        return np.ones((1, 1))
    vectors = rng.standard_normal((dim, DIRECTIONS))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=0))


def cell_averages(projections: Matrix) -> Matrix:
    """Averages over equal cells of the quantile function of each column: (n, directions) -> (directions, CELLS)."""
    n, columns = projections.shape
    ordered = np.sort(projections.T, axis=1)
    integral = np.zeros((columns, n + 1))
    np.cumsum(ordered / n, axis=1, out=integral[:, 1:])
    position = np.linspace(0.0, n, CELLS + 1)
    whole = np.minimum(position.astype(np.intp), n - 1)
    at_edges = integral[:, whole] + (position - whole) * ordered[:, whole] / n
    return np.asarray(CELLS * np.diff(at_edges, axis=1))


def normal_cell_averages() -> Vector:
    """The same for the standard normal: (CELLS,)."""
    edges = ndtri(np.linspace(0.0, 1.0, CELLS + 1))
    density = np.exp(-0.5 * edges**2) / math.sqrt(2 * math.pi)
    return np.asarray(-CELLS * np.diff(density))


@dataclass(frozen=True)
class Sliced:
    """The truth's projections, and the law of the distance between it and n of its draws.

    Attributes:
        centre, scale: (dim,) true mean and standard deviation.
        directions: (dim, K) unit vectors; None for the dim coordinates themselves, whose mean distance is that of the
            marginals.
        table: (K, CELLS) cell averages of the true quantile functions.
        mean, sd: of sqrt(n) times the distance between the truth and n independent draws.
        draws: how many draws made the table; infinite where it is exact.
    """

    centre: Vector
    scale: Vector
    directions: Matrix | None
    table: Matrix
    mean: float
    sd: float
    draws: float

    @classmethod
    def of(
        cls,
        centre: Vector,
        scale: Vector,
        draws: Matrix,
        unit: Matrix | None,
        correlation: Matrix | None,
        rng: np.random.Generator,
        independent: float = math.inf,
    ) -> "Sliced":
        """From reference draws (n, dim), worth at most `independent` ones, along `unit` (dim, K).

        Of a Gaussian target its correlation (dim, dim) makes it exact.
        """
        projected = _projected((draws - centre) / scale, unit)
        n = len(draws)
        if correlation is None:
            table, size = cell_averages(projected), min(float(n), independent)
        else:
            along = np.eye(len(centre)) if unit is None else unit
            spread = np.sqrt(np.einsum("ik,ij,jk->k", along, correlation, along, optimize=True))
            table, size = spread[:, None] * normal_cell_averages(), math.inf
        length = min(BLOCK, n // 10)
        blocks = (rng.choice(n, length, replace=False, shuffle=False) for _ in range(BLOCKS))
        distances = np.array([np.mean(np.abs(cell_averages(projected[block]) - table)) for block in blocks])
        # a block is part of the draws behind an empirical table, which makes them closer by this factor
        scaled = distances * math.sqrt(length / (1 if correlation is not None else 1 - length / n))
        return cls(centre, scale, unit, table, float(scaled.mean()), float(scaled.std(ddof=1)), size)

    def distance(self, draws: Matrix) -> float:
        """The distance of draws (n, dim) from the truth."""
        projected = _projected((draws - self.centre) / self.scale, self.directions)
        return float(np.mean(np.abs(cell_averages(projected) - self.table)))

    @property
    def reference_floor(self) -> float:
        """The expected distance between the truth and the draws that stand for it."""
        return self.mean / math.sqrt(self.draws)

    def sampling_floor(self, n: float) -> float:
        """The 95 % quantile of the distance between n independent draws and the table, which has its own noise."""
        return gamma_quantile(self.mean, self.sd) * math.sqrt(1 / n + 1 / self.draws)


def _projected(standardised: Matrix, unit: Matrix | None) -> Matrix:
    return standardised if unit is None else np.asarray(standardised @ unit)
