"""The Pareto k of p / q, for every approximation that has a density (Vehtari et al. 2024)."""

import math

import numpy as np

from harness.metrics.divergences import WORK
from targets.protocols import Approximation
from targets.target import Target
from variational.evaluation import log_densities
from variational.psis import smooth

MOST_DRAWS, LEAST_DRAWS = 4000, 400


def k_hat(approximation: Approximation, target: Target, seed: int) -> float:
    """From up to 4000 draws of it; NaN for draws, which have no density. No truth is needed: a user could do it."""
    n = int(np.clip(WORK / target.data.size, LEAST_DRAWS, MOST_DRAWS))
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.all(np.isfinite(approximation.covariance)) or getattr(approximation, "values", None) is not None:
            return math.nan
        draws = approximation.sample(np.random.default_rng([seed, target.dim, 1]), n)
        log_q = approximation.log_density(draws)
        if log_q is None:
            return math.nan
        ratios = log_densities(target, draws) - log_q
        ratios[~np.isfinite(ratios)] = -np.inf
        return smooth(ratios)[1]
