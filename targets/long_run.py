"""What draws of several chains say, with standard errors: moments, quantiles, and whether they suffice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from targets.kernel import Matrix, Vector
from targets.truth import Moments, Quantiles

PROBABILITIES = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
NONE = np.empty(0)
Relabellings = Sequence[np.ndarray]
Values = npt.NDArray[np.float64]  # (chains, n, k)


@dataclass(frozen=True)
class Estimates:
    """Moments and quantiles, with the worst R-hat and ESS over coordinates.

    Attributes:
        moments, quantiles: with standard errors from the effective sample sizes of what they average.
        r_hat: largest rank-normalised split R-hat; `r_hat_at` is the index of its coordinate.
        ess: smallest effective sample size of a mean, `ess_square` of a mean square; and where.
    """

    moments: Moments
    quantiles: Quantiles
    r_hat: float
    r_hat_at: int
    ess: float
    ess_at: int
    ess_square: float
    ess_square_at: int


def ess(series: Matrix) -> float:
    """Effective sample size of the mean of (chains, n) values: Vehtari et al. (2021), without ranks.

    A series that never varies is known exactly: as many as there are values.
    """
    from arviz_stats.base.array import array_stats

    if float(np.ptp(series)) == 0.0:
        return float(series.size)
    found = float(array_stats.ess(series, method="mean"))
    return found if math.isfinite(found) else 0.0


def r_hat(series: Matrix) -> float:
    """Rank-normalised split R-hat of (chains, n) values, the larger of bulk and tail (Vehtari et al. 2021)."""
    from arviz_stats.base.array import array_stats

    if float(np.ptp(series)) == 0.0:
        return 1.0
    found = float(array_stats.rhat(series, method="rank"))
    return found if math.isfinite(found) else math.inf


def mean_and_error(series: Matrix) -> tuple[float, float]:
    """Mean of (chains, n) values, and its standard error."""
    effective = ess(series)
    return float(series.mean()), float(series.std()) / math.sqrt(effective) if effective > 0 else math.inf


def orbit(i: int, relabellings: Relabellings) -> tuple[np.ndarray, Vector]:
    """Coordinates that relabellings bring to place i, and how often each: what the average over labels runs over."""
    if not len(relabellings):
        return np.array([i]), np.ones(1)
    at, counts = np.unique([order[i] for order in relabellings], return_counts=True)
    return at, counts / counts.sum()


def means(values: Values, relabellings: Relabellings) -> Vector:
    """(k,) means of draws (chains, n, k), averaged over relabellings."""
    plain = values.mean(axis=(0, 1))
    return np.mean([plain[order] for order in relabellings], axis=0) if len(relabellings) else np.asarray(plain)


def covariance(values: Values, mean: Vector, relabellings: Relabellings) -> Matrix:
    """(k, k) covariance of draws about their mean, averaged over relabellings."""
    k = len(mean)
    plain = values.mean(axis=(0, 1))
    total = np.zeros((k, k))
    for chain in values:  # one at a time: in hundreds of dimensions a copy of all draws is large
        centred = chain - plain
        total += centred.T @ centred
    total /= values.shape[0] * values.shape[1]
    if not len(relabellings):
        return total
    about = total + np.outer(plain, plain)  # about zero, to be averaged
    return np.asarray(np.mean([about[np.ix_(order, order)] for order in relabellings], axis=0) - np.outer(mean, mean))


def estimates(values: Values, relabellings: Relabellings = (), probabilities: Vector = PROBABILITIES) -> Estimates:
    """Of draws (chains, n, k); every statistic is averaged over the relabellings, which is as good and mixes better.

    Quantiles, which take most of the time, are those of the `probabilities`.
    """
    k = values.shape[2]
    mean = means(values, relabellings)
    spread = covariance(values, mean, relabellings)
    errors, effective = np.empty((4, k)), np.empty((4, k))  # of x, (x - m)^2, x^2, (x - m)^4
    variances = np.empty((4, k))
    quantile, quantile_error = np.empty((len(probabilities), k)), np.empty((len(probabilities), k))
    rank = np.empty(k)
    for i in range(k):
        at, weights = orbit(i, relabellings)
        each = np.ascontiguousarray(values[:, :, at].transpose(2, 0, 1))  # (orbit, chains, n)
        away = each - mean[i]
        for row, power in enumerate((each, away**2, each**2, away**4)):
            series = np.tensordot(weights, power, axes=1)
            effective[row, i] = ess(series)
            errors[row, i] = float(series.std()) / math.sqrt(max(effective[row, i], 1e-300))
            variances[row, i] = weights @ (power**2).mean(axis=(1, 2)) - float(series.mean()) ** 2
        rank[i] = max(
            r_hat(np.tensordot(weights, power, axes=1)) for power in ((each,) if len(at) == 1 else (each, away**2))
        )
        quantile[:, i], quantile_error[:, i] = _quantiles(each, weights, probabilities)
    moments = Moments(mean, spread, variances[2], variances[1], errors[0], errors[1], errors[2], errors[3])
    return Estimates(
        moments,
        Quantiles(probabilities, quantile, quantile_error),
        float(rank.max()),
        int(rank.argmax()),
        float(effective[0].min()),
        int(effective[0].argmin()),
        float(effective[2].min()),
        int(effective[2].argmin()),
    )


def _quantiles(each: np.ndarray, weights: Vector, probabilities: Vector) -> tuple[Vector, Vector]:
    """Quantiles of (orbit, chains, n) values, weighted equally, and errors.

    The error of a probability, by the effective sample size of the indicator, is carried to the quantile by those that
    lie one such error to either side.
    """
    ordered = np.sort(each, axis=None)
    found = np.quantile(ordered, probabilities)
    error = np.empty(len(probabilities))
    for row, (p, value) in enumerate(zip(probabilities, found, strict=True)):
        of_p = mean_and_error(np.tensordot(weights, (each <= value).astype(np.float64), axes=1))[1]
        if not of_p > 0:
            of_p = math.sqrt(p * (1 - p) / each[0].size)
        low, high = np.quantile(ordered, np.clip([p - of_p, p + of_p], 0.0, 1.0))
        error[row] = (high - low) / 2
    return np.asarray(found), error
