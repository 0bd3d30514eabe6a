"""The log evidence of factor analysis with two factors, by bridge sampling from draws of Gibbs.

The posterior of the loadings is a ring, or eight of them that run together: a rotation of the factors changes the
prior, and not the likelihood. So loadings are written L R, with L lower trapezoidal, of positive diagonal, and R
orthogonal: given L and the noise the likelihood is known, and the prior is averaged over R by quadrature. What is
bridged is the density of L and the noise, which has one mode. The measure of loadings is that of L and R, of total mass
4 pi, times l_11 (Muirhead 1982, theorem 2.1.13).

The precisions of columns of loadings are integrated out, so that these have Student's distributions.
"""

import math

import numpy as np
from scipy.special import gammaln

from targets.bridge import Bridged, bridge
from targets.conjugate.factor import FactorPrior
from targets.conjugate.least_squares import Triangle
from targets.kernel import Matrix, Vector

FACTORS = 2
ANGLES = 32  # of the quadrature, over a quarter turn: the prior is the same after one
_LOG_2PI = math.log(2 * math.pi)
Tensor = np.ndarray


def log_evidence(data: Triangle, prior: FactorPrior, loadings: Tensor, noise: Tensor) -> Bridged:
    """In nats, as `variational.FactorAnalysis` counts its bound.

    Args:
        data: rows, reduced.
        prior: with a variance of the noise for every column.
        loadings: (chains, n, d, 2) draws.
        noise: (chains, n, d) draws of the noise precisions.
    """
    d = loadings.shape[2]
    return bridge(lambda x: log_density(x, data, prior, d), coordinates(loadings, noise), (), np.random.default_rng(3))


def coordinates(loadings: Tensor, noise: Tensor) -> Tensor:
    """(..., dim): log l_11, l_21, log l_22, l_31, l_32, ..., and the logs of the noise precisions."""
    _, turned = np.linalg.qr(np.swapaxes(loadings, -1, -2))
    lower = np.swapaxes(turned, -1, -2)  # loadings times an orthogonal matrix
    lower = lower * np.where(np.diagonal(lower, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[..., None, :]
    top = np.stack([np.log(lower[..., 0, 0]), lower[..., 1, 0], np.log(lower[..., 1, 1])], axis=-1)
    rest = lower[..., FACTORS:, :].reshape(*lower.shape[:-2], -1)
    return np.concatenate([top, rest, np.log(noise)], axis=-1)


def log_density(x: Matrix, data: Triangle, prior: FactorPrior, d: int) -> Vector:
    """(n,) log of the joint density of rows and `coordinates` (n, dim)."""
    lower, log_noise = _parts(x, d)
    measure = 2.0 * x[:, 0] + x[:, 2]  # l_11 of the module's, and that the logs of both are coordinates
    return (
        _log_likelihood(lower, log_noise, data) + _log_loadings(lower, prior) + measure + _log_noise(log_noise, prior)
    )


def _parts(x: Matrix, d: int) -> tuple[Tensor, Matrix]:
    """L (n, d, 2) and the logs of the noise precisions (n, d)."""
    lower = np.zeros((len(x), d, FACTORS))
    with np.errstate(over="ignore"):
        lower[:, 0, 0], lower[:, 1, 0], lower[:, 1, 1] = np.exp(x[:, 0]), x[:, 1], np.exp(x[:, 2])
    lower[:, FACTORS:] = x[:, 3:-d].reshape(len(x), d - FACTORS, FACTORS)
    return lower, x[:, -d:]


def _log_likelihood(lower: Tensor, log_noise: Matrix, data: Triangle) -> Vector:
    """Of rows whose mean is integrated over its flat prior."""
    d = lower.shape[1]
    scaled = lower * np.exp(0.5 * log_noise)[:, :, None]
    middle = np.eye(FACTORS) + scaled.swapaxes(1, 2) @ scaled
    whitened = data.factor * np.exp(0.5 * log_noise)[:, None, :]
    scores = whitened @ scaled
    squares = np.square(whitened).sum(axis=(1, 2))
    squares -= np.einsum("nri,nij,nrj->n", scores, np.linalg.inv(middle), scores)
    log_volume = np.linalg.slogdet(middle)[1] - log_noise.sum(axis=1)
    level = -0.5 * data.free * d * _LOG_2PI - (0.0 if data.mean is None else 0.5 * d * math.log(data.n))
    return np.asarray(level - 0.5 * data.free * log_volume - 0.5 * squares)


def _log_loadings(lower: Tensor, prior: FactorPrior) -> Vector:
    """Of L: the density of L R, integrated over all R."""
    d, angles = lower.shape[1], np.arange(ANGLES) * (0.5 * math.pi / ANGLES)
    turns = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])  # (2, 2, angles)
    moments = lower.swapaxes(1, 2) @ lower  # squares of turned columns are quadratic forms of it
    sizes = np.einsum("ika,nij,jka->nka", turns, moments, turns)
    shape = prior.shape + 0.5 * d
    each = -shape * np.log(prior.rate + 0.5 * sizes).sum(axis=1)
    constant = gammaln(shape) - gammaln(prior.shape) + prior.shape * math.log(prior.rate) - 0.5 * d * _LOG_2PI
    return np.asarray(np.logaddexp.reduce(each, axis=1) - math.log(ANGLES) + 2 * constant + math.log(4 * math.pi))


def _log_noise(log_noise: Matrix, prior: FactorPrior) -> Vector:
    """Of the logs of the noise precisions."""
    level = prior.noise_shape * math.log(prior.noise_rate) - float(gammaln(prior.noise_shape))
    with np.errstate(over="ignore"):
        each = level + prior.noise_shape * log_noise - prior.noise_rate * np.exp(log_noise)
    return np.asarray(each.sum(axis=1))
