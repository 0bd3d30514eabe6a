"""The bound on the evidence, and both divergences, for Gaussian approximations.

Each value comes with its standard error, which is zero where a closed form is used.
"""

from typing import NamedTuple

import numpy as np

from targets.target import Target
from targets.truth import Moments, Truth
from variational.closed_form import kl_from_precision
from variational.evaluation import log_densities
from variational.gaussian import LOG_TWO_PI, Gaussian


class Estimate(NamedTuple):
    """A value in nats and its standard error."""

    value: float
    error: float


def elbo(q: Gaussian, target: Target, rng: np.random.Generator | None = None, n: int = 4000) -> Estimate:
    """E_q [log density - log q], a lower bound on the log normaliser; in closed form where the target is Gaussian.

    Otherwise the mean over n/2 antithetic pairs of draws, with the entropy of q exact; `rng` defaults to seed 0.
    """
    if target.gaussian is not None:
        mean, precision = target.gaussian.mean, target.gaussian.precision
        height = float(log_densities(target, mean[None, :])[0])
        log_normaliser = height + 0.5 * (q.dim * LOG_TWO_PI - float(np.linalg.slogdet(precision)[1]))
        return Estimate(log_normaliser - kl_from_precision(q, mean, precision), 0.0)
    standard = (rng or np.random.default_rng(0)).standard_normal((max(n // 2, 2), q.dim))
    above, below = (log_densities(target, q.colour(sign * standard)) for sign in (1.0, -1.0))
    pairs = 0.5 * (above + below)
    if not np.all(np.isfinite(pairs)):
        return Estimate(-np.inf, np.nan)
    return Estimate(float(pairs.mean()) + q.entropy, float(pairs.std(ddof=1) / np.sqrt(len(pairs))))


def kl_reverse(q: Gaussian, target: Target, rng: np.random.Generator | None = None, n: int = 4000) -> Estimate:
    """KL(q || p); NaN where the log normaliser is not known."""
    if target.gaussian is not None:
        return Estimate(kl_from_precision(q, target.gaussian.mean, target.gaussian.precision), 0.0)
    if target.truth is None:
        return Estimate(np.nan, np.nan)
    bound = elbo(q, target, rng, n)
    error = float(np.hypot(bound.error, target.truth.log_normaliser_error))
    return Estimate(target.truth.log_normaliser - bound.value, error)


def cross_entropy(q: Gaussian, moments: Moments) -> float:
    """-E_p log q, which depends on p through its first two moments alone."""
    shift = float(np.sum(q.standardise(moments.mean) ** 2))
    if q.diagonal:
        spread = float(np.sum(moments.variance / q.variance))
    else:
        half = q.standardise(q.mean + moments.covariance)
        spread = float(np.trace(q.standardise(q.mean + half.T)))
    return 0.5 * (spread + shift + q.dim * LOG_TWO_PI) + q.half_log_determinant


def kl_forward(q: Gaussian, truth: Truth) -> Estimate:
    """KL(p || q) from the truth's moments and entropy; NaN where they are not known."""
    return Estimate(cross_entropy(q, truth.moments) - truth.entropy, truth.entropy_error)


def eubo(q: Gaussian, truth: Truth) -> Estimate:
    """E_p [log density - log q], an upper bound on the log normaliser; NaN where the truth is not known."""
    divergence = kl_forward(q, truth)
    return Estimate(
        truth.log_normaliser + divergence.value, float(np.hypot(divergence.error, truth.log_normaliser_error))
    )
