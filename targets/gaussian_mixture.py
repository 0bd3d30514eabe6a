"""Many Gaussians of one width: a hundred modes in the plane by default, on a grid or scattered, in any dimension.

In units of the width, log p = log sum_k w_k exp(-|x - c_k|^2 / 2); the density leaves out (2 pi)^(-dim / 2).
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp, ndtr

from targets.exponential import exp_minus
from targets.kernel import Matrix, Vector, data_matrix, density, kernel
from targets.options import require
from targets.target import Target
from targets.truth import Certificate, Modes, Moments, Truth

LAYOUTS = ("grid", "scattered")
MOST = 1_000  # components
STRATA = 100_000  # draws, shared out among the components, behind masses and entropy that have no closed form


@kernel
def plane(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: components. Rows: log weight less half the squared norm of the centre; the centre's coordinates."""
    one, two = x[0], x[1]
    top = -math.inf
    for k in range(data.shape[1]):
        height = data[0, k] + data[1, k] * one + data[2, k] * two
        top = height if height > top else top  # noqa: FURB136 (vectorises, unlike `max`)
    total, to_one, to_two = 0.0, 0.0, 0.0
    for k in range(data.shape[1]):
        share = exp_minus(top - (data[0, k] + data[1, k] * one + data[2, k] * two))
        total += share
        to_one += share * data[1, k]
        to_two += share * data[2, k]
    gradient[0] = to_one / total - one
    gradient[1] = to_two / total - two
    return top + math.log(total) - 0.5 * (one * one + two * two)


@density
def plane_density(x, data):  # type: ignore[no-untyped-def]
    """As `plane`."""
    one, two = x[0], x[1]
    top = -math.inf
    for k in range(data.shape[1]):
        height = data[0, k] + data[1, k] * one + data[2, k] * two
        top = height if height > top else top  # noqa: FURB136
    total = 0.0
    for k in range(data.shape[1]):
        total += exp_minus(top - (data[0, k] + data[1, k] * one + data[2, k] * two))
    return top + math.log(total) - 0.5 * (one * one + two * two)


@kernel
def space(x, gradient, data):  # type: ignore[no-untyped-def]
    """As `plane`, in any dimension."""
    dim, count = x.shape[0], data.shape[1]
    height = np.empty(count)
    for k in range(count):
        height[k] = data[0, k]
    squares = 0.0
    for i in range(dim):
        value = x[i]
        squares += value * value
        for k in range(count):
            height[k] += value * data[1 + i, k]
    top = -math.inf
    for k in range(count):
        top = height[k] if height[k] > top else top  # noqa: FURB136
    total = 0.0
    for k in range(count):
        height[k] = exp_minus(top - height[k])
        total += height[k]
    for i in range(dim):
        pull = 0.0
        for k in range(count):
            pull += height[k] * data[1 + i, k]
        gradient[i] = pull / total - x[i]
    return top + math.log(total) - 0.5 * squares


@density
def space_density(x, data):  # type: ignore[no-untyped-def]
    """As `plane`, in any dimension."""
    dim, count = x.shape[0], data.shape[1]
    height = np.empty(count)
    for k in range(count):
        height[k] = data[0, k]
    squares = 0.0
    for i in range(dim):
        squares += x[i] * x[i]
        for k in range(count):
            height[k] += x[i] * data[1 + i, k]
    top = -math.inf
    for k in range(count):
        top = height[k] if height[k] > top else top  # noqa: FURB136
    total = 0.0
    for k in range(count):
        total += exp_minus(top - height[k])
    return top + math.log(total) - 0.5 * squares


def gaussian_mixture(
    *,
    components: int = 100,
    dim: int = 2,
    layout: str = "grid",
    spacing: float = 6.0,
    uneven: float = 0.0,
    seed: int = 0,
) -> Target:
    """A mixture of Gaussians with unit covariance, each of which is a mode.

    A point belongs to the mode whose centre is nearest. Moments and the log normaliser are exact; so are the masses of
    modes on a grid, and the entropy of a grid of even weights. Masses and entropies without closed form are stratified
    averages, exact but for the overlaps.

    Args:
        components: their number; on a grid the power `dim` of a whole number.
        dim: number of coordinates.
        layout: 'grid': a cube of centres; 'scattered': uniform in a cube of the same volume per centre, none closer
            than half the spacing to another.
        spacing: of the grid, in standard deviations.
        uneven: the weight of component k is proportional to k^-uneven, in an order drawn with the seed.
        seed: of scattered centres and of the order of weights.

    Raises:
        UsageError: an option is out of range.
    """
    require(1 <= components <= MOST, f"gaussian_mixture: components={components} is not accepted; it takes 1 to {MOST}")
    require(dim >= 1, f"gaussian_mixture: dim={dim} is not accepted; it takes 1 or more")
    require(layout in LAYOUTS, f"gaussian_mixture: layout={layout!r} is not accepted; it takes {' or '.join(LAYOUTS)}")
    require(
        0.0 < spacing < math.inf, f"gaussian_mixture: spacing={spacing:g} is not accepted; it takes a positive number"
    )
    require(0.0 <= uneven < math.inf, f"gaussian_mixture: uneven={uneven:g} is not accepted; it takes zero or more")
    side = round(components ** (1.0 / dim))
    require(
        layout == "scattered" or side**dim == components,
        f"gaussian_mixture: components={components} is not accepted with layout='grid' and dim={dim}; "
        f"it takes {side}^{dim} = {side**dim}, for example",
    )
    rng = np.random.default_rng(seed)
    weights = rng.permutation(np.arange(1.0, components + 1.0) ** -uneven)
    weights /= weights.sum()
    grid = layout == "grid"
    centres = _grid(side, dim, spacing) if grid else _scattered(components, dim, spacing, rng)

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        return np.asarray(centres[rng.choice(components, n, p=weights)] + rng.standard_normal((n, dim)))

    def assign(x: Matrix) -> np.ndarray:
        if grid:  # in the order of `_grid`, the last coordinate running fastest
            place = np.clip(np.rint(x / spacing + 0.5 * (side - 1)), 0, side - 1).astype(np.intp)
            return np.asarray(place @ (side ** np.arange(dim)[::-1]))
        return np.asarray(np.argmax(x @ centres.T - 0.5 * (centres**2).sum(axis=1), axis=1))

    product = grid and uneven == 0.0  # of equal mixtures in one dimension
    if product:
        entropy, entropy_error = dim * _entropy_in_one_dimension(side, spacing), 0.0
    else:
        entropy, entropy_error, masses = _by_strata(weights, centres, assign)
    if grid:
        masses = _grid_masses(weights, side, dim, spacing)
    heights = np.log(weights) - 0.5 * (centres**2).sum(axis=1)
    return Target(
        name="gaussian_mixture",
        dim=dim,
        log_density_and_gradient=plane if dim == 2 else space,
        log_density=plane_density if dim == 2 else space_density,
        data=data_matrix(np.vstack([heights, centres.T])),
        truth=Truth(
            _moments(weights, centres),
            Certificate("closed form", "entropies and masses of modes without closed form by stratified averages"),
            sample=sample,
            log_normaliser=0.5 * dim * math.log(2.0 * math.pi),
            entropy=entropy,
            entropy_error=entropy_error,
            modes=Modes(assign, masses),
        ),
        initial=lambda rng: rng.uniform(centres.min(axis=0) - 2.0, centres.max(axis=0) + 2.0),
        description=f"{components} Gaussians in {dim} dimensions",
    )


