"""Kernels of the hidden Markov posteriors; `targets.hidden_markov` states the model.

Data: of Gaussian emissions one row, of categorical ones a row for each symbol, 1 where it was emitted; columns are
times. Coordinates: log_g_start (K), log_g (K, K) row by row, and mu (K), log_sd (K), or log_g_emission (K, symbols).
"""

import math

import numpy as np

from targets.conjugate.forward_backward import smoothed, weighed
from targets.kernel import density, helper, kernel

CONCENTRATION = 1.0  # of all Dirichlet priors
MEAN, MEAN_PRECISION = 60.0, 0.25  # minutes; of the normal-gamma prior
DEGREES, SCALE = 4.0, 400.0

_LOG_2PI = math.log(2.0 * math.pi)
_ROW = math.lgamma(CONCENTRATION)  # of each log gamma variable
_GAUSSIAN = (  # of each state's mean and scale, with the Jacobian of the precision exp(-2 log_sd), which is twice it
    0.5 * DEGREES * math.log(0.5 * SCALE)
    - math.lgamma(0.5 * DEGREES)
    + math.log(2.0)
    + 0.5 * (math.log(MEAN_PRECISION) - _LOG_2PI)
)


@helper
def _logs(x, at, rows):  # type: ignore[no-untyped-def]
    """Logarithms of the rows (r, m) of probabilities whose log gamma variables begin at `at`; returns their log prior."""
    value = 0.0
    for i in range(rows.shape[0]):
        first = at + i * rows.shape[1]
        top, total = -math.inf, 0.0
        for j in range(rows.shape[1]):
            top = max(top, x[first + j])
            value += CONCENTRATION * x[first + j] - _ROW
        for j in range(rows.shape[1]):
            total += math.exp(x[first + j] - top)
        for j in range(rows.shape[1]):
            rows[i, j] = x[first + j] - top - math.log(total)
        value -= total * math.exp(top)
    return value


@helper
def _slopes(x, at, rows, counts, gradient):  # type: ignore[no-untyped-def]
    """The gradient by these log gamma variables, given the expected counts (r, m)."""
    for i in range(rows.shape[0]):
        first, total = at + i * rows.shape[1], 0.0
        for j in range(rows.shape[1]):
            total += counts[i, j]
        for j in range(rows.shape[1]):
            gradient[first + j] = CONCENTRATION - math.exp(x[first + j]) + counts[i, j] - total * math.exp(rows[i, j])


@helper
def _states(dim, symbols):  # type: ignore[no-untyped-def]
    """K, where dim = K (1 + K + symbols); a mean and a scale count as two."""
    half = 0.5 * (1.0 + symbols)
    return int(math.sqrt(dim + half * half) - half + 0.5)


@helper
def _ends(n):  # type: ignore[no-untyped-def]
    """One sequence, or none."""
    ends = np.empty(min(n, 1), np.int64)
    for s in range(ends.shape[0]):
        ends[s] = n
    return ends


@helper
def _normals(x, at, data, distances):  # type: ignore[no-untyped-def]
    """Distances (n, K), and the sum of the largest log densities plus the log prior of the emissions."""
    n, states = distances.shape
    value = 0.0
    for k in range(states):
        mu, log_sd = x[at + k], x[at + states + k]
        inverse = math.exp(-log_sd)
        off = MEAN_PRECISION * (mu - MEAN) ** 2
        value += _GAUSSIAN - (DEGREES + 1.0) * log_sd - 0.5 * inverse * inverse * (SCALE + off)
        constant = -0.5 * _LOG_2PI - log_sd
        for t in range(n):
            z = (data[0, t] - mu) * inverse
            distances[t, k] = 0.5 * z * z - constant
    for t in range(n):
        least = distances[t, 0]
        for k in range(1, states):
            least = min(least, distances[t, k])
        for k in range(states):
            distances[t, k] -= least
        value -= least
    return value


