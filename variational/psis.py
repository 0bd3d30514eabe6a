"""Pareto-smoothed importance weights (Vehtari et al. 2024), and what they say of an approximation."""

import numpy as np

from targets.kernel import Vector
from targets.protocols import Approximation
from targets.target import Target
from variational.evaluation import log_densities

FLOOR = -700.0  # of log ratios below the largest: the smoother takes differences, which minus infinity does not have
ROUNDING = 1e-9


def smooth(log_ratios: Vector) -> tuple[Vector, float]:
    """Normalised smoothed weights (n,) and the shape k-hat of their tail.

    It is infinite where no ratio is finite, and zero where the largest ratios are all the same: there is no tail.
    """
    from arviz_stats.base import array_stats

    n = len(log_ratios)
    top = float(log_ratios.max())
    if not np.isfinite(top):
        return np.full(n, 1 / n), np.inf
    floored = np.maximum(log_ratios - top, FLOOR)
    tail = int(np.ceil(min(0.2 * n, 3 * np.sqrt(n))))
    if np.partition(floored, n - tail)[n - tail] > -ROUNDING:
        weights = np.exp(floored)
        return weights / weights.sum(), 0.0
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
