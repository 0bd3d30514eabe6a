"""Errors of means and variances, and their floors.

`b2` is the squared error of an average of squares in units of their variance, the convention of Hoffman and Sountsov
(2022) and of sampler-benchmarks: n independent draws have 1/n.
"""

import math
from dataclasses import dataclass

import numpy as np

from harness.metrics.laws import Averages
from targets.kernel import Matrix, Vector
from targets.truth import Moments

Errors = dict[str, float]


def errors(mean: Vector, variance: Vector, moments: Moments) -> Errors:
    """The metrics of moments for a belief with this mean and variance, (dim,) each.

    Worst standard deviations are ratios: `sd_ratio_worst` is the one whose logarithm is largest in size.
    """
    true_sd = _finite(moments.sd)
    offset = mean - moments.mean
    standardised = np.abs(offset) / true_sd
    square = (variance + mean**2 - moments.second_moment) ** 2 / _finite(moments.variance_of_square)
    centred = (variance + offset**2 - moments.variance) ** 2 / _finite(moments.variance_of_centred_square)
    ratio = np.sqrt(variance) / true_sd
    with np.errstate(divide="ignore"):
        size = np.abs(np.log(ratio))
    return {
        "mean_error": math.sqrt(np.mean(standardised**2)),
        "mean_error_worst": float(standardised.max()),
        "second_moment_b2": float(square.mean()),
        "second_moment_b2_worst": float(square.max()),
        "centred_b2": float(centred.mean()),
        "centred_b2_worst": float(centred.max()),
        "sd_ratio_worst": float(ratio[np.argmax(size)]),
    }


def _finite(values: Vector) -> Vector:
    """The values, NaN where they are infinite or not positive: what a metric cannot be measured by."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


@dataclass(frozen=True)
class MomentLaws:
    """What n independent draws would show for each of `errors`, and what the reference's standard errors imply.

    The floors of `sd_ratio_worst` are of the size of its logarithm: the ratio lies in exp(-floor) to exp(floor).
    """

    mean: Averages
    square: Averages
    centred: Averages
    reference: Errors

    @classmethod
    def of(cls, moments: Moments, draws: Matrix | None, gaussian: bool, rng: np.random.Generator) -> "MomentLaws":
        """The laws for these moments; correlations of squares are Gaussian ones, or those of the draws (n, dim)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = moments.sd
            correlation = moments.covariance / np.outer(scale, scale)
            if gaussian or draws is None:
                offset = moments.mean / scale
                square = _normalised(2 * correlation**2 + 4 * np.outer(offset, offset) * correlation)
                centred = correlation**2
            else:
                square = _correlation(draws**2)
                centred = _correlation((draws - moments.mean) ** 2)
            square_relative = np.sqrt(moments.variance_of_square) / moments.second_moment
            centred_relative = np.sqrt(moments.variance_of_centred_square) / moments.variance
        return cls(
            Averages.of(correlation, rng),
            Averages.of(square, rng, square_relative),
            Averages.of(centred, rng, centred_relative),
            _reference_floors(moments),
        )

    def sampling_floors(self, n: float) -> Errors:
        """The 95 % quantile of each metric between the truth and n independent draws; n may be infinite."""
        return {
            "mean_error": math.sqrt(self.mean.mean_square(n)),
            "mean_error_worst": self.mean.worst(n),
            "second_moment_b2": self.square.mean_square(n),
            "second_moment_b2_worst": self.square.worst(n) ** 2,
            "centred_b2": self.centred.mean_square(n),
            "centred_b2_worst": self.centred.worst(n) ** 2,
            "sd_ratio_worst": self.centred.worst_log_sd(n),
        }


def _reference_floors(moments: Moments) -> Errors:
    """Each metric for a perfect answer that is off by one standard error of the reference in every coordinate."""
    mean = moments.mean_error / _finite(moments.sd)
    square = moments.second_moment_error**2 / _finite(moments.variance_of_square)
    centred = moments.variance_error**2 / _finite(moments.variance_of_centred_square)
    return {
        "mean_error": math.sqrt(np.mean(mean**2)),
        "mean_error_worst": float(mean.max()),
        "second_moment_b2": float(square.mean()),
        "second_moment_b2_worst": float(square.max()),
        "centred_b2": float(centred.mean()),
        "centred_b2_worst": float(centred.max()),
        "sd_ratio_worst": float(np.max(moments.variance_error / (2 * _finite(moments.variance)))),
    }


def independent_draws(moments: Moments) -> float:
    """How many independent draws know the worst mean as well as the reference does; infinite where it is exact."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.min(np.where(moments.mean_error > 0, moments.variance / moments.mean_error**2, np.inf)))


def _normalised(covariance: Matrix) -> Matrix:
    scale = np.sqrt(np.diagonal(covariance))
    return np.asarray(covariance / np.outer(scale, scale))


def _correlation(values: Matrix) -> Matrix:
    """Correlation (dim, dim) of the columns of values (n, dim)."""
    centred = values - values.mean(axis=0)
    return _normalised(centred.T @ centred / len(values))
