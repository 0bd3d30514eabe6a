"""REBAR and RELAX: the score function with a relaxation as its control variate. Unbiased at any temperature.

Let t be the times of a race (`estimator.race`), b the winner, and c a function of y = softmax(-log t / temperature).
With s the signal,

    (s(b) - c(y~)) grad log q(b) + grad c(y) - grad c(y~)

is unbiased, y~ being the relaxation drawn anew given b (Tucker et al. 2017, eq. 7). Drawn anew from the same random
numbers it is y itself, and the two gradients differ in what they hold fixed: log t_k follows log p_k in the first with
slope -1; in the second, where t_b ~ Exp(1) and t_k = t_b + Exp(p_k), with slope -(1 - t_b / t_k), and log t_b not at
all. So their difference is the gradient of c with each slope t_b / t_k, and one evaluation of c serves for all.

REBAR takes for c a multiple of the relaxed signal; RELAX (Grathwohl et al. 2018) adds a network. What is free in c is
learned by descending the variance, of which |estimate|^2 is an unbiased estimate up to a constant.
"""

import math

import numpy as np

from targets.discrete import DiscreteModel
from targets.kernel import Vector, helper
from targets.options import require
from variational.discrete.estimator import DENSITIES, GRADIENTS, TEMPERATURE, Estimator, estimate, race, soften

SCALE, COVARIANCE, VARIANCE, SEEN = range(4)  # places in `control`
STEPS, FIRST = 4, 5  # the steps of the network, and its first weight
ENOUGH = 100  # estimates, from which on the scale of c is learned
FORGETS = 0.002  # weight of the newest estimate in the running means
RATE, HEAVY, SLOW, TINY = 0.01, 0.9, 0.999, 1e-8  # of Adam, for the network


@helper
def differentiate(p, x, y, times, value, slope, temperature, h):  # type: ignore[no-untyped-def]
    """Fill h with grad c(y) - grad c(y~) - c (x - p), for c of that value and slope at y."""
    sites, categories = p.shape
    for i in range(sites):
        mean, first, total = 0.0, np.inf, 0.0
        for k in range(categories):
            j = i * categories + k
            mean += y[j] * slope[j]
            first = min(first, times[j])
        for k in range(categories):
            j = i * categories + k
            h[j] = y[j] * (slope[j] - mean) / temperature * (first / times[j])
            total += h[j]
        for k in range(categories):
            j = i * categories + k
            h[j] -= p[i, k] * total + value * (x[j] - p[i, k])


@helper
def relaxed_signal(kernel, data, log_p, y, slope):  # type: ignore[no-untyped-def]
    """Log joint less log q at soft indicators y, with its slope in y."""
    value = kernel(y, slope, data)
    for i in range(log_p.shape[0]):
        for k in range(log_p.shape[1]):
            j = i * log_p.shape[1] + k
            value -= y[j] * log_p[i, k]
            slope[j] -= log_p[i, k]
    return value


@helper
def learn_scale(control, covariance, variance):  # type: ignore[no-untyped-def]
    """Move the scale of c to what had least variance so far: -E[rest . h] / E[h . h], of estimates rest + scale * h."""
    control[SEEN] += 1.0
    weight = max(1.0 / control[SEEN], FORGETS)
    control[COVARIANCE] += weight * (covariance - control[COVARIANCE])
    control[VARIANCE] += weight * (variance - control[VARIANCE])
    if control[SEEN] >= ENOUGH and control[VARIANCE] > 0.0:
        control[SCALE] = -control[COVARIANCE] / control[VARIANCE]


