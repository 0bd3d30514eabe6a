"""The mean of a Gaussian in clutter (Minka 2001, section 3.2): most observations are about it, the rest anywhere.

    theta ~ N(0, 10)   y_i ~ (1 - share) N(theta, 1) + share N(0, sqrt(spread))

with standard deviations, independent in each of one or two dimensions. The sites of expectation propagation are
mixtures, and not log-concave. The density keeps every constant: its log normaliser is the log evidence.
"""

import functools
import math

import numpy as np

from targets.kernel import Matrix, Vector, aligned, compiled, data_matrix, densities, density, empty, kernel
from targets.options import require
from targets.quadrature import Grid
from targets.sites import clutter as site
from targets.target import GaussianPrior, Sites, Target
from targets.truth import Certificate, Truth

PRIOR_SD = 10.0
SIGNAL = 2.0  # the mean that data are drawn about, in every coordinate
LARGEST = 500  # observations; finding the truth takes a second then
FAR = 8.5  # prior sd from zero beyond which 1e-16 of the mass is left
NODES_PER_SD = 2.0  # at least, of the narrowest peak there can be
NEGLIGIBLE = 45.0  # nats below the top

_LOG_2PI = math.log(2 * math.pi)


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """A row an observation; columns: share, spread, then its coordinates."""
    dim = x.shape[0]
    value = 0.0
    for j in range(dim):
        value -= 0.5 * (x[j] / PRIOR_SD) ** 2 + math.log(PRIOR_SD) + 0.5 * _LOG_2PI
        gradient[j] = -x[j] / PRIOR_SD**2
    for i in range(data.shape[0]):
        share, spread = data[i, 0], data[i, 1]
        near, far = 0.0, 0.0
        for j in range(dim):
            near += (data[i, 2 + j] - x[j]) ** 2
            far += data[i, 2 + j] ** 2
        signal = math.log(1.0 - share) - 0.5 * near
        noise = math.log(share) - 0.5 * (far / spread + dim * math.log(spread))
        apart = signal - noise
        t = math.exp(-abs(apart))
        value += (signal if apart > 0.0 else noise) + math.log(1.0 + t) - 0.5 * dim * _LOG_2PI
        belief = (1.0 if apart > 0.0 else t) / (1.0 + t)
        for j in range(dim):
            gradient[j] += belief * (data[i, 2 + j] - x[j])
    return value


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`, without gradient."""
    dim = x.shape[0]
    value = 0.0
    for j in range(dim):
        value -= 0.5 * (x[j] / PRIOR_SD) ** 2 + math.log(PRIOR_SD) + 0.5 * _LOG_2PI
    for i in range(data.shape[0]):
        share, spread = data[i, 0], data[i, 1]
        near, far = 0.0, 0.0
        for j in range(dim):
            near += (data[i, 2 + j] - x[j]) ** 2
            far += data[i, 2 + j] ** 2
        signal = math.log(1.0 - share) - 0.5 * near
        noise = math.log(share) - 0.5 * (far / spread + dim * math.log(spread))
        apart = signal - noise
        value += (signal if apart > 0.0 else noise) + math.log(1.0 + math.exp(-abs(apart))) - 0.5 * dim * _LOG_2PI
    return value


def clutter(*, dim: int = 1, n: int = 20, share: float = 0.5, spread: float = 10.0, seed: int = 0) -> Target:
    """The posterior of the mean, with truth by quadrature.

    Args:
        dim: 1 or 2.
        n: observations.
        share: of them that is clutter.
        spread: variance of the clutter.
        seed: of the data, which are drawn about 2 in every coordinate.

    Raises:
        UsageError: an option out of range.
    """
    require(dim in (1, 2), f"clutter: dim={dim} is not accepted; it takes 1 or 2")
    require(1 <= n <= LARGEST, f"clutter: n={n} is not accepted; it takes 1 to {LARGEST}")
    require(0 < share < 1, f"clutter: share={share:g} is not accepted; it takes a number between 0 and 1")
    require(spread > 0, f"clutter: spread={spread:g} is not accepted; it takes a positive number")
    rng = np.random.default_rng(seed)
    noisy = rng.random(n) < share
    y = np.where(noisy[:, None], 0.0, SIGNAL)
    y = y + np.where(noisy[:, None], math.sqrt(spread), 1.0) * rng.standard_normal((n, dim))
    data = data_matrix(np.hstack([np.full((n, 1), share), np.full((n, 1), spread), y]))
    return Target(
        name="clutter",
        dim=dim,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data,
        truth=_truth(data.tobytes(), n, dim),
        coordinates=tuple(f"theta[{j}]" for j in range(1, dim + 1)),
        gaussian_prior=GaussianPrior(np.zeros(dim), np.full(dim, PRIOR_SD)),
        sites=Sites(site, np.broadcast_to(np.eye(dim), (n, dim, dim)).copy(), np.array(data)),
    )


@functools.lru_cache(maxsize=32)
def _truth(data: bytes, n: int, dim: int) -> Truth:
    grid = _grid(data_matrix(np.frombuffer(data).reshape(n, 2 + dim)))
    return Truth(
        moments=grid.moments(),
        certificate=Certificate("quadrature", "trapezoidal rule", {"nodes": len(grid.nodes)}),
        sample=grid.sample,
        log_normaliser=grid.log_normaliser,
        entropy=grid.entropy,
    )


def _grid(data: Matrix) -> Grid:
    """A grid about all that is not negligible, fine enough for a peak that every observation sharpens."""
    n, dim = data.shape[0], data.shape[1] - 2

    def log_density(points: Matrix) -> Vector:
        values = empty(len(points))
        densities(compiled(posterior_density), data, aligned(points), values)
        return values

    least = 1 / math.sqrt(n + PRIOR_SD**-2)
    edge = FAR * PRIOR_SD
    axes = [np.unique(np.concatenate([np.linspace(-edge, edge, 201), data[:, 2 + j]])) for j in range(dim)]
    scan = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    values = log_density(scan)
    seen = scan[values > values.max() - NEGLIGIBLE]
    margin = 2 * edge / 200
    lower, upper = seen.min(axis=0) - margin, seen.max(axis=0) + margin
    counts = tuple(math.ceil((b - a) / least * NODES_PER_SD) + 1 for a, b in zip(lower, upper, strict=True))
    return Grid(log_density, lower, upper, counts)
