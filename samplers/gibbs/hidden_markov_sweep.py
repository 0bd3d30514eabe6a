"""Compiled sweeps of a hidden Markov model: parameters given states, and all states of a sequence together given these.

States are drawn by forward filtering and backward sampling (Carter and Kohn 1994; Frühwirth-Schnatter 1994), on the
recursions of `targets.conjugate.forward_backward`. A sweep first draws the parameters, from counts and moments of the
states that the sweep before left; what it keeps of them is joined by their log likelihood, which filtering makes.
"""

import math

import numpy as np
from numba import void

from samplers.chain import RNG
from targets.conjugate.forward_backward import (
    BLOCK,
    INTEGERS,
    TENSOR,
    exponentials,
    fill_distances,
    forward,
    kind_of,
    log_forward,
)
from targets.kernel import DATA, MATRIX, VECTOR, helper, loop

_LOG_2PI = math.log(2.0 * math.pi)


@helper
def _draw_rows(rng, prior, counts, amounts, logs):  # type: ignore[no-untyped-def]
    """Dirichlet rows (r, m) given counts: their logarithms into `logs`, and log gamma variables into `amounts`.

    The sum of a row's gamma variables is not a matter of the data: it keeps its prior, and is drawn anew.

    A small shape is raised by one and the draw multiplied by a power of a uniform, in logarithms: never minus infinity.
    """
    for i in range(prior.shape[0]):
        top, total = -math.inf, 0.0
        for j in range(prior.shape[1]):
            shape = prior[i, j] + counts[i, j]
            if shape < 1.0:
                amounts[i, j] = math.log(rng.standard_gamma(shape + 1.0)) + math.log(1.0 - rng.random()) / shape
            else:
                amounts[i, j] = math.log(rng.standard_gamma(shape))
            top = max(top, amounts[i, j])
        for j in range(prior.shape[1]):
            total += math.exp(amounts[i, j] - top)
        for j in range(prior.shape[1]):
            logs[i, j] = amounts[i, j] - top - math.log(total)
        shape = 0.0
        for j in range(prior.shape[1]):
            shape += prior[i, j]
        sum_of_row = math.log(rng.standard_gamma(shape + 1.0)) + math.log(1.0 - rng.random()) / shape
        for j in range(prior.shape[1]):
            amounts[i, j] = logs[i, j] + sum_of_row


@helper
def _draw_gaussians(rng, prior, mean, scale, counts, sums, squares, means, factors, scratch):  # type: ignore[no-untyped-def]
    """Means and precisions of all states given moments about `means`, which are overwritten.

    prior (2,): mean_precision, degrees_of_freedom. The precision is F' F with F = factors[k] lower triangular, made of
    the lower factor C of the scale and Bartlett's L, in reverse order, so that F = L inverse(C) is lower (Murphy 2007,
    section 9). With factors (K, 1, d) features are independent.
    """
    d = means.shape[1]
    full = factors.shape[1] == d
    lower, bartlett, off, away = scratch
    for k in range(means.shape[0]):
        n = counts[k]
        kappa, degrees = prior[0] + n, prior[1] + n
        for a in range(d):
            off[a] = sums[k, a] / n if n > 0.0 else 0.0
            away[a] = means[k, a] + off[a] - mean[a]
        shrunk = prior[0] * n / kappa
        if not full:
            for a in range(d):
                rate = scale[0, a] + squares[k, 0, a] - n * off[a] * off[a] + shrunk * away[a] * away[a]
                factors[k, 0, a] = math.sqrt(2.0 * rng.standard_gamma(0.5 * degrees) / rate)
                means[k, a] = mean[a] + n / kappa * away[a]
                means[k, a] += rng.standard_normal() / (factors[k, 0, a] * math.sqrt(kappa))
            continue
        for a in range(d):
            for b in range(a + 1):
                value = scale[a, b] + squares[k, a, b] - n * off[a] * off[b] + shrunk * away[a] * away[b]
                for c in range(b):
                    value -= lower[a, c] * lower[b, c]
                lower[a, b] = math.sqrt(value) if a == b else value / lower[b, b]
        for a in range(d):
            for b in range(a):
                bartlett[a, b] = rng.standard_normal()
            bartlett[a, a] = math.sqrt(2.0 * rng.standard_gamma(0.5 * (degrees - (d - 1 - a))))
        for a in range(d):
            for s in range(a + 1):
                b = a - s
                value = bartlett[a, b]
                for c in range(b + 1, a + 1):
                    value -= factors[k, a, c] * lower[c, b]
                factors[k, a, b] = value / lower[b, b]
        for a in range(d):
            value = rng.standard_normal()
            for b in range(a):
                value -= factors[k, a, b] * off[b]
            off[a] = value / factors[k, a, a]
            means[k, a] = mean[a] + n / kappa * away[a] + off[a] / math.sqrt(kappa)


