"""ELBO, EUBO and both Kullback-Leibler divergences of a density q from a target p, with their noise.

Expectations are exact where q and p are Gaussian, without asking whether they are: the log density of the Gaussian with
the same moments serves as a control variate: its expectation follows from the moments alone, and what is left is zero.
"""

import math
from dataclasses import dataclass

import numpy as np

from harness.metrics.normal import Normal
from harness.metrics.reference import Reference
from targets.kernel import Matrix, Vector
from targets.protocols import Approximation
from targets.target import Target
from targets.truth import Moments
from variational.evaluation import log_densities

WORK = 20_000_000  # entries of the data that the evaluations behind one estimate may touch
MOST_POINTS, LEAST_POINTS = 4000, 256
REFERENCE_POINTS = 2000
HALF_WIDTH = 1.96  # standard errors in a 95 % half-width
GRID_POINTS, GRID_SD = 4001, 12.0


@dataclass(frozen=True)
class Estimate:
    """An expectation and its standard error."""

    value: float
    error: float


def elbo(q: Approximation, target: Target, reference: Reference, draws: Matrix) -> Estimate:
    """E_q [log p~ - log q]: by the trapezoidal rule in one dimension, otherwise from draws (n, dim) of q."""
    if target.dim == 1:
        by_grid = _elbo_on_grid(q, target)
        if by_grid is not None:
            return by_grid
    points = draws[: int(np.clip(WORK / target.data.size, LEAST_POINTS, MOST_POINTS))]
    log_p, log_q = log_densities(target, points), _log_density(q, points)
    with np.errstate(invalid="ignore"):
        values = log_p - log_q
    own = Normal.of(q.mean, q.covariance)
    if own is None or reference.normal is None:
        return controlled(values, None, 0.0)
    control = reference.normal.log_density(points) - own.log_density(points)
    expected = reference.normal.expected_log_density(q.mean, q.covariance) + own.entropy
    return controlled(values, control, expected)


def _log_density(q: Approximation, points: Matrix) -> Vector:
    values = q.log_density(points)
    if values is None:
        raise TypeError("an approximation without a density has no divergences")
    return values


def controlled(values: Vector, control: Vector | None, expected: float) -> Estimate:
    """The mean of values (n,), corrected by a control variate (n,) of known expectation, fitted by least squares."""
    n = len(values)
    if not np.all(np.isfinite(values)):
        return Estimate(math.nan if np.any(np.isnan(values) | (values == np.inf)) else -math.inf, math.nan)
    mean = float(values.mean())
    if control is not None:
        offset = control - control.mean()
        power = float(offset @ offset)
        if power > 1e-18 * n:
            slope = float(offset @ (values - mean)) / power
            values = values - slope * offset
            mean -= slope * (float(control.mean()) - expected)
    return Estimate(mean, float(values.std()) / math.sqrt(n))


def _elbo_on_grid(q: Approximation, target: Target) -> Estimate | None:
    """The same integral on an even grid, exact to rounding for smooth q; None where that misses some of q's mass."""
    centre, sd = float(q.mean[0]), math.sqrt(float(q.covariance[0, 0]))
    grid = centre + sd * np.linspace(-GRID_SD, GRID_SD, GRID_POINTS)
    log_q = _log_density(q, grid[:, None])
    weight = np.exp(log_q) * (grid[1] - grid[0])
    if not abs(weight.sum() - 1) < 1e-8:
        return None
    held = weight > 0
    values = log_densities(target, grid[held][:, None]) - log_q[held]
    return Estimate(float(weight[held] @ values), 0.0)


def expected_log_q(q: Approximation, moments: Moments, reference: Reference) -> Estimate:
    """E_p log q, and its standard error from that of the reference."""
    own = Normal.of(q.mean, q.covariance)
    draws = reference.draws
    if own is not None and reference.normal is not None:
        exact = own.expected_log_density(moments.mean, moments.covariance)
        error = _moment_error(own, moments)
        if draws is None:
            # Without draws only a Gaussian q can be told: its density at any points equals that of its moments.
            points = moments.mean + np.outer([-2.0, -1.0, 0.0, 1.0, 2.0], moments.sd)
            gaussian = np.allclose(_log_density(q, points), own.log_density(points), rtol=1e-8, atol=1e-8)
            return Estimate(exact if gaussian else math.nan, error)
        points = draws[:REFERENCE_POINTS]
        rest = controlled(_log_density(q, points) - own.log_density(points), None, 0.0)
        return Estimate(exact + rest.value, math.hypot(error, rest.error))
    if draws is None:
        return Estimate(math.nan, 0.0)
    return controlled(_log_density(q, draws), None, 0.0)


def _moment_error(q: Normal, moments: Moments) -> float:
    """Standard error of E_p log q from those of the moments, as if those of different coordinates were independent."""
    if not np.any(moments.mean_error) and not np.any(moments.variance_error):
        return 0.0
    slope = q.precision @ (moments.mean - q.mean)
    half = 0.5 * np.diagonal(q.precision) * moments.variance_error
    return math.sqrt(float(np.sum((slope * moments.mean_error) ** 2 + half**2)))


def divergences(q: Approximation, target: Target, reference: Reference, draws: Matrix) -> dict[str, float]:
    """elbo, eubo, kl_reverse and kl_forward with their floors, from draws (n, dim) of q.

    The sampling floor of what is estimated from draws of q is the 95 % half-width of the estimate: independent draws
    from the truth itself would show none, and below it an estimate cannot be told from zero.
    Divergences are cut at zero. An EUBO is shown where averages over p are exact or over draws from p; those of a truth
    by importance sampling are self-normalised, and bound nothing.
    """
    truth = reference.truth
    if truth is None:
        return {}
    lower = elbo(q, target, reference, draws)
    log_q = expected_log_q(q, truth.moments, reference)
    mean_log_p, mean_log_p_error = reference.mean_log_density
    upper = Estimate(mean_log_p - log_q.value, math.hypot(mean_log_p_error, log_q.error))
    forward, forward_error = -truth.entropy - log_q.value, math.hypot(truth.entropy_error, log_q.error)
    if math.isnan(forward):
        forward = upper.value - truth.log_normaliser
        forward_error = math.hypot(upper.error, truth.log_normaliser_error)
    noise = HALF_WIDTH * lower.error
    return {
        "elbo": lower.value,
        "elbo_reference_floor": 0.0,
        "elbo_sampling_floor": noise,
        "eubo": upper.value if truth.certificate.bounds_above else math.nan,
        "eubo_reference_floor": upper.error,
        "eubo_sampling_floor": 0.0,
        "kl_reverse": _cut(truth.log_normaliser - lower.value),
        "kl_reverse_reference_floor": truth.log_normaliser_error,
        "kl_reverse_sampling_floor": noise,
        "kl_forward": _cut(forward),
        "kl_forward_reference_floor": forward_error,
        "kl_forward_sampling_floor": 0.0,
    }


def _cut(value: float) -> float:
    return value if math.isnan(value) else max(0.0, value)
