"""The posterior of weights, means and scales of a mixture of K normals in the plane, in symmetric coordinates.

    log_g_k = log of a Gamma(2, 1) variable, weight_k = g_k / sum of g   (a Dirichlet(2, ..., 2) prior on the weights)
    mu_k,d ~ N(0, 5)   log_sd_k,d ~ N(0, 1)   y_i ~ sum of weight_k N(mu_k, diag(sd_k^2))

Coordinates, component after component: log_g, mu[1], mu[2], log_sd[1], log_sd[2]. A Gamma(a, 1) variable has the log
density a u - exp(u) - log Gamma(a) in u = log g, where the Jacobian is exp(u). The sum of the g_k is one coordinate
more than the weights need, independent of them and of the data; it makes all K! relabellings plain exchanges of
coordinates. Every constant is kept: the log normaliser is the log evidence.
"""

import itertools
import math

import numpy as np

from targets import reference
from targets.exponential import exp_minus
from targets.kernel import Matrix, data_matrix, density, helper, kernel
from targets.options import require
from targets.target import Named, Target
from targets.truth import Modes

CONCENTRATION = 2.0
MEAN_SD = 5.0
SIZE = 5  # coordinates a component
BLOCK = 256  # observations under one logarithm: a product of as many factors of at most K must not overflow
MOST = 10  # components
CERTIFIED = {2: "gmm_full_2"}  # by number of components, other options at their defaults

_LOG_2PI = math.log(2 * math.pi)
_CONSTANT = math.lgamma(CONCENTRATION) + 2 * math.log(MEAN_SD) + 2 * _LOG_2PI  # of a component's prior


@helper
def _log_total(x):  # type: ignore[no-untyped-def]
    top = -math.inf
    for k in range(0, x.shape[0], SIZE):
        top = max(top, x[k])
    total = 0.0
    for k in range(0, x.shape[0], SIZE):
        total += math.exp(x[k] - top)
    return top + math.log(total)


@helper
def _shares(x, log_total, data, start, size, share, total):  # type: ignore[no-untyped-def]
    """Log likelihood of a block; writes each component's density over the largest, (K, size), and their sum (size,)."""
    components = x.shape[0] // SIZE
    for i in range(size):
        total[i] = -math.inf
    for k in range(components):
        at = SIZE * k
        inverse_0, inverse_1 = math.exp(-x[at + 3]), math.exp(-x[at + 4])
        constant = x[at] - log_total - x[at + 3] - x[at + 4] - _LOG_2PI
        mean_0, mean_1 = x[at + 1], x[at + 2]
        for i in range(size):
            z0 = (data[0, start + i] - mean_0) * inverse_0
            z1 = (data[1, start + i] - mean_1) * inverse_1
            value = constant - 0.5 * (z0 * z0 + z1 * z1)
            share[k, i] = value
            total[i] = value if value > total[i] else total[i]  # noqa: FURB136 (vectorises, unlike `max`)
    largest = 0.0
    for i in range(size):
        largest += total[i]
    for k in range(components):
        for i in range(size):
            share[k, i] = exp_minus(total[i] - share[k, i])
    for i in range(size):
        total[i] = share[0, i]
    for k in range(1, components):
        for i in range(size):
            total[i] += share[k, i]
    product = 1.0
    for i in range(size):
        product *= total[i]
    return largest + math.log(product)


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Row d: coordinate d of the observations; column i: observation i."""
    components, n = x.shape[0] // SIZE, data.shape[1]
    share, total = np.empty((components, BLOCK)), np.empty(BLOCK)
    log_total = _log_total(x)
    value = 0.0
    for k in range(components):
        at = SIZE * k
        amount = math.exp(x[at])
        value += CONCENTRATION * x[at] - amount - _CONSTANT
        value -= 0.5 * ((x[at + 1] ** 2 + x[at + 2] ** 2) / MEAN_SD**2 + x[at + 3] ** 2 + x[at + 4] ** 2)
        gradient[at] = CONCENTRATION - amount - n * math.exp(x[at] - log_total)
        gradient[at + 1], gradient[at + 2] = -x[at + 1] / MEAN_SD**2, -x[at + 2] / MEAN_SD**2
        gradient[at + 3], gradient[at + 4] = -x[at + 3], -x[at + 4]
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        value += _shares(x, log_total, data, start, size, share, total)
        for i in range(size):
            total[i] = 1.0 / total[i]
        for k in range(components):
            at = SIZE * k
            inverse_0, inverse_1 = math.exp(-x[at + 3]), math.exp(-x[at + 4])
            mean_0, mean_1 = x[at + 1], x[at + 2]
            count, sum_0, sum_1, square_0, square_1 = 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(size):
                r = share[k, i] * total[i]
                z0 = (data[0, start + i] - mean_0) * inverse_0
                z1 = (data[1, start + i] - mean_1) * inverse_1
                count += r
                sum_0 += r * z0
                sum_1 += r * z1
                square_0 += r * z0 * z0
                square_1 += r * z1 * z1
            gradient[at] += count
            gradient[at + 1] += sum_0 * inverse_0
            gradient[at + 2] += sum_1 * inverse_1
            gradient[at + 3] += square_0 - count
            gradient[at + 4] += square_1 - count
    return value


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`, without gradient."""
    components, n = x.shape[0] // SIZE, data.shape[1]
    share, total = np.empty((components, BLOCK)), np.empty(BLOCK)
    log_total = _log_total(x)
    value = 0.0
    for at in range(0, x.shape[0], SIZE):
        value += CONCENTRATION * x[at] - math.exp(x[at]) - _CONSTANT
        value -= 0.5 * ((x[at + 1] ** 2 + x[at + 2] ** 2) / MEAN_SD**2 + x[at + 3] ** 2 + x[at + 4] ** 2)
    for start in range(0, n, BLOCK):
        value += _shares(x, log_total, data, start, min(BLOCK, n - start), share, total)
    return value


