"""Sampling laws of the metrics: what n independent exact draws would show. A floor is the 95 % quantile of such a law.

Where a metric is a function of averages over draws, their standardised errors are Gaussian with the correlation of what
is averaged (central limit theorem), simulated once. Averages of squares get the skewness of a Gamma variable with the
same mean and variance, as n normal variables would give them. With very heavy tails and few draws the true quantiles
are lower.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, ndtr, polygamma, psi

from targets.kernel import Matrix, Vector

LEVEL = 0.95
MEAN_ABSOLUTE_NORMAL = math.sqrt(2.0 / math.pi)


@dataclass(frozen=True)
class Averages:
    """The law of averages over n draws.

    Attributes:
        w: (simulations, dim) normal variables with the correlation of what is averaged; empty where that is undefined.
        relative: (dim,) standard deviation over mean of what is averaged where it is a square, else None.
    """

    w: Matrix
    relative: Vector | None = None

    @classmethod
    def of(cls, correlation: Matrix, rng: np.random.Generator, relative: Vector | None = None) -> "Averages":
        """Simulate with the correlation matrix (dim, dim)."""
        dim = len(correlation)
        if not np.all(np.isfinite(correlation)) or not (relative is None or np.all(np.isfinite(relative))):
            return cls(np.empty((0, dim)))
        simulations = int(np.clip(100_000 / dim, 400, 2000))
        return cls(rng.standard_normal((simulations, dim)) @ _factor(correlation).T, relative)

    def errors(self, n: float) -> Matrix:
        """Standardised errors of the averages over n draws, (simulations, dim)."""
        if self.relative is None:
            return np.asarray(self.w / math.sqrt(n))
        return np.asarray((self.ratios(n) - 1) / self.relative)

    def ratios(self, n: float) -> Matrix:
        """Averages of squares over n draws, relative to their expectation: Gamma by Wilson and Hilferty (1931)."""
        assert self.relative is not None  # noqa: S101
        third = self.relative / (3 * math.sqrt(n))
        root = np.maximum(1 - third**2 + third * self.w, 0.0)
        return np.asarray(root * root * root)

    def mean_square(self, n: float) -> float:
        """The 95 % quantile of the mean over coordinates of the squared errors."""
        return _quantile(np.mean(self.errors(n) ** 2, axis=1))

    def worst(self, n: float) -> float:
        """The 95 % quantile of the largest error in size."""
        return _quantile(np.abs(self.errors(n)).max(axis=1))

    def worst_log_sd(self, n: float) -> float:
        """The 95 % quantile of |log| of the worst ratio of standard deviations, where centred squares are averaged.

        Measured around their own mean, the draws have lost one degree of freedom.
        """
        if not len(self.w) or math.isinf(n):
            return 0.0 if len(self.w) else math.nan
        ratios = self.ratios(n) * (1 - 1 / n)
        lowest, highest = ratios.min(axis=1), ratios.max(axis=1)
        with np.errstate(divide="ignore"):
            return _quantile(0.5 * np.maximum(np.abs(np.log(lowest)), np.abs(np.log(highest))))


def _quantile(values: Vector) -> float:
    """The 95 % quantile, an actual value of the simulation; NaN of nothing."""
    return float(np.quantile(values, LEVEL, method="higher")) if len(values) else math.nan


def _factor(correlation: Matrix) -> Matrix:
    """A matrix whose product with its transpose is the correlation, also where that is only nearly definite."""
    try:
        return np.asarray(np.linalg.cholesky(correlation))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(correlation)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def gaussian_covariance_error(n: float, dim: int) -> tuple[float, float]:
    """Mean and standard deviation of `covariance_error` for n Gaussian draws: exact, from Bartlett's decomposition.

    With W = n S, S the covariance (divided by n) in whitened coordinates, twice the error is
    tr S - dim - log det S + |mean|^2. The squared diagonal of W's Cholesky factor is chi-square with n-1, ..., n-dim
    degrees of freedom, what lies off it adds chi-square with dim (dim-1) / 2 to tr W, and n |mean|^2 is chi-square
    with dim.
    Zero for infinite n, infinite for n <= dim + 2.
    """
    if math.isinf(n):
        return 0.0, 0.0
    if n <= dim + 2:
        return math.inf, math.inf
    k = n - np.arange(1, dim + 1)
    log_mean = psi(k / 2) + math.log(2) - math.log(n)
    off = dim * (dim - 1) / 2
    mean = np.sum(k / n - 1 - log_mean) + off / n + dim / n
    # Cov(chi-square, its log) = 2 for every number of degrees of freedom
    variance = np.sum(2 * k / n**2 + polygamma(1, k / 2) - 4 / n) + (2 * off + 2 * dim) / n**2
    return float(mean) / 2, math.sqrt(float(variance)) / 2


def gamma_quantile(mean: float, sd: float) -> float:
    """The 95 % quantile of the scaled chi-square with this mean and standard deviation (Satterthwaite 1946)."""
    if not (math.isfinite(mean) and math.isfinite(sd)) or sd <= 0 or mean <= 0:
        return mean
    freedom = 2 * (mean / sd) ** 2
    return float(mean * chdtri(freedom, 1 - LEVEL) / freedom)


def total_variation(masses: Vector, n: float, rng: np.random.Generator) -> float:
    """The 95 % quantile of the total variation between masses and their frequencies among n draws."""
    shares = rng.multinomial(int(n), masses / masses.sum(), size=4000) / n
    return float(np.quantile(0.5 * np.abs(shares - masses).sum(axis=1), LEVEL))


def total_variation_mean(masses: Vector, n: float) -> float:
    """The expected total variation between masses and their frequencies among n draws, for large n."""
    return 0.5 * MEAN_ABSOLUTE_NORMAL * float(np.sum(np.sqrt(masses * (1 - masses) / n)))


def coverage(n: float, sd: float) -> float:
    """The 95 % quantile of |coverage_90 - 0.9| for intervals between linearly interpolated quantiles of n draws.

    The mass in between has the law Beta(a, n + 1 - a) with a = 0.9 (n - 1) in every coordinate. For many draws the
    standard deviation of the average over coordinates comes to `sd` / sqrt(n), and that of one to 0.3 / sqrt(n).
    """
    a = 0.9 * (n - 1)
    mean = a / (n + 1)
    spread = math.sqrt(mean * (1 - mean) / (n + 2)) * sd / 0.3
    if spread == 0:
        return 0.9 - mean
    low, high = 0.0, 0.9
    for _ in range(50):
        middle = 0.5 * (low + high)
        below = ndtr((0.9 + middle - mean) / spread) - ndtr((0.9 - middle - mean) / spread)
        low, high = (middle, high) if below < LEVEL else (low, middle)
    return high