def _grid(side: int, dim: int, spacing: float) -> Matrix:
    axis = spacing * (np.arange(side) - 0.5 * (side - 1))
    return np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)


def _scattered(components: int, dim: int, spacing: float, rng: np.random.Generator) -> Matrix:
    """(components, dim), drawn one after the other and again where one lies too close to those before it."""
    width = spacing * components ** (1.0 / dim)
    centres = np.empty((components, dim))
    for k in range(components):
        while True:
            centres[k] = rng.uniform(-0.5 * width, 0.5 * width, dim)
            if ((centres[:k] - centres[k]) ** 2).sum(axis=1).min(initial=math.inf) >= 0.25 * spacing**2:
                break
    return centres


def _moments(weights: Vector, centres: Matrix) -> Moments:
    mean = weights @ centres
    away = centres - mean
    between = (away * weights[:, None]).T @ away
    covariance = 0.5 * (between + between.T) + np.eye(centres.shape[1])
    third = weights @ (away**3 + 3.0 * away)
    fourth = weights @ (away**4 + 6.0 * away**2 + 3.0)
    return Moments.from_central(mean, covariance, third, fourth)


def _grid_masses(weights: Vector, side: int, dim: int, spacing: float) -> Vector:
    """Masses of the cubes about the centres: along each axis a component leaves the same shares to its neighbours."""
    offset = spacing * np.subtract.outer(np.arange(side), np.arange(side))  # cell less component
    upper, lower = ndtr(offset + 0.5 * spacing), ndtr(offset - 0.5 * spacing)
    upper[-1], lower[0] = 1.0, 0.0
    masses = weights.reshape((side,) * dim)
    for axis in range(dim):
        masses = np.moveaxis(np.tensordot(upper - lower, masses, axes=(1, axis)), 0, axis)
    masses = masses.ravel()
    return np.asarray(masses / masses.sum())


def _entropy_in_one_dimension(side: int, spacing: float) -> float:
    """Of `side` equal Gaussians in a row, by the trapezoidal rule about each."""
    z = np.linspace(-9.5, 9.5, 801)
    mass = np.exp(-0.5 * z**2) * (z[1] - z[0]) / math.sqrt(2.0 * math.pi)
    centres = _grid(side, 1, spacing)[:, 0]
    points = centres[:, None] + z
    heights = logsumexp(-0.5 * (points[..., None] - centres) ** 2, axis=-1) - math.log(side)
    return 0.5 * math.log(2.0 * math.pi) - float((heights @ mass).mean())


def _by_strata(weights: Vector, centres: Matrix, assign: Callable[[Matrix], np.ndarray]) -> tuple[float, float, Vector]:
    """Entropy, its standard error, and the masses of the modes, from as many draws of each component.

    log p at a draw of component k is log w_k N(x | c_k), whose mean is known, plus log(1 + others / w_k N(x | c_k)),
    which is averaged; it is zero but for overlaps.
    """
    rng = np.random.default_rng(0)
    n, (count, dim) = max(STRATA // len(weights), 50), centres.shape
    heights = np.log(weights) - 0.5 * (centres**2).sum(axis=1)
    mean, variance, masses = 0.0, 0.0, np.zeros(count)
    for k in range(count):
        x = centres[k] + rng.standard_normal((n, dim))
        each = x @ centres.T + heights
        excess = logsumexp(each, axis=1) - each[:, k]
        mean += weights[k] * (math.log(weights[k]) + float(excess.mean()))
        variance += weights[k] ** 2 * float(excess.var()) / n
        masses += weights[k] * np.bincount(assign(x), minlength=count) / n
    entropy = 0.5 * dim * (1.0 + math.log(2.0 * math.pi)) - mean
    return entropy, math.sqrt(variance), masses
