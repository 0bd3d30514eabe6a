"""Whether ranks are uniform: what simulation-based calibration asks of them (Talts et al. 2018, arXiv:1804.06788).

The rank of a value among L others becomes a number u in (0, 1), which is uniform exactly where the value and the others
are exchangeable. Of each quantity three tests are made, each with an exact level:

- mean: the mean of the normal scores Phi^-1(u), against the normal distribution;
- spread: the sum of their squares, against chi-squared;
- shape: the whole distribution of u against a band that it leaves nowhere with probability 1 - level (Saeilynoja,
  Buerkner & Vehtari 2022, section 2.2; the level is found exactly by their recursion, not by simulation).

With all levels at alpha / (3 x quantities) uniform ranks are rejected with probability at most alpha.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from targets.kernel import Matrix, Vector
from targets.options import require

GRID = 40  # points at which the distribution of ranks is held against its band
TESTS = ("mean", "spread", "shape")


def ranks(values: Vector, draws: Matrix, rng: np.random.Generator) -> Vector:
    """(k,) the ranks of k values among draws (L, k) of each, as numbers in (0, 1)."""
    return ranks_of(np.sum(draws < values, axis=0), np.sum(draws > values, axis=0), len(draws), rng)


def ranks_of(below: Matrix, above: Matrix, draws: int, rng: np.random.Generator) -> Matrix:
    """The same from how many of the draws lie below and above.

    Among equal ones, or where one of the two is NaN, the place is drawn at random.
    """
    alike = 1 + draws - below - above
    return np.asarray((below + alike * rng.random(alike.shape)) / (draws + 1))


@dataclass(frozen=True)
class Uniformity:
    """What the tests say of the columns of u (n, k).

    Attributes:
        level: of each test of each column.
        mean, spread: (k,) p values.
        outside: (k,) whether the distribution leaves its band.
    """

    level: float
    mean: Vector
    spread: Vector
    outside: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, u: Matrix, alpha: float) -> "Uniformity":
        """The tests of all columns, at family-wise level `alpha`.

        Raises:
            UsageError: `alpha` is not between 0 and 1.
        """
        n, quantities = u.shape
        level = alpha / (len(TESTS) * quantities)
        scores = stats.norm.ppf(np.clip(u, 1e-15, 1 - 1e-15))
        squares = np.sum(scores**2, axis=0)
        low, high = band(n, level)
        counts = below(u)
        return cls(
            level,
            2 * stats.norm.sf(np.abs(scores.mean(axis=0)) * math.sqrt(n)),
            2 * np.minimum(stats.chi2.cdf(squares, n), stats.chi2.sf(squares, n)),
            np.any((counts < low) | (counts > high), axis=1),
        )

    @property
    def rejected(self) -> dict[str, npt.NDArray[np.bool_]]:
        """(k,) by test, whether it rejects."""
        return dict(zip(TESTS, (self.mean < self.level, self.spread < self.level, self.outside), strict=True))

    @property
    def alarms(self) -> list[tuple[str, int]]:
        """The rejections, as names of tests with numbers of columns."""
        return [(name, int(column)) for name, by in self.rejected.items() for column in np.flatnonzero(by)]


def below(u: Matrix) -> npt.NDArray[np.int64]:
    """(k, GRID - 1) how many of each column of u (n, k) lie at or below 1 / GRID, 2 / GRID, ...."""
    return np.asarray(np.sum(u.T[:, :, None] <= np.arange(1, GRID) / GRID, axis=1))


@functools.cache
def band(n: int, level: float) -> tuple[Vector, Vector]:
    """Bounds (GRID - 1,) of how many of n uniform numbers lie below k / GRID, left with probability at most `level`.

    Each bound alone is a binomial quantile of one probability, the largest that keeps to the level.
    """
    require(0.0 < level < 1.0, f"level={level:g} is not accepted; it lies between 0 and 1")
    small, large = math.log(level / GRID), math.log(level)
    for _ in range(12):
        middle = 0.5 * (small + large)
        inside = stays(n, *_bounds(n, math.exp(middle)))
        small, large = (middle, large) if 1.0 - inside <= level else (small, middle)
    return _bounds(n, math.exp(small))


def _bounds(n: int, tails: float) -> tuple[Vector, Vector]:
    points = np.arange(1, GRID) / GRID
    binomial = stats.binom(n, points)
    return np.asarray(binomial.ppf(0.5 * tails)), np.asarray(binomial.isf(0.5 * tails))


def stays(n: int, low: Vector, high: Vector) -> float:
    """Probability that counts of n uniform numbers below k / GRID stay within the bounds (GRID - 1,), ends included."""
    reached = np.ones(1)  # probabilities of the counts `before` at one point, never having left
    before = np.zeros(1, dtype=np.int64)
    for k, (least, most) in enumerate(zip(low, high, strict=True)):
        after = np.arange(int(least), int(most) + 1)
        moves = stats.binom.pmf(after[:, None] - before, n - before, 1.0 / (GRID - k))
        reached, before = moves @ reached, after
    return float(reached.sum())