def relabellings(components: int) -> list[np.ndarray]:
    """All K! orders of the coordinates that leave the density unchanged, (5 K,) each; the identity comes first."""
    blocks = np.arange(SIZE * components).reshape(components, SIZE)
    return [blocks[list(order)].ravel() for order in itertools.permutations(range(components))]


def without_truth(components: int, n: int, separation: float, seed: int) -> Target:
    """The posterior given n observations about the corners of a regular polygon whose side is `separation`."""
    require(2 <= components <= MOST, f"gmm_posterior: components={components} is not accepted; it takes 2 to {MOST}")
    require(n >= 1, f"gmm_posterior: n={n} is not accepted; it takes 1 or more")
    numbers = range(1, components + 1)
    return Target(
        name="gmm_posterior",
        dim=SIZE * components,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data_matrix(_observations(components, n, separation, seed)),
        coordinates=_names(components, "log_g", "log_sd"),
        named=Named(_names(components, "weight", "sd"), _weights_means_scales),
        description=f"{len(numbers)} components in the plane",
    )


def modes(components: int) -> Modes:
    """One mode for each order of the components by the first coordinate of their means, all of one mass."""
    orders = np.array(list(itertools.permutations(range(components))))
    # the orders come sorted, so that reading each as a number in base K keeps them so
    digits = components ** np.arange(components)[::-1]

    def assign(x: Matrix) -> np.ndarray:
        return np.searchsorted(orders @ digits, np.argsort(x[:, 1::SIZE], axis=1) @ digits)

    return Modes(assign, np.full(len(orders), 1 / len(orders)))


def gmm_full(components: int, n: int, separation: float, seed: int, certified: bool) -> Target:
    """As `without_truth`, where `certified` with the truth for that many components, if there is one."""
    target = without_truth(components, n, separation, seed)
    if not certified or components not in CERTIFIED:
        return target
    return reference.attach(target, CERTIFIED[components], modes(components))


def centres(components: int, separation: float) -> Matrix:
    """(K, 2): corners of a regular polygon, turned until their first coordinates, which name the modes, all differ."""
    angle = 2 * np.pi * (np.arange(components) + 0.25) / components
    return separation / (2 * math.sin(math.pi / components)) * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _observations(components: int, n: int, separation: float, seed: int) -> Matrix:
    """(2, n); component k, of unit scales, is drawn with probability proportional to k + 1 for k = 1, 2, ...."""
    rng = np.random.default_rng(seed)
    odds = np.arange(components) + 2.0
    label = rng.choice(components, size=n, p=odds / odds.sum())
    return np.asarray(centres(components, separation).T[:, label] + rng.standard_normal((2, n)))


def _names(components: int, amount: str, scale: str) -> tuple[str, ...]:
    numbers = range(1, components + 1)
    return tuple(
        name
        for k in numbers
        for name in (f"{amount}[{k}]", f"mu[{k},1]", f"mu[{k},2]", f"{scale}[{k},1]", f"{scale}[{k},2]")
    )


def _weights_means_scales(x: Matrix) -> Matrix:
    named = x.reshape(len(x), -1, SIZE).copy()
    amounts = np.exp(named[:, :, 0] - named[:, :, 0].max(axis=1, keepdims=True))
    named[:, :, 0] = amounts / amounts.sum(axis=1, keepdims=True)
    named[:, :, 3:] = np.exp(named[:, :, 3:])
    return named.reshape(x.shape)
