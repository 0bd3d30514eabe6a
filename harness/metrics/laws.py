"""Sampling laws of the metrics: what n independent exact draws would show. A floor is the 95 % quantile of such a law.

Where a metric is a function of averages, the central limit theorem gives its law: sqrt(n) times the standardised errors
of the averages is Gaussian with their correlation, so that the quantile is simulated once and scaled by 1/sqrt(n), or
by 1/n for squared errors. It is an asymptotic law: with very heavy tails and few draws the true quantile is lower.
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
    """Law of sqrt(n) times the standardised errors w of averages over n draws: two 95 % quantiles, to be scaled.

    Attributes:
        mean_square: of the mean over coordinates of w^2.
        worst: of the maximum over coordinates of |w|.
        worst_log_sd: of the maximum of |scale * w|, where w belongs to the centred squares; NaN elsewhere.
    """

    mean_square: float
    worst: float
    worst_log_sd: float = math.nan


def averages(correlation: Matrix, rng: np.random.Generator, log_sd_scale: Vector | None = None) -> Averages:
    """The law for a correlation matrix (dim, dim), simulated with `rng`. `log_sd_scale` (dim,) turns w into log sd."""
    dim = len(correlation)
    if not np.all(np.isfinite(correlation)):
        return Averages(math.nan, math.nan)
    simulations = int(np.clip(400_000 / dim, 400, 4000))
    w = rng.standard_normal((simulations, dim)) @ _factor(correlation).T
    absolute = np.abs(w)
    log_sd = math.nan if log_sd_scale is None else float(np.quantile((absolute * log_sd_scale).max(axis=1), LEVEL))
    return Averages(
        float(np.quantile(np.mean(w**2, axis=1), LEVEL)), float(np.quantile(absolute.max(axis=1), LEVEL)), log_sd
    )


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

    They cover 0.9 (n-1)/(n+1) on average; `sd` / sqrt(n) is the standard deviation of the average over coordinates.
    """
    bias, spread = 1.8 / (n + 1), sd / math.sqrt(n)
    if spread == 0:
        return bias
    low, high = 0.0, bias + 10 * spread
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = ndtr((middle - bias) / spread) - ndtr((-middle - bias) / spread)
        low, high = (middle, high) if below < LEVEL else (low, middle)
    return high
