"""The posterior of weights, means and scales of a mixture of K normals in the plane, in symmetric coordinates.

    log_g_k = log of a Gamma(2, 1) variable, weight_k = g_k / sum of g   (a Dirichlet(2, ..., 2) prior on the weights)
    mu_k,d ~ N(0, 5)   log_sd_k,d ~ N(0, 1)   y_i ~ sum of weight_k N(mu_k, diag(sd_k^2))

Coordinates, component after component: log_g, mu[1], mu[2], log_sd[1], log_sd[2]. A Gamma(a, 1) variable has the log
density a u - exp(u) - log Gamma(a) in u = log g, where the Jacobian is exp(u). The sum of the g_k is one coordinate
more than the weights need, independent of them and of the data; it makes all K! relabellings plain exchanges of
coordinates. Every constant is kept: the log normaliser is the log evidence.
"""

import functools
import itertools
import math

import numpy as np

from targets import gmm_full_kernels as kernels
from targets import reference
from targets.gmm_full_kernels import SIZE
from targets.kernel import Matrix, Vector, data_matrix
from targets.options import require
from targets.target import Generative, Named, Target
from targets.truth import Modes

MOST = 10  # components
PREDICTED = 100  # observations at which the predictive density is asked for, at most
MOST_RELABELLED = 5  # components whose relabellings are few enough to be averaged over


def without_truth(components: int, n: int, separation: float, seed: int) -> Target:
    """The posterior given n observations about the corners of a regular polygon whose side is `separation`."""
    require(2 <= components <= MOST, f"gmm_posterior: components={components} is not accepted; it takes 2 to {MOST}")
    require(n >= 1, f"gmm_posterior: n={n} is not accepted; it takes 1 or more")
    data = data_matrix(_observations(components, n, separation, seed))
    return Target(
        name="gmm_posterior",
        dim=SIZE * components,
        log_density_and_gradient=kernels.posterior_of_two if components == 2 else kernels.posterior,
        log_density=kernels.posterior_of_two_density if components == 2 else kernels.posterior_density,
        data=data,
        coordinates=_names(components, "log_g", "log_sd"),
        named=Named(_names(components, "weight", "sd"), _weights_means_scales),
        invariant=Named(_names(components, "ordered weight", "ordered sd", "ordered mu"), _ordered),
        predictions=Named(
            tuple(f"p(y[{i}])" for i in range(1, min(n, PREDICTED) + 1)),
            functools.partial(_predicted, y=data[:, :PREDICTED]),
        ),
        relabellings=_exchanges(components),
        generative=Generative(
            lambda rng: _from_prior(rng, components), lambda rng, x: _simulated(rng, x, n), data[:, :0]
        ),
    )


def _from_prior(rng: np.random.Generator, components: int) -> Vector:
    x = rng.standard_normal((components, SIZE))
    x[:, 0] = np.log(rng.gamma(kernels.CONCENTRATION, size=components))
    x[:, 1:3] *= kernels.MEAN_SD
    return x.ravel()


def _simulated(rng: np.random.Generator, x: Vector, n: int) -> Matrix:
    """(2, n) observations of the mixture at x (dim,)."""
    named = _weights_means_scales(x[None]).reshape(-1, SIZE)
    drawn = named[rng.choice(len(named), size=n, p=named[:, 0])].T
    return np.asarray(drawn[1:3] + drawn[3:] * rng.standard_normal((2, n)))


def _exchanges(components: int) -> tuple[tuple[int, ...], ...]:
    """Exchanges of neighbouring components, of which all K! relabellings are made."""
    blocks = np.arange(SIZE * components).reshape(components, SIZE)
    orders = []
    for k in range(components - 1):
        order = list(range(components))
        order[k], order[k + 1] = k + 1, k
        orders.append(tuple(int(i) for i in blocks[order].ravel()))
    return tuple(orders)


def modes(components: int) -> Modes:
    """One mode for each order of the components by the first coordinate of their means, all of one mass."""
    orders = np.array(list(itertools.permutations(range(components))))
    # the orders come sorted, so that reading each as a number in base K keeps them so
    digits = components ** np.arange(components)[::-1]

    def assign(x: Matrix) -> np.ndarray:
        return np.searchsorted(orders @ digits, np.argsort(x[:, 1::SIZE], axis=1) @ digits)

    return Modes(assign, np.full(len(orders), 1 / len(orders)))


def gmm_full(components: int, n: int, separation: float, seed: int) -> Target:
    """As `without_truth`, with the certified truth where there is one."""
    target = without_truth(components, n, separation, seed)
    if components > MOST_RELABELLED:
        return target
    return reference.attach(target, "gmm_full", modes=modes(components))


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


def _names(components: int, amount: str, scale: str, mean: str = "mu") -> tuple[str, ...]:
    return tuple(
        name
        for k in range(1, components + 1)
        for name in (f"{amount}[{k}]", f"{mean}[{k},1]", f"{mean}[{k},2]", f"{scale}[{k},1]", f"{scale}[{k},2]")
    )


def _weights_means_scales(x: Matrix) -> Matrix:
    named = x.reshape(len(x), -1, SIZE).copy()
    amounts = np.exp(named[:, :, 0] - named[:, :, 0].max(axis=1, keepdims=True))
    named[:, :, 0] = amounts / amounts.sum(axis=1, keepdims=True)
    named[:, :, 3:] = np.exp(named[:, :, 3:])
    return named.reshape(x.shape)


def _ordered(x: Matrix) -> Matrix:
    """Weights, means and scales, the components in the order of the first coordinate of their means."""
    named = _weights_means_scales(x).reshape(len(x), -1, SIZE)
    order = np.argsort(named[:, :, 1], axis=1)
    return np.asarray(np.take_along_axis(named, order[:, :, None], axis=1).reshape(x.shape))


def _predicted(x: Matrix, y: Matrix) -> Matrix:
    """Predictive densities (n, m) of one observation at each y (2, m)."""
    named = _weights_means_scales(x).reshape(len(x), -1, SIZE)
    density = np.zeros((len(x), y.shape[1]))
    for weight, *means_and_scales in np.moveaxis(named, 0, 2)[..., None]:
        mean, sd = means_and_scales[:2], means_and_scales[2:]
        squares = ((y[0] - mean[0]) / sd[0]) ** 2 + ((y[1] - mean[1]) / sd[1]) ** 2
        density += weight / (2 * math.pi * sd[0] * sd[1]) * np.exp(-0.5 * squares)
    return density