@helper
def _constants(factors, d, constants):  # type: ignore[no-untyped-def]
    """(K,) log densities at the means."""
    full = factors.shape[1] == d
    for k in range(factors.shape[0]):
        constants[k] = -0.5 * d * _LOG_2PI
        for a in range(d):
            constants[k] += math.log(factors[k, a if full else 0, a])


@helper
def _keep_rows(logs, row, at):  # type: ignore[no-untyped-def]
    """Probabilities (r, m) into a row from `at` on; returns where they end."""
    for i in range(logs.shape[0]):
        for j in range(logs.shape[1]):
            row[at] = math.exp(logs[i, j])
            at += 1
    return at


@helper
def _keep_amounts(amounts, row, at):  # type: ignore[no-untyped-def]
    """The same of the logarithms of gamma variables."""
    for i in range(amounts.shape[0]):
        for j in range(amounts.shape[1]):
            row[at] = amounts[i, j]
            at += 1
    return at


@helper
def _keep_gaussians(means, factors, inverse, row, at):  # type: ignore[no-untyped-def]
    """Means (K, d), and covariances (K, d, d) or variances (K, d)."""
    states, d = means.shape
    full = factors.shape[1] == d
    for k in range(states):
        for a in range(d):
            row[at] = means[k, a]
            at += 1
    for k in range(states):
        if not full:
            for a in range(d):
                row[at] = 1.0 / (factors[k, 0, a] * factors[k, 0, a])
                at += 1
            continue
        for b in range(d):
            for a in range(b, d):
                value = 1.0 if a == b else 0.0
                for c in range(b, a):
                    value -= factors[k, a, c] * inverse[c, b]
                inverse[a, b] = value / factors[k, a, a]
        for a in range(d):
            for b in range(d):
                value = 0.0
                for c in range(min(a, b) + 1):
                    value += inverse[a, c] * inverse[b, c]
                row[at] = value
                at += 1
    return at


@helper
def _picked(rng, weight):  # type: ignore[no-untyped-def]
    """An index, drawn with probabilities proportional to the weights (K,), which become their sums."""
    last = weight.shape[0] - 1
    for i in range(1, last + 1):
        weight[i] += weight[i - 1]
    left, drawn = rng.random() * weight[last], 0
    while drawn < last and weight[drawn] <= left:
        drawn += 1
    return drawn


@helper
def _draw_states(  # type: ignore[no-untyped-def]
    rng, ends, log_start, log_transitions, distances, relative, ahead, scale, scratch, path, starts, pairs
):
    """All states, into `path`, with counts of the first (1, K) and of neighbours (K, K); returns the log weight."""
    states = log_transitions.shape[0]
    start, transitions, transposed, log_transposed, weight = scratch
    for i in range(states):
        start[i], starts[0, i] = math.exp(log_start[0, i]), 0.0
        for j in range(states):
            transitions[i, j] = math.exp(log_transitions[i, j])
            transposed[j, i], log_transposed[j, i] = transitions[i, j], log_transitions[i, j]
            pairs[i, j] = 0.0
    kind = kind_of(transitions)
    if kind < 2:
        exponentials(distances, relative)
    value, begin = 0.0, 0
    for s in range(ends.shape[0]):
        end = ends[s]
        whole, scaled = math.nan, kind < 2
        if scaled:
            whole = forward(start, transposed, relative, begin, end, kind == 1, ahead, scale)
            scaled = whole > -math.inf
        if not scaled:
            whole = log_forward(log_start[0], log_transposed, distances, begin, end, ahead)
        value += whole
        after = -1
        for r in range(end - begin):
            t = end - 1 - r
            if scaled:
                for i in range(states):
                    weight[i] = ahead[t, i] if after < 0 else ahead[t, i] * transposed[after, i]
            else:
                top = -math.inf
                for i in range(states):
                    weight[i] = ahead[t, i] if after < 0 else ahead[t, i] + log_transposed[after, i]
                    top = max(top, weight[i])
                for i in range(states):
                    weight[i] = math.exp(weight[i] - top)
            drawn = _picked(rng, weight)
            if after >= 0:
                pairs[drawn, after] += 1.0
            path[t] = after = drawn
        starts[0, path[begin]] += 1.0
        begin = end
    return value


@helper
def _moments(data, path, means, counts, sums, squares):  # type: ignore[no-untyped-def]
    """How many rows are of each state, and their moments about `means`; squares are lower triangular."""
    d, n = data.shape
    full = squares.shape[1] == d
    for k in range(means.shape[0]):
        counts[k] = 0.0
        for a in range(d):
            sums[k, a] = 0.0
            for b in range(squares.shape[1]):
                squares[k, b, a] = 0.0
    for t in range(n):
        k = path[t]
        counts[k] += 1.0
        for a in range(d):
            off = data[a, t] - means[k, a]
            sums[k, a] += off
            if full:
                for b in range(a + 1):
                    squares[k, a, b] += off * (data[b, t] - means[k, b])
            else:
                squares[k, 0, a] += off * off


