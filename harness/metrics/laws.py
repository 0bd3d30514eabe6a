"""Sampling laws of the metrics: what n independent exact draws would show. A floor is the 95 % quantile of such a law.

Where a metric is a function of averages over draws, their standardised errors are Gaussian with the correlation of what
is averaged (central limit theorem), simulated once. Averages of squares get the skewness of a Gamma variable with the
same mean and variance, as n normal variables would give them. With very heavy tails and few draws the true quantiles
are lower.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, chdtri, gammaincinv, polygamma, psi

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


@dataclass(frozen=True)
class Degenerate:
    """The law of the U-statistic of a degenerate kernel: n U tends to sum_i lambda_i (z_i^2 - 1), z_i standard normal.

    (Serfling 1980, section 5.5.2; for two samples Gretton et al. 2012, theorem 12.) Of that its standard deviation and
    skewness are estimated without bias, and the Gamma law with both is taken.
    """

    sd: float
    skewness: float

    @classmethod
    def of(cls, kernel: Matrix) -> "Degenerate":
        """From the kernel between n draws, (n, n); centred so that no entry knows of its own draw.

        (U-centring: Szekely and Rizzo 2014, definition 2.)
        """
        n = len(kernel)
        values = kernel - np.diag(np.diagonal(kernel))
        rows = values.sum(axis=0) / (n - 2)
        values += values.sum() / ((n - 1) * (n - 2)) - rows - rows[:, None]
        np.fill_diagonal(values, 0.0)
        square = float(np.sum(values * values)) / (n * (n - 3))
        cube = float(np.sum((values @ values) * values)) / (n * (n - 3) * (n - 4))
        sd = math.sqrt(2 * max(square, 0.0))
        return cls(sd, max(0.0, 8 * cube / sd**3) if sd > 0 else 0.0)

    def spread(self, n: float, reference: float = math.inf) -> float:
        """The standard deviation for n draws against the truth, or against as many draws as `reference` says."""
        own = 1 / (n * (n - 1)) if n > 1 else math.inf
        other = 0.0 if math.isinf(reference) else 1 / (reference * (reference - 1))
        return self.sd * math.sqrt(own + other + 2 / (n * reference))

    def quantile(self, n: float, reference: float = math.inf) -> float:
        """The 95 % quantile, likewise."""
        if self.skewness < 1e-3:
            return 1.6449 * self.spread(n, reference)
        shape = 4 / self.skewness**2
        return self.spread(n, reference) * float((gammaincinv(shape, LEVEL) - shape) / math.sqrt(shape))


def total_variation(masses: Vector, n: float, rng: np.random.Generator) -> float:
    """The 95 % quantile of the total variation between masses and their frequencies among n draws."""
    shares = rng.multinomial(int(n), masses / masses.sum(), size=4000) / n
    return float(np.quantile(0.5 * np.abs(shares - masses).sum(axis=1), LEVEL))


def total_variation_mean(masses: Vector, n: float) -> float:
    """The expected total variation between masses and their frequencies among n draws, for large n."""
    return 0.5 * MEAN_ABSOLUTE_NORMAL * float(np.sum(np.sqrt(masses * (1 - masses) / n)))


def coverage(n: float, sd: float, level: float, reference: float = math.inf) -> float:
    """The 95 % quantile of |coverage - level| for central intervals between linearly interpolated quantiles of n draws.

    The mass in between has the law Beta(a, n + 1 - a) with a = level (n - 1) in every coordinate. For many draws the
    standard deviation of the average over coordinates comes to `sd` / sqrt(n), and that of one to
    sqrt(level (1 - level) / n); the average is given the Beta law with its mean and variance. Interpolation lowers the
    variance of what is outside: with the quantile a share f above the k-th order statistic, that of k + f steps between
    order statistics from k + f to k + f^2. `reference` draws that stand for the truth add their own noise.
    """
    a = level * (n - 1)
    mean = a / (n + 1)
    outside = (n + 1 - a) / 2
    f = outside % 1.0
    interpolated = 1 - f * (1 - f) / outside
    variance = mean * (1 - mean) / (n + 2) * interpolated * sd**2 / (level * (1 - level)) * (1 + n / reference)
    if variance == 0:
        return level - mean
    total = mean * (1 - mean) / variance - 1
    low, high = 0.0, level
    for _ in range(40):
        middle = 0.5 * (low + high)
        upper, lower = min(1.0, level + middle), level - middle
        below = betainc(mean * total, (1 - mean) * total, upper) - betainc(mean * total, (1 - mean) * total, lower)
        low, high = (middle, high) if below < LEVEL else (low, middle)
    return high