@estimate
def scaled(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """REBAR: c is a multiple of the relaxed signal. A draw costs a density and a gradient."""
    sites, categories = p.shape
    times, x, y, slope, h = space[0], space[1], space[2], space[3], space[4]
    temperature, scale = tuning[TEMPERATURE], control[SCALE]
    total, covariance, variance = 0.0, 0.0, 0.0
    for _ in range(samples):
        log_q = race(rng, p, log_p, times, x)
        signal = density(x, data) - log_q
        soften(times, temperature, sites, categories, y)
        value = relaxed_signal(kernel, data, log_p, y, slope)
        spent[DENSITIES] += 1
        spent[GRADIENTS] += 1
        total += signal
        differentiate(p, x, y, times, value, slope, temperature, h)
        for i in range(sites):
            for k in range(categories):
                j = i * categories + k
                rest = signal * (x[j] - p[i, k])
                gradient[i, k] += (rest + scale * h[j]) / samples
                covariance += rest * h[j]
                variance += h[j] * h[j]
    learn_scale(control, covariance / samples, variance / samples)
    return total / samples


def rebar(*, samples: int = 2, temperature: float = 0.5) -> Estimator:
    """REBAR with a fixed temperature; the multiple is learned."""
    require(samples >= 1, f"rebar: samples={samples} is not accepted; it takes 1 or more")
    return Estimator(scaled, samples, temperature, 1.0, temperature, lambda _, __: np.array([1.0, 0.0, 0.0, 0.0]))


@estimate
def networked(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent):  # type: ignore[no-untyped-def]
    """RELAX: as `scaled`, with a network v0 + sum_u v_u tanh(a_u . y + b_u) added to c.

    The network's weights stand in `control` behind FIRST: v0, then for each unit v_u, b_u and a_u; behind them the two
    moments of Adam, and the gradient of |estimate|^2 in the weights, each of the same length.
    """
    sites, categories = p.shape
    dim = sites * categories
    times, x, y, slope, h, own = space[0], space[1], space[2], space[3], space[4], space[5]
    weights = (control.shape[0] - FIRST) // 4
    units = (weights - 1) // (dim + 2)
    push = FIRST + 3 * weights
    temperature, scale = tuning[TEMPERATURE], control[SCALE]
    total, covariance, variance = 0.0, 0.0, 0.0
    for w in range(weights):
        control[push + w] = 0.0
    for _ in range(samples):
        log_q = race(rng, p, log_p, times, x)
        signal = density(x, data) - log_q
        soften(times, temperature, sites, categories, y)
        value = relaxed_signal(kernel, data, log_p, y, slope)
        spent[DENSITIES] += 1
        spent[GRADIENTS] += 1
        total += signal
        differentiate(p, x, y, times, value, slope, temperature, h)
        net = control[FIRST]
        for j in range(dim):
            slope[j] = 0.0
        for u in range(units):
            at = FIRST + 1 + u * (dim + 2)
            level = control[at + 1]
            for j in range(dim):
                level += control[at + 2 + j] * y[j]
            bent = math.tanh(level)
            net += control[at] * bent
            for j in range(dim):
                slope[j] += control[at] * (1.0 - bent * bent) * control[at + 2 + j]
        differentiate(p, x, y, times, net, slope, temperature, own)
        along = 0.0  # estimate . (x - p)
        for i in range(sites):
            for k in range(categories):
                j = i * categories + k
                rest = signal * (x[j] - p[i, k]) + own[j]
                whole = rest + scale * h[j]
                gradient[i, k] += whole / samples
                covariance += rest * h[j]
                variance += h[j] * h[j]
                along += whole * (x[j] - p[i, k])
                own[j] = whole
        transpose(p, y, times, temperature, own)
        for u in range(units):
            at = FIRST + 1 + u * (dim + 2)
            level, turned = control[at + 1], 0.0
            for j in range(dim):
                level += control[at + 2 + j] * y[j]
                turned += control[at + 2 + j] * own[j]
            bent = math.tanh(level)
            bend = 1.0 - bent * bent
            inner = control[at] * bend * (-along - 2.0 * bent * turned)
            control[push - FIRST + at] += bend * turned - along * bent
            control[push - FIRST + at + 1] += inner
            for j in range(dim):
                control[push - FIRST + at + 2 + j] += inner * y[j] + control[at] * bend * own[j]
        control[push] -= along
    learn_scale(control, covariance / samples, variance / samples)
    control[STEPS] += 1.0
    first_bias, second_bias = 1.0 - HEAVY ** control[STEPS], 1.0 - SLOW ** control[STEPS]
    for w in range(FIRST, FIRST + weights):
        slant = control[w + 3 * weights] / samples
        control[w + weights] += (1.0 - HEAVY) * (slant - control[w + weights])
        control[w + 2 * weights] += (1.0 - SLOW) * (slant * slant - control[w + 2 * weights])
        root = math.sqrt(control[w + 2 * weights] / second_bias) + TINY
        control[w] -= RATE * control[w + weights] / first_bias / root
    return total / samples


@helper
def transpose(p, y, times, temperature, g):  # type: ignore[no-untyped-def]
    """Turn g, which weighs an estimate, into what weighs the slope of c in it: the transpose of `differentiate`."""
    sites, categories = p.shape
    for i in range(sites):
        mean, first = 0.0, np.inf
        for k in range(categories):
            mean += p[i, k] * g[i * categories + k]
            first = min(first, times[i * categories + k])
        inner = 0.0
        for k in range(categories):
            j = i * categories + k
            g[j] = (g[j] - mean) * (first / times[j])
            inner += y[j] * g[j]
        for k in range(categories):
            j = i * categories + k
            g[j] = y[j] * (g[j] - inner) / temperature


def relax(*, samples: int = 2, temperature: float = 0.5, units: int = 10) -> Estimator:
    """RELAX: REBAR with a network of so many hidden units added to its control variate; both are learned."""
    require(samples >= 1, f"relax: samples={samples} is not accepted; it takes 1 or more")
    require(1 <= units <= 1000, f"relax: units={units} is not accepted; it takes 1 to 1000")

    def start(model: DiscreteModel, rng: np.random.Generator) -> Vector:
        """A network whose output is zero, and whose units differ."""
        weights = 1 + units * (model.dim + 2)
        control = np.zeros(FIRST + 4 * weights)
        control[SCALE] = 1.0
        network = control[FIRST + 1 : FIRST + weights].reshape(units, model.dim + 2)
        network[:, 1:] = rng.normal(scale=model.sites**-0.5, size=(units, model.dim + 1))
        return control

    return Estimator(networked, samples, temperature, 1.0, temperature, start)
