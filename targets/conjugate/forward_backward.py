"""The recursions of hidden Markov models (Baum and Petrie 1966; Rabiner 1989), for sequences one after the other.

Emissions come as distances (n, K): how far the log density of each state lies below the largest of the K, at every time.
So each time has a state with weight one, and the recursions run on plain numbers, rescaled only where these get small:

- Where no transition has a weight below `DENSE`, that is exact to rounding: what underflows in a state is outweighed by
  what flows into it from the others a step later, by a factor of 1e-100 and more.
- Elsewhere (weights of zero, or near it) a state whose weight is small but not zero could matter later. A sequence in
  which there is one is gone through in logarithms, which takes some ten times longer and loses nothing.
"""

import math

import numpy as np
from numba import float64, int64, void

from targets.exponential import exp_minus
from targets.kernel import DATA, MATRIX, VECTOR, helper, loop

BLOCK = 256  # times whose exponentials are taken together
SMALL = 1e-100  # weights that sum to less are scaled to one
DENSE = 1e-100  # the least weight of a transition where nothing needs to be watched
WATCHED = 1e-250  # positive weights below are not trusted, where transitions have weights of zero or near it
STARTING = 1e-150  # first weights that sum to less are not trusted
LEAST = 1e-50  # the least positive weight of a transition with which products of trusted weights do not underflow

INTEGERS = int64[::1]
TENSOR = float64[:, :, ::1]


@helper
def kind_of(transitions):  # type: ignore[no-untyped-def]
    """0 where scaling is exact, 1 where weights are to be watched, 2 where only logarithms will do."""
    kind = 0
    for i in range(transitions.shape[0]):
        for j in range(transitions.shape[0]):
            weight = transitions[i, j]
            if weight < DENSE:
                kind = max(kind, 1)
            if 0.0 < weight < LEAST:
                kind = 2
    return kind


@helper
def exponentials(distances, relative):  # type: ignore[no-untyped-def]
    """relative = exp(-distances), (n, K) both."""
    flat, filled = distances.reshape(distances.size), relative.reshape(relative.size)
    for i in range(flat.shape[0]):
        filled[i] = exp_minus(flat[i])


@helper
def forward(start, transposed, relative, begin, end, watch, ahead, scale):  # type: ignore[no-untyped-def]
    """Weights of the states at each time with all before, up to `scale`, which multiplied them; returns the log weight.

    `transposed` (K, K) holds the transitions into state j in row j. NaN where a weight is not to be trusted.
    """
    states = start.shape[0]
    logs, weight = 0.0, 0.0
    for t in range(begin, end):
        weight = 0.0
        for j in range(states):
            into = 0.0
            if t == begin:
                into = start[j]
            else:
                for i in range(states):
                    into += ahead[t - 1, i] * transposed[j, i]
            into *= relative[t, j]
            ahead[t, j] = into
            weight += into
            if watch and 0.0 < into < WATCHED:
                return math.nan
        scale[t] = 1.0
        if not weight > SMALL:
            if not weight > (STARTING if t == begin else 0.0):
                return math.nan
            scale[t] = 1.0 / weight
            logs += math.log(weight)
            for j in range(states):
                ahead[t, j] *= scale[t]
            weight = 1.0
    return logs + math.log(weight)


@helper
def log_forward(log_start, log_transposed, distances, begin, end, ahead):  # type: ignore[no-untyped-def]
    """As `forward`, `ahead` in logarithms."""
    states = log_start.shape[0]
    for t in range(begin, end):
        for j in range(states):
            if t == begin:
                ahead[t, j] = log_start[j] - distances[t, j]
                continue
            top, total = -math.inf, 0.0
            for i in range(states):
                top = max(top, ahead[t - 1, i] + log_transposed[j, i])
            if top > -math.inf:
                for i in range(states):
                    total += math.exp(ahead[t - 1, i] + log_transposed[j, i] - top)
                top += math.log(total)
            ahead[t, j] = top - distances[t, j]
    top, total = -math.inf, 0.0
    for j in range(states):
        top = max(top, ahead[end - 1, j])
    if top > -math.inf:
        for j in range(states):
            total += math.exp(ahead[end - 1, j] - top)
        top += math.log(total)
    return top


@helper
def _backward(transitions, relative, begin, end, scale, shares, crossings, later, weight):  # type: ignore[no-untyped-def]
    """What is ahead becomes the shares of the states, given all; `crossings` get weights of pairs but for transitions."""
    states = transitions.shape[0]
    total = 0.0
    for j in range(states):
        total += shares[end - 1, j]
    for j in range(states):
        later[j] = 1.0 / total
    for s in range(end - begin):
        t = end - 1 - s
        for j in range(states):
            before = shares[t, j]
            shares[t, j] = before * later[j]
            # a state that cannot have been is left out: what follows from it may be any number
            weight[j] = relative[t, j] * later[j] * scale[t] if before > 0.0 else 0.0
        if t > begin:
            for i in range(states):
                sum_, here = 0.0, shares[t - 1, i]
                for j in range(states):
                    crossings[i, j] += here * weight[j]
                    sum_ += transitions[i, j] * weight[j]
                later[i] = sum_


