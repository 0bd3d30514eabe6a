"""Maximum mean discrepancy and energy distance: averages over pairs of draws, without bias.

Both are E_q k(x, x') + E_p k(y, y') - 2 E k(x, y) with x' and y' other draws (Gretton et al. 2012, lemma 6 and equation
3), k a Gaussian for the one and -|x - y| for the other (Sejdinovic et al. 2013). Coordinates are in posterior sd, and
the width of the Gaussian is the median distance of two draws of the reference, so that neither depends on q.
"""

from dataclasses import dataclass

import numpy as np
from numba import float64, types

from harness.metrics.laws import Degenerate
from harness.metrics.standard import Standard, evenly
from targets.exponential import exp_minus
from targets.kernel import MATRIX, VECTOR, Matrix, Vector, loop

MOST = 500  # draws of q, and of the reference for the laws
REFERENCE_VALUES, MOST_REFERENCE, LEAST_REFERENCE = 500_000, 5000, 1000
BLOCK = 500  # rows at once: their products with as many others stay in the second-level cache


@loop(types.void(MATRIX, VECTOR, VECTOR, float64, VECTOR))
def add_pairs(products, left, right, rate, totals):  # type: ignore[no-untyped-def]
    """Add to `totals` (2,) exp(-rate d²) and d over all pairs, d² = left + right - 2 products, (n, m)."""
    gaussians, distances = 0.0, 0.0
    for i in range(products.shape[0]):
        for j in range(products.shape[1]):
            square = max(0.0, left[i] + right[j] - 2.0 * products[i, j])
            gaussians += exp_minus(rate * square)
            distances += np.sqrt(square)
    totals[0] += gaussians
    totals[1] += distances


@dataclass(frozen=True)
class Pairs:
    """The reference's part of both.

    Attributes:
        standard: the units.
        points: (M, dim) reference draws in these units; squares: (M,) their squared lengths.
        width: h.
        within: (2,) means over pairs of different reference draws, of the Gaussian and of the distance.
        gaussian, distance: laws of the two.
        worth: how many independent draws the points are worth.
    """

    standard: Standard
    points: Matrix
    squares: Vector
    width: float
    within: Vector
    gaussian: Degenerate
    distance: Degenerate
    worth: float

    @classmethod
    def of(cls, standard: Standard, draws: Matrix, independent: float) -> "Pairs":
        """From reference draws (n, dim), worth at most `independent` ones."""
        most = int(np.clip(REFERENCE_VALUES // draws.shape[1], LEAST_REFERENCE, MOST_REFERENCE))
        points = standard(evenly(draws, most))
        squares = np.sum(points**2, axis=1)
        few = evenly(points, MOST)
        lengths = np.sum(few**2, axis=1)
        distances = np.sqrt(np.maximum(lengths + lengths[:, None] - 2 * few @ few.T, 0.0))
        width = float(np.median(distances[np.triu_indices(len(few), 1)]))
        rate = 0.5 / width**2
        return cls(
            standard,
            points,
            squares,
            width,
            _within(points, squares, rate),
            Degenerate.of(np.exp(-rate * distances**2)),
            Degenerate.of(-distances),
            min(float(len(points)), independent),
        )

    def compare(self, draws: Matrix) -> tuple[float, float]:
        """Squared maximum mean discrepancy and energy distance of draws (n, dim), n from 2 to `MOST`."""
        x = self.standard(draws)
        squares, rate = np.sum(x**2, axis=1), 0.5 / self.width**2
        across = np.zeros(2)
        for begin in range(0, len(self.points), BLOCK):
            part = slice(begin, begin + BLOCK)
            add_pairs(x @ self.points[part].T, squares, self.squares[part], rate, across)
        across /= len(x) * len(self.points)
        gaussian, distance = _within(x, squares, rate) + self.within - 2 * across
        return float(gaussian), -float(distance)


def _within(points: Matrix, squares: Vector, rate: float) -> Vector:
    """(2,) means over pairs of different points."""
    n, totals = len(points), np.zeros(2)
    for begin in range(0, n, BLOCK):
        rows, rest = slice(begin, begin + BLOCK), slice(begin + BLOCK, n)
        own, twice = np.zeros(2), np.zeros(2)
        add_pairs(points[rows] @ points[rows].T, squares[rows], squares[rows], rate, own)
        add_pairs(points[rows] @ points[rest].T, squares[rows], squares[rest], rate, twice)
        totals += own + 2 * twice
    totals[0] -= n  # each point with itself
    return totals / (n * (n - 1))
