"""Pareto-smoothed importance weights (Vehtari et al. 2024), and what they say of an approximation."""

import numpy as np

from targets.kernel import Vector
from targets.protocols import Approximation
from targets.target import Target
from variational.evaluation import log_densities
from variational.gaussian import Gaussian

FLOOR = -700.0  # of log ratios below the largest: the smoother takes differences, which minus infinity does not have
SMALLEST = 1e-290  # excess over the threshold, beside the largest weight, that a shape can be found from
ROUNDING = 1e-9
FEWEST = 5  # ratios in a tail whose shape can be found
EVEN = 0.01  # nats from the mean weight to the largest, below which nothing can be wrong with an average


def smooth(log_ratios: Vector) -> tuple[Vector, float]:
    """Normalised smoothed weights (n,) and the shape k-hat of their tail.

    It is infinite where no ratio is finite, and where the lower quarter of the tail is as nothing beside its largest:
    such shapes exceed a hundred. It is NaN of fewer than 21 ratios, whose tail has no shape to be found, and zero where
    there is no tail: where the largest ratios are all the same, or no weight is more than a hundredth above their mean.
    A tail has no scale: of a fit that is right to a thousandth the ratios' last digits have one too, of any shape, and
    it tells of nothing.
    """
    from arviz_stats.base import array_stats

    n = len(log_ratios)
    top = float(log_ratios.max())
    if not np.isfinite(top):
        return np.full(n, 1 / n), np.inf
    floored = np.maximum(log_ratios - top, FLOOR)
    tail = int(np.ceil(min(0.2 * n, 3 * np.sqrt(n))))
    weights = np.exp(floored)
    plain = weights / weights.sum()
    if -np.log(weights.mean()) < EVEN:
        return plain, 0.0
    if tail < FEWEST:
        return plain, np.nan
    places = [n - tail - 1, n - tail, n - tail + tail // 4]
    beyond, least, quartile = np.partition(floored, places)[places]
    if least > -ROUNDING:
        return plain, 0.0
    if np.exp(quartile) - np.exp(beyond) < SMALLEST:
        return plain, np.inf
    log_weights, k_hat = array_stats.psislw(-floored)  # it takes log likelihoods left out, and so minus the log ratios
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum()), float(k_hat)


def k_hat(q: Approximation, target: Target, rng: np.random.Generator, n: int = 4000) -> float:
    """The tail shape of p / q over n draws of q, NaN for a q without a density.

    Below `threshold(n)` q can be corrected by importance sampling.
    """
    draws = q.sample(rng, n)
    log_q = q.log_density(draws)
    return float("nan") if log_q is None else smooth(log_densities(target, draws) - log_q)[1]


def threshold(n: int) -> float:
    """The k-hat beyond which n draws are too few (Vehtari et al. 2024, section 3.2.4): min(1 - 1 / log10 n, 0.7)."""
    return min(1 - 1 / np.log10(n), 0.7) if n > 10 else 0.0


def tail_shape(q: Gaussian, p: Gaussian) -> float:
    """The shape k of the tail of p / q over draws of q, both Gaussian, known exactly.

    In q's standard coordinates log p / q = z^T (I - A) z / 2 + b^T z + c, with A the precision of p. Let l be the least
    eigenvalue of A, q's variance over p's in the direction where q is narrowest. If l < 1, then P(p / q > t) falls as
    t^(-1 / (1 - l)) but for powers of log t: k = 1 - l. If l = 1 and the means differ there, the ratio is log-normal:
    k = 0. Otherwise it is bounded, and P(p / q > top - e) falls as e^(m / 2), with m the number of directions in which
    q is wider: k = -2 / m. Where p = q there is no tail, and k is zero as in `smooth`.
    """
    root = np.diag(q.factor) if q.diagonal else q.factor
    whitened = (p.standardise(p.mean + root.T)).T  # p's coordinates of q's standard ones
    values, vectors = np.linalg.eigh(whitened.T @ whitened)
    slope = vectors.T @ (whitened.T @ p.standardise(q.mean)[0])
    level = np.abs(values - 1) < ROUNDING
    if values[0] < 1 - ROUNDING:
        return float(1 - values[0])
    if np.any(np.abs(slope[level]) > ROUNDING):
        return 0.0
    wider = int(np.sum(~level))
    return -2.0 / wider if wider else 0.0