@helper
def _log_backward(log_transitions, distances, begin, end, whole, shares, pairs, later, weight):  # type: ignore[no-untyped-def]
    """As `_backward`, in logarithms; `pairs` are whole."""
    states = log_transitions.shape[0]
    for j in range(states):
        later[j] = -whole
    for s in range(end - begin):
        t = end - 1 - s
        for j in range(states):
            weight[j] = later[j] - distances[t, j]
            shares[t, j] = math.exp(shares[t, j] + later[j]) if shares[t, j] > -math.inf else 0.0
        if t > begin:
            for i in range(states):
                top, total, here = -math.inf, 0.0, shares[t - 1, i]
                for j in range(states):
                    log_pair = log_transitions[i, j] + weight[j]
                    top = max(top, log_pair)
                    if here > -math.inf and log_pair > -math.inf:
                        pairs[i, j] += math.exp(here + log_pair)
                if top > -math.inf:
                    for j in range(states):
                        total += math.exp(log_transitions[i, j] + weight[j] - top)
                    top += math.log(total)
                later[i] = top


@helper
def smoothed(ends, log_start, log_transitions, distances, shares, starts, pairs):  # type: ignore[no-untyped-def]
    """See `smooth`."""
    n, states = distances.shape
    relative, scale = np.empty((n, states)), np.empty(n)
    start, transitions, transposed = np.exp(log_start), np.exp(log_transitions), np.empty((states, states))
    log_transposed, crossings = np.empty((states, states)), np.zeros((states, states))
    later, weight = np.empty(states), np.empty(states)
    for i in range(states):
        starts[i] = 0.0
        for j in range(states):
            transposed[j, i] = transitions[i, j]
            log_transposed[j, i] = log_transitions[i, j]
            pairs[i, j] = 0.0
    kind = kind_of(transitions)
    if kind < 2:
        exponentials(distances, relative)
    value, begin = 0.0, 0
    for s in range(ends.shape[0]):
        end = ends[s]
        whole = math.nan
        if kind < 2:
            whole = forward(start, transposed, relative, begin, end, kind == 1, shares, scale)
        if whole > -math.inf:
            _backward(transitions, relative, begin, end, scale, shares, crossings, later, weight)
        else:
            whole = log_forward(log_start, log_transposed, distances, begin, end, shares)
            if whole == -math.inf:
                return whole
            _log_backward(log_transitions, distances, begin, end, whole, shares, pairs, later, weight)
        for j in range(states):
            starts[j] += shares[begin, j]
        value += whole
        begin = end
    for i in range(states):
        for j in range(states):
            pairs[i, j] += transitions[i, j] * crossings[i, j]
    return value


@helper
def weighed(ends, log_start, log_transitions, distances):  # type: ignore[no-untyped-def]
    """What `smooth` returns, without the way back."""
    n, states = distances.shape
    relative, ahead, scale = np.empty((n, states)), np.empty((n, states)), np.empty(n)
    start, transitions = np.exp(log_start), np.exp(log_transitions)
    transposed, log_transposed = np.empty((states, states)), np.empty((states, states))
    for i in range(states):
        for j in range(states):
            transposed[j, i], log_transposed[j, i] = transitions[i, j], log_transitions[i, j]
    kind = kind_of(transitions)
    if kind < 2:
        exponentials(distances, relative)
    value, begin = 0.0, 0
    for s in range(ends.shape[0]):
        end = ends[s]
        whole = math.nan
        if kind < 2:
            whole = forward(start, transposed, relative, begin, end, kind == 1, ahead, scale)
        if not whole > -math.inf:
            whole = log_forward(log_start, log_transposed, distances, begin, end, ahead)
        value += whole
        begin = end
    return value


@loop(float64(INTEGERS, VECTOR, MATRIX, MATRIX, MATRIX, VECTOR, MATRIX))
def smooth(ends, log_start, log_transitions, distances, shares, starts, pairs):  # type: ignore[no-untyped-def]
    """Probabilities of the states given all that was emitted, and the log weight of that, over the largest emissions.

    `ends` of the sequences among the n times, in order. Weights of start and transitions need not sum to one. Writes
    `shares` (n, K), `starts` (K,) the sum of shares at first times, and `pairs` (K, K) the sum of the probabilities of
    neighbours. Minus infinity where a sequence has weight zero; what is written then means nothing.
    """
    return smoothed(ends, log_start, log_transitions, distances, shares, starts, pairs)