@helper
def _symbols(logs, data, distances):  # type: ignore[no-untyped-def]
    """Distances (n, K) of emissions whose log probabilities are `logs` (K, symbols); the sum of the largest."""
    value, states = 0.0, logs.shape[0]
    for t in range(distances.shape[0]):
        for s in range(logs.shape[1]):
            if data[s, t] > 0.5:
                top = logs[0, s]
                for k in range(1, states):
                    top = max(top, logs[k, s])
                for k in range(states):
                    distances[t, k] = top - logs[k, s]
                value += top
    return value


@kernel
def gaussian(x, gradient, data):  # type: ignore[no-untyped-def]
    """Any number of states, from `x`; see the module."""
    n, states = data.shape[1], _states(x.shape[0], 2)
    at = states + states * states
    start, transitions = np.empty((1, states)), np.empty((states, states))
    distances, shares = np.empty((n, states)), np.empty((n, states))
    starts, pairs = np.empty((1, states)), np.empty((states, states))
    value = _logs(x, 0, start) + _logs(x, states, transitions) + _normals(x, at, data, distances)
    value += smoothed(_ends(n), start[0], transitions, distances, shares, starts[0], pairs)
    _slopes(x, 0, start, starts, gradient)
    _slopes(x, states, transitions, pairs, gradient)
    for k in range(states):
        mu, log_sd = x[at + k], x[at + states + k]
        inverse = math.exp(-log_sd)
        sum_, squares = 0.0, 0.0
        for t in range(n):
            z = (data[0, t] - mu) * inverse
            sum_ += shares[t, k] * z
            squares += shares[t, k] * (z * z - 1.0)
        precision = inverse * inverse
        gradient[at + k] = sum_ * inverse - precision * MEAN_PRECISION * (mu - MEAN)
        squares += precision * (SCALE + MEAN_PRECISION * (mu - MEAN) ** 2)
        gradient[at + states + k] = squares - DEGREES - 1.0
    return value


@density
def gaussian_density(x, data):  # type: ignore[no-untyped-def]
    """As `gaussian`, without gradient."""
    n, states = data.shape[1], _states(x.shape[0], 2)
    start, transitions, distances = np.empty((1, states)), np.empty((states, states)), np.empty((n, states))
    value = _logs(x, 0, start) + _logs(x, states, transitions)
    value += _normals(x, states + states * states, data, distances)
    return value + weighed(_ends(n), start[0], transitions, distances)


@kernel
def categorical(x, gradient, data):  # type: ignore[no-untyped-def]
    """Any number of states, from `x`; see the module."""
    symbols, n = data.shape
    states = _states(x.shape[0], symbols)
    at = states + states * states
    start, transitions, emissions = np.empty((1, states)), np.empty((states, states)), np.empty((states, symbols))
    distances, shares = np.empty((n, states)), np.empty((n, states))
    starts, pairs, counts = np.empty((1, states)), np.empty((states, states)), np.zeros((states, symbols))
    value = _logs(x, 0, start) + _logs(x, states, transitions) + _logs(x, at, emissions)
    value += _symbols(emissions, data, distances)
    value += smoothed(_ends(n), start[0], transitions, distances, shares, starts[0], pairs)
    for t in range(n):
        for s in range(symbols):
            for k in range(states):
                counts[k, s] += data[s, t] * shares[t, k]
    _slopes(x, 0, start, starts, gradient)
    _slopes(x, states, transitions, pairs, gradient)
    _slopes(x, at, emissions, counts, gradient)
    return value


@density
def categorical_density(x, data):  # type: ignore[no-untyped-def]
    """As `categorical`, without gradient."""
    symbols, n = data.shape
    states = _states(x.shape[0], symbols)
    start, transitions, emissions = np.empty((1, states)), np.empty((states, states)), np.empty((states, symbols))
    distances = np.empty((n, states))
    value = _logs(x, 0, start) + _logs(x, states, transitions) + _logs(x, states + states * states, emissions)
    return value + _symbols(emissions, data, distances) + weighed(_ends(n), start[0], transitions, distances)
