"""Moments of long runs of several chains, each with its standard error."""

import math

import numpy as np

from targets.truth import Moments

Permutations = list[np.ndarray]


def moments_with_errors(draws: np.ndarray, relabel: Permutations) -> tuple[Moments, dict[str, float]]:
    """Moments of draws (chains, n, k) averaged over relabellings, and the worst ESS and R-hat over the coordinates."""
    from arviz_stats.base.array import array_stats

    k = draws.shape[2]
    flat = draws.reshape(-1, k)
    columns = np.ascontiguousarray(draws.transpose(2, 0, 1))
    plain = flat.mean(axis=0)
    mean = np.mean([plain[order] for order in relabel], axis=0)
    centred = flat - plain
    covariance = centred.T @ centred / len(flat) + np.outer(plain, plain)  # about zero, to be averaged
    covariance = np.mean([covariance[np.ix_(order, order)] for order in relabel], axis=0) - np.outer(mean, mean)
    errors, spreads, ess = np.empty((3, k)), np.empty((3, k)), np.empty((3, k))
    for i in range(k):
        each = np.array([columns[order[i]] for order in relabel])
        for row, values in enumerate((each, (each - mean[i]) ** 2, each**2)):
            series = values.mean(axis=0)  # the statistic averaged over relabellings is as good, and mixes
            ess[row, i] = array_stats.ess(series, method="mean")
            errors[row, i] = series.std() / math.sqrt(ess[row, i])
            spreads[row, i] = values.var()
    moments = Moments(mean, covariance, spreads[2], spreads[1], *errors)
    r_hat = max(float(array_stats.rhat(columns[i], method="rank")) for i in range(k))
    return moments, {"ess_min": float(ess.min()), "r_hat_max": r_hat}