@loop(float64(INTEGERS, VECTOR, MATRIX, MATRIX, INTEGERS))
def viterbi(ends, log_start, log_transitions, distances, path):  # type: ignore[no-untyped-def]
    """The likeliest states (Viterbi 1967), into `path` (n,), and their log weight over the largest emissions."""
    n, states = distances.shape
    before = np.empty((n, states), np.int32)
    height, next_height = np.empty(states), np.empty(states)
    value, begin = 0.0, 0
    for s in range(ends.shape[0]):
        end = ends[s]
        for j in range(states):
            height[j] = log_start[j] - distances[begin, j]
        for t in range(begin + 1, end):
            for j in range(states):
                best, top = 0, height[0] + log_transitions[0, j]
                for i in range(1, states):
                    candidate = height[i] + log_transitions[i, j]
                    if candidate > top:
                        best, top = i, candidate
                before[t, j] = best
                next_height[j] = top - distances[t, j]
            for j in range(states):
                height[j] = next_height[j]
        best = 0
        for j in range(1, states):
            if height[j] > height[best]:
                best = j
        value += height[best]
        for r in range(end - begin):
            t = end - 1 - r
            path[t] = best
            if t > begin:
                best = before[t, best]
        begin = end
    return value


@helper
def gaussian_block(data, means, factors, constants, start, size, height, scaled):  # type: ignore[no-untyped-def]
    """Log densities (K, size) of a block of times; see `gaussian_distances`."""
    d = data.shape[0]
    full = factors.shape[1] == d
    for k in range(means.shape[0]):
        for i in range(size):
            height[k, i] = constants[k]
        for a in range(d):
            if full:
                for i in range(size):
                    scaled[i] = factors[k, a, a] * (data[a, start + i] - means[k, a])
                for b in range(a):
                    for i in range(size):
                        scaled[i] += factors[k, a, b] * (data[b, start + i] - means[k, b])
            else:
                for i in range(size):
                    scaled[i] = factors[k, 0, a] * (data[a, start + i] - means[k, a])
            for i in range(size):
                height[k, i] -= 0.5 * scaled[i] * scaled[i]


@helper
def fill_distances(data, means, factors, constants, height, scaled, top, distances):  # type: ignore[no-untyped-def]
    """See `gaussian_distances`; returns the sum of the largest. The three in the middle are scratch, a block wide."""
    n, largest = data.shape[1], 0.0
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        gaussian_block(data, means, factors, constants, start, size, height, scaled)
        for i in range(size):
            top[i] = height[0, i]
        for k in range(1, means.shape[0]):
            for i in range(size):
                top[i] = height[k, i] if height[k, i] > top[i] else top[i]  # noqa: FURB136 (vectorises, unlike `max`)
        for i in range(size):
            largest += top[i]
            for k in range(means.shape[0]):
                distances[start + i, k] = top[i] - height[k, i]
    return largest


@loop(float64(DATA, MATRIX, TENSOR, VECTOR, MATRIX))
def gaussian_distances(data, means, factors, constants, distances):  # type: ignore[no-untyped-def]
    """How far each state's Gaussian lies below the largest, (n, K), written; returns the sum of the largest.

    data (d, n). State k has the log density constants[k] - |F (x - means[k])|^2 / 2, with the lower triangular
    F = factors[k] (d, d), or, where features are independent, the diagonal factors[k, 0].
    """
    states = means.shape[0]
    return fill_distances(
        data, means, factors, constants, np.empty((states, BLOCK)), np.empty(BLOCK), np.empty(BLOCK), distances
    )


@loop(void(DATA, MATRIX, MATRIX, VECTOR, MATRIX, TENSOR))
def gaussian_moments(data, shares, means, counts, sums, squares):  # type: ignore[no-untyped-def]
    """Sums of shares (K,), and with them of x - means[k] and its products: about a mean that is near, nothing cancels.

    data (d, n), shares (n, K); squares (K, d, d), or (K, 1, d) where features are independent; all overwritten.
    """
    d, n = data.shape
    full = squares.shape[1] == d
    share, off = np.empty(BLOCK), np.empty((d, BLOCK))
    for k in range(means.shape[0]):
        counts[k] = 0.0
        for a in range(d):
            sums[k, a] = 0.0
            for b in range(squares.shape[1]):
                squares[k, b, a] = 0.0
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        for k in range(means.shape[0]):
            count = 0.0
            for i in range(size):
                share[i] = shares[start + i, k]
                count += share[i]
            counts[k] += count
            for a in range(d):
                for i in range(size):
                    off[a, i] = data[a, start + i] - means[k, a]
            for a in range(d):
                sum_, square = 0.0, 0.0
                for i in range(size):
                    sum_ += share[i] * off[a, i]
                    square += share[i] * off[a, i] * off[a, i]
                sums[k, a] += sum_
                squares[k, a if full else 0, a] += square
                if full:
                    for b in range(a):
                        square = 0.0
                        for i in range(size):
                            square += share[i] * off[a, i] * off[b, i]
                        squares[k, a, b] += square
    if full:
        for k in range(means.shape[0]):
            for a in range(d):
                for b in range(a):
                    squares[k, b, a] = squares[k, a, b]
