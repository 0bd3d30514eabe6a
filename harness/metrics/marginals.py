"""What the marginal distributions say: coverage of intervals, tail quantiles, and the laws of both."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtr, ndtri

from harness.metrics import laws
from targets.kernel import Matrix, Vector

LEVELS = {"coverage_50": 0.5, "coverage_90": 0.9, "coverage_99": 0.99}
TAILS = np.array([0.01, 0.99])
PROBABILITIES = np.array(sorted([*TAILS, *((1 + s * level) / 2 for level in LEVELS.values() for s in (-1, 1))]))
NODES = 64  # of the law of an order statistic


def quantile(quantiles: Matrix, probability: float) -> Vector:
    """The row of `quantiles` (len(PROBABILITIES), dim) for one of the probabilities."""
    return np.asarray(quantiles[np.argmin(np.abs(PROBABILITIES - probability))])


def interval(quantiles: Matrix, level: float) -> tuple[Vector, Vector]:
    """Ends (dim,) of the central intervals that hold `level`."""
    return quantile(quantiles, (1 - level) / 2), quantile(quantiles, (1 + level) / 2)


@dataclass(frozen=True)
class Marginals:
    """Marginal distribution functions: of a Gaussian (mean and sd), or of reference draws sorted by coordinate.

    Attributes:
        mean, sd: (dim,).
        ordered: (dim, M) sorted draws, or None for a Gaussian.
        tails: (2, dim) true quantiles at `TAILS`.
        spread: by level, the standard deviation over draws of the share of coordinates within their central intervals.
        alike: (2 dim, 2 dim) correlations of the sizes of the errors of the tail quantiles, asymptotically.
        draws: how many independent draws the marginals are worth, infinite for a Gaussian.
    """

    mean: Vector
    sd: Vector
    ordered: Matrix | None
    tails: Matrix
    spread: dict[str, float]
    alike: Matrix
    draws: float

    @classmethod
    def of(cls, mean: Vector, sd: Vector, draws: Matrix, gaussian: bool, independent: float = math.inf) -> "Marginals":
        """From reference draws (M, dim), worth at most `independent` ones."""
        if gaussian:
            quantiles, ordered = mean + np.outer(ndtri(PROBABILITIES), sd), None
        else:
            quantiles, ordered = np.quantile(draws, PROBABILITIES, axis=0), np.sort(draws.T, axis=1)
        spread = {}
        for name, level in LEVELS.items():
            low, high = interval(quantiles, level)
            spread[name] = float(np.mean((draws >= low) & (draws <= high), axis=1).std())
        tails = np.stack([quantile(quantiles, u) for u in TAILS])
        worth = math.inf if gaussian else min(float(len(draws)), independent)
        return cls(mean, sd, ordered, tails, spread, _alike(draws, tails), worth)

    def mass(self, low: Vector, high: Vector) -> float:
        """The mass between low and high (dim,), averaged over coordinates."""
        if self.ordered is None:
            return float(np.mean(ndtr((high - self.mean) / self.sd) - ndtr((low - self.mean) / self.sd)))
        counts = [np.searchsorted(row, (a, b)) for row, a, b in zip(self.ordered, low, high, strict=True)]
        return float(np.mean(np.diff(counts, axis=1)) / self.ordered.shape[1])

    def mass_error(self, name: str) -> float:
        """Standard error of `mass` near the level called `name`, from the finite number of reference draws."""
        return self.spread[name] / math.sqrt(self.draws)

    def mass_floor(self, name: str, n: float) -> float:
        """The 95 % quantile of |coverage - level| for n independent draws; zero for infinite n."""
        return 0.0 if math.isinf(n) else laws.coverage(n, self.spread[name], LEVELS[name], self.draws)

    def tail_error(self, quantiles: Matrix) -> float:
        """The metric `tail_quantile_error` for quantiles (len(PROBABILITIES), dim)."""
        seen = np.stack([quantile(quantiles, u) for u in TAILS])
        return float(np.mean(np.abs(seen - self.tails) / self._unit))

    def tail_law(self, n: float) -> tuple[float, float]:
        """Mean and standard deviation of `tail_error` for n independent draws.

        The quantile at u, interpolated between order statistics, is the true quantile at a Beta(a, n + 1 - a) variable
        with a = u (n - 1) + 1.
        """
        if math.isinf(n):
            return 0.0, 0.0
        levels = (np.arange(NODES) + 0.5) / NODES
        sizes = []
        for u, true in zip(TAILS, self.tails, strict=True):
            a = u * (n - 1) + 1
            sizes.append(np.abs(self._quantiles(betaincinv(a, n + 1 - a, levels)) - true) / self._unit)
        size = np.concatenate(sizes, axis=1)  # (NODES, 2 dim)
        sd = size.std(axis=0)
        return float(size.mean()), math.sqrt(max(0.0, float(sd @ self.alike @ sd))) / size.shape[1]

    def tail_floor(self, n: float) -> float:
        """The 95 % quantile of `tail_error` for n independent draws, with what the reference adds to it."""
        if math.isinf(n):
            return 0.0
        return laws.gamma_quantile(*self.tail_law(n)) * math.sqrt(1 + n / self.draws)

    @property
    def tail_reference(self) -> float:
        """The expected error of the tail quantiles that the reference draws stand for."""
        return self.tail_law(self.draws)[0]

    @property
    def _unit(self) -> Vector:
        return np.where(np.isfinite(self.sd) & (self.sd > 0), self.sd, np.nan)

    def _quantiles(self, u: Vector) -> Matrix:
        """True quantiles (len(u), dim) at the probabilities u."""
        if self.ordered is None:
            return np.asarray(self.mean + np.outer(ndtri(u), self.sd))
        place = np.clip(u * (self.ordered.shape[1] - 1), 0, self.ordered.shape[1] - 1)
        low = np.minimum(place.astype(np.intp), self.ordered.shape[1] - 2)
        part = (place - low)[:, None]
        return np.asarray((1 - part) * self.ordered[:, low].T + part * self.ordered[:, low + 1].T)


def _alike(draws: Matrix, tails: Matrix) -> Matrix:
    """Correlations of the sizes of two normal variables that correlate as the draws' visits to the tails do."""
    visits = np.concatenate([draws < tails[0], draws > tails[1]], axis=1).astype(np.float64)
    centred = visits - visits.mean(axis=0)
    scale = np.sqrt(np.mean(centred**2, axis=0))
    r = np.clip(centred.T @ centred / len(draws) / np.maximum(np.outer(scale, scale), 1e-12), -1.0, 1.0)
    folded = (np.sqrt(1 - r**2) + r * np.arcsin(r) - 1) * (2 / math.pi) / (1 - 2 / math.pi)
    np.fill_diagonal(folded, 1.0)
    return np.asarray(folded)
