"""Score-function estimators: unbiased, from values of the log joint alone.

With the signal s(z) = log joint(z) - log q(z), the gradient of the ELBO is E_q [s(z) grad log q(z)] (Williams 1992;
Ranganath, Gerrish and Blei 2014). What is subtracted from the signal without looking at z costs no bias.
"""

# ruff: noqa: ARG001  (all estimators have the one signature)

import numpy as np

from targets.options import require
from variational.discrete.estimator import DENSITIES, Estimator, estimate, race

FORGETS = 0.01  # weight of the newest signal in a running mean, once there are a hundred


def _samples(name: str, samples: int, least: int = 1) -> None:
    require(samples >= least, f"{name}: samples={samples} is not accepted; it takes {least} or more")


@estimate
def plain(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """The mean over draws of s(z) (indicators - p)."""
    sites, categories = p.shape
    times, x = space[0], space[1]
    total = 0.0
    for _ in range(samples):
        log_q = race(rng, p, log_p, times, x)
        signal = density(x, data) - log_q
        spent[DENSITIES] += 1
        total += signal
        for i in range(sites):
            for k in range(categories):
                gradient[i, k] += signal / samples * (x[i * categories + k] - p[i, k])
    return total / samples


def reinforce(*, samples: int = 2) -> Estimator:
    """REINFORCE without control variates, the mean of `samples` draws."""
    _samples("reinforce", samples)
    return Estimator(plain, samples)


@estimate
def running_mean(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """As `plain` with s less the mean of earlier signals; control holds that mean, and the number of estimates."""
    sites, categories = p.shape
    times, x = space[0], space[1]
    total = 0.0
    for _ in range(samples):
        log_q = race(rng, p, log_p, times, x)
        signal = density(x, data) - log_q
        spent[DENSITIES] += 1
        total += signal
        for i in range(sites):
            for k in range(categories):
                gradient[i, k] += (signal - control[0]) / samples * (x[i * categories + k] - p[i, k])
    control[1] += 1.0
    control[0] += max(1.0 / control[1], FORGETS) * (total / samples - control[0])
    return total / samples


def reinforce_baseline(*, samples: int = 2) -> Estimator:
    """REINFORCE with a running mean of the signal as its baseline."""
    _samples("reinforce_baseline", samples)
    return Estimator(running_mean, samples, control=lambda _, __: np.zeros(2))


@estimate
def leave_one_out(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """As `plain` with each s less the mean of the others' (Kool, van Hoof and Welling 2019).

    That is sum (s - mean s) indicators / (samples - 1): the scores' means p cancel.
    """
    sites, categories = p.shape
    times, x, weighted, chosen = space[0], space[1], space[2], space[3]
    total = 0.0
    for j in range(sites * categories):
        weighted[j], chosen[j] = 0.0, 0.0
    for _ in range(samples):
        log_q = race(rng, p, log_p, times, x)
        signal = density(x, data) - log_q
        spent[DENSITIES] += 1
        total += signal
        for j in range(sites * categories):
            weighted[j] += signal * x[j]
            chosen[j] += x[j]
    for i in range(sites):
        for k in range(categories):
            j = i * categories + k
            gradient[i, k] += (weighted[j] - total / samples * chosen[j]) / (samples - 1)
    return total / samples


def rloo(*, samples: int = 2) -> Estimator:
    """REINFORCE with leave-one-out baselines, of two draws or more."""
    _samples("rloo", samples, 2)
    return Estimator(leave_one_out, samples)


@estimate
def one_site_at_a_time(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """The expectation over each site exactly, given a draw of the others."""
    sites, categories = p.shape
    times, x, heights = space[0], space[1], space[2]
    total = 0.0
    for _ in range(samples):
        log_q = race(rng, p, log_p, times, x)
        here = density(x, data)
        spent[DENSITIES] += 1
        total += here - log_q
        for i in range(sites):
            drawn, mean = 0, 0.0
            for k in range(categories):
                if x[i * categories + k] == 1.0:
                    drawn = k
            x[i * categories + drawn] = 0.0
            for k in range(categories):
                heights[k] = here - log_p[i, k]
                if k != drawn:
                    x[i * categories + k] = 1.0
                    heights[k] = density(x, data) - log_p[i, k]
                    spent[DENSITIES] += 1
                    x[i * categories + k] = 0.0
                mean += p[i, k] * heights[k]
            x[i * categories + drawn] = 1.0
            for k in range(categories):
                gradient[i, k] += p[i, k] * (heights[k] - mean) / samples
    return total / samples


def local_expectation(*, samples: int = 1) -> Estimator:
    """Rao-Blackwellised: local expectation gradients (Titsias and Lazaro-Gredilla 2015).

    A draw costs sites * (categories - 1) + 1 densities.
    """
    _samples("local_expectation", samples)
    return Estimator(one_site_at_a_time, samples)