@loop(
    void(DATA, INTEGERS, RNG, VECTOR, VECTOR, MATRIX, MATRIX, MATRIX, MATRIX, MATRIX, INTEGERS, MATRIX, TENSOR, MATRIX)
)
def gaussian_sweeps(  # type: ignore[no-untyped-def]
    data, ends, rng, prior, mean, scale, start_prior, transition_prior, starts, pairs, path, means, factors, rows
):  # fmt: skip
    """A sweep for every row of `rows`, from and to `path`, whose counts are `starts` and `pairs`, and `means`.

    A row: start, transitions, means, covariances (or variances), the log likelihood, and the log gamma variables of
    start and transitions.
    """
    (d, n), states = data.shape, means.shape[0]
    counts, sums, squares = np.empty(states), np.empty((states, d)), np.empty((states, factors.shape[1], d))
    amounts, log_start = np.empty((1, states)), np.empty((1, states))
    pair_amounts, log_transitions = np.empty((states, states)), np.empty((states, states))
    square, constants = (states, states), np.empty(states)
    scratch = np.empty((d, d)), np.empty((d, d)), np.empty(d), np.empty(d)
    carried = np.empty(states), np.empty(square), np.empty(square), np.empty(square), np.empty(states)
    distances, relative, ahead = np.empty((n, states)), np.empty((n, states)), np.empty((n, states))
    height, scaled, top, times = np.empty((states, BLOCK)), np.empty(BLOCK), np.empty(BLOCK), np.empty(n)
    _moments(data, path, means, counts, sums, squares)
    for row in range(rows.shape[0]):
        _draw_rows(rng, start_prior, starts, amounts, log_start)
        _draw_rows(rng, transition_prior, pairs, pair_amounts, log_transitions)
        _draw_gaussians(rng, prior, mean, scale, counts, sums, squares, means, factors, scratch)
        _constants(factors, d, constants)
        value = fill_distances(data, means, factors, constants, height, scaled, top, distances)
        value += _draw_states(
            rng, ends, log_start, log_transitions, distances, relative, ahead, times, carried, path, starts, pairs
        )
        _moments(data, path, means, counts, sums, squares)
        at = _keep_rows(log_transitions, rows[row], _keep_rows(log_start, rows[row], 0))
        at = _keep_gaussians(means, factors, scratch[0], rows[row], at)
        rows[row, at] = value
        _keep_amounts(pair_amounts, rows[row], _keep_amounts(amounts, rows[row], at + 1))


@loop(void(INTEGERS, INTEGERS, RNG, MATRIX, MATRIX, MATRIX, MATRIX, MATRIX, INTEGERS, MATRIX))
def categorical_sweeps(  # type: ignore[no-untyped-def]
    data, ends, rng, emission_prior, start_prior, transition_prior, starts, pairs, path, rows
):
    """As `gaussian_sweeps`, with emissions of symbols in the place of means; their log gamma variables come last."""
    n, (states, symbols) = data.shape[0], emission_prior.shape
    counts, emission_amounts = np.empty((states, symbols)), np.empty((states, symbols))
    log_emissions, largest = np.empty((states, symbols)), np.empty(symbols)
    amounts, log_start = np.empty((1, states)), np.empty((1, states))
    pair_amounts, log_transitions = np.empty((states, states)), np.empty((states, states))
    square = (states, states)
    carried = np.empty(states), np.empty(square), np.empty(square), np.empty(square), np.empty(states)
    distances, relative, ahead = np.empty((n, states)), np.empty((n, states)), np.empty((n, states))
    times = np.empty(n)
    for row in range(rows.shape[0]):
        for k in range(states):
            for m in range(symbols):
                counts[k, m] = 0.0
        for t in range(n):
            counts[path[t], data[t]] += 1.0
        _draw_rows(rng, start_prior, starts, amounts, log_start)
        _draw_rows(rng, transition_prior, pairs, pair_amounts, log_transitions)
        _draw_rows(rng, emission_prior, counts, emission_amounts, log_emissions)
        for m in range(symbols):
            largest[m] = log_emissions[0, m]
            for k in range(1, states):
                largest[m] = max(largest[m], log_emissions[k, m])
        value = 0.0
        for t in range(n):
            m = data[t]
            value += largest[m]
            for k in range(states):
                distances[t, k] = largest[m] - log_emissions[k, m]
        value += _draw_states(
            rng, ends, log_start, log_transitions, distances, relative, ahead, times, carried, path, starts, pairs
        )
        at = _keep_rows(log_transitions, rows[row], _keep_rows(log_start, rows[row], 0))
        at = _keep_rows(log_emissions, rows[row], at)
        rows[row, at] = value
        at = _keep_amounts(pair_amounts, rows[row], _keep_amounts(amounts, rows[row], at + 1))
        _keep_amounts(emission_amounts, rows[row], at)
