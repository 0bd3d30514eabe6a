"""Bounds on the log normaliser, below and above, and both divergences, for approximations that have a density.

Each value comes with its standard error, which is zero where a closed form is used; what cannot be told is NaN.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from targets.kernel import Vector
from targets.options import require
from targets.protocols import Approximation
from targets.target import Target
from targets.truth import Moments, Truth
from variational.closed_form import kl_from_precision
from variational.evaluation import log_densities
from variational.gaussian import LOG_TWO_PI, Gaussian


class Estimate(NamedTuple):
    """A value in nats and its standard error."""

    value: float
    error: float


UNKNOWN = Estimate(float("nan"), float("nan"))


def elbo(q: Approximation, target: Target, rng: np.random.Generator | None = None, n: int = 4000) -> Estimate:
    """E_q [log density - log q], a lower bound on the log normaliser; NaN for a q without a density.

    In closed form between Gaussians. For a Gaussian q elsewhere the mean over n/2 antithetic pairs of draws, with the
    entropy of q exact; otherwise over n draws. `rng` defaults to seed 0.
    """
    rng = rng or np.random.default_rng(0)
    if not isinstance(q, Gaussian):
        log_weights = _log_weights(q, target, rng, n)
        return UNKNOWN if log_weights is None else _average(log_weights)
    if target.gaussian is not None:
        mean, precision = target.gaussian.mean, target.gaussian.precision
        height = float(log_densities(target, mean[None, :])[0])
        log_normaliser = height + 0.5 * (q.dim * LOG_TWO_PI - float(np.linalg.slogdet(precision)[1]))
        return Estimate(log_normaliser - kl_from_precision(q, mean, precision), 0.0)
    standard = rng.standard_normal((max(n // 2, 2), q.dim))
    above, below = (log_densities(target, q.colour(sign * standard)) for sign in (1.0, -1.0))
    found = _average(0.5 * (above + below))
    return Estimate(found.value + q.entropy, found.error)


def importance_weighted_bound(
    q: Approximation, target: Target, rng: np.random.Generator | None = None, n: int = 4000, particles: int = 10
) -> Estimate:
    """E log of the mean of `particles` weights density / q (Burda, Grosse and Salakhutdinov 2016, equation 8).

    A lower bound on the log normaliser that grows with `particles`, from the ELBO at one of them; NaN for a q without a
    density. `n` draws make n / particles averages; `rng` defaults to seed 0.
    """
    require(particles >= 1, f"importance_weighted_bound: particles={particles} is not accepted; it takes 1 or more")
    groups = max(n // particles, 2)
    log_weights = _log_weights(q, target, rng or np.random.default_rng(0), groups * particles)
    if log_weights is None:
        return UNKNOWN
    return _average(logsumexp(log_weights.reshape(groups, particles), axis=1) - np.log(particles))


def _log_weights(q: Approximation, target: Target, rng: np.random.Generator, n: int) -> Vector | None:
    """(n,) log density - log q at draws of q; None where q has no density."""
    points = q.sample(rng, n)
    log_q = q.log_density(points)
    return None if log_q is None else log_densities(target, points) - log_q


def _average(values: Vector) -> Estimate:
    if not np.all(np.isfinite(values)):
        return Estimate(-np.inf, np.nan)
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def kl_reverse(q: Approximation, target: Target, rng: np.random.Generator | None = None, n: int = 4000) -> Estimate:
    """KL(q || p); NaN where the log normaliser is not known."""
    if target.gaussian is not None and isinstance(q, Gaussian):
        return Estimate(kl_from_precision(q, target.gaussian.mean, target.gaussian.precision), 0.0)
    if target.truth is None:
        return UNKNOWN
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


def kl_forward(q: Approximation, truth: Truth, n: int = 4000) -> Estimate:
    """KL(p || q) from the truth's entropy, and its moments (a Gaussian q) or n of its draws; NaN where unknown."""
    if isinstance(q, Gaussian):
        return Estimate(cross_entropy(q, truth.moments) - truth.entropy, truth.entropy_error)
    draws = truth.draws(n, 0)
    log_q = None if draws is None else q.log_density(draws)
    if log_q is None:
        return UNKNOWN
    found = _average(-log_q)
    return Estimate(found.value - truth.entropy, float(np.hypot(found.error, truth.entropy_error)))


def eubo(q: Approximation, truth: Truth, n: int = 4000) -> Estimate:
    """E_p [log density - log q], an upper bound on the log normaliser; NaN where it cannot be told.

    Expectations over p must be exact, or over draws that have p as their distribution. A truth that is itself made of
    weighted draws has none: self-normalised weights bias the average, in no known direction, so that it bounds nothing.
    """
    if not truth.certificate.bounds_above:
        return UNKNOWN
    divergence = kl_forward(q, truth, n)
    return Estimate(
        truth.log_normaliser + divergence.value, float(np.hypot(divergence.error, truth.log_normaliser_error))
    )
