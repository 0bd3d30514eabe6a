"""A Gaussian of any dimension, with structured or dense correlation. Everything about it is known exactly."""

import math

import numpy as np

from targets import dense_gaussian
from targets.kernel import Density, Kernel, Matrix, data_matrix, density, kernel, lean_kernel
from targets.lanes import WIDTH, add, fma, load, splat, store, subtract, total
from targets.options import require
from targets.target import GaussianStructure, Target
from targets.truth import Certificate, Moments, Sampler, Truth

MANY = 32  # up to it the plain loops of `equicorrelated` are the faster
STRUCTURES = ("ar1", "equicorrelated", "rotated")


@kernel
def ar1(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: the mean, then the precision's interior diagonal, first diagonal entry and minus its off-diagonal."""
    last = x.shape[0] - 1
    mean, diagonal, edge, neighbour = data[0, 0], data[0, 1], data[0, 2], data[0, 3]
    total = 0.0
    for i in range(1, last):
        deviation = x[i] - mean
        slope = neighbour * ((x[i - 1] - mean) + (x[i + 1] - mean)) - diagonal * deviation
        gradient[i] = slope
        total += deviation * slope
    left, right = x[0] - mean, x[last] - mean
    gradient[0] = neighbour * (x[1] - mean) - edge * left
    gradient[last] = neighbour * (x[last - 1] - mean) - edge * right
    return 0.5 * (total + left * gradient[0] + right * gradient[last])


@density
def ar1_density(x, data):  # type: ignore[no-untyped-def]
    """As `ar1`."""
    last = x.shape[0] - 1
    mean, diagonal, edge, neighbour = data[0, 0], data[0, 1], data[0, 2], data[0, 3]
    squares, products = 0.0, 0.0
    for i in range(1, last):
        deviation = x[i] - mean
        squares += deviation * deviation
        products += deviation * (x[i + 1] - mean)
    left, right = x[0] - mean, x[last] - mean
    products += left * (x[1] - mean)
    return neighbour * products - 0.5 * (diagonal * squares + edge * (left * left + right * right))


@kernel
def equicorrelated(x, gradient, data):  # type: ignore[no-untyped-def]
    """Row 0: the mean, the precision along (1, ..., 1), and the precision across it. Row 1 is not read here."""
    dim = x.shape[0]
    along, across = data[0, 1], data[0, 2]
    level = 0.0
    for i in range(dim):
        level += x[i]
    level /= dim
    shift = along * (level - data[0, 0])
    total = 0.0
    for i in range(dim):
        deviation = x[i] - level
        gradient[i] = -across * deviation - shift
        total += deviation * deviation
    return -0.5 * (across * total + dim * shift * (level - data[0, 0]))


@lean_kernel
def equicorrelated_many(x, gradient, data):  # type: ignore[no-untyped-def]
    """As `equicorrelated`, in registers. Row 1: weights of the last eight coordinates, as in `dense_gaussian`."""
    dim = x.shape[0]
    along, across = data[0, 1], data[0, 2]
    zero, weight, wide = splat(0.0), load(data, data.shape[1]), dim & -32
    a, b, c, d = fma(weight, load(x, dim - 8), zero), zero, zero, zero
    for i in range(0, wide, 32):
        a, b = add(a, load(x, i)), add(b, load(x, i + 8))
        c, d = add(c, load(x, i + 16)), add(d, load(x, i + 24))
    for i in range(wide, dim - 7, 8):
        b = add(b, load(x, i))
    level = total(add(add(a, b), add(c, d))) / dim
    shift = along * (level - data[0, 0])
    middle, factor, offset = splat(level), splat(-across), splat(-shift)
    y = subtract(load(x, dim - 8), middle)
    store(gradient, dim - 8, fma(factor, y, offset))
    a, b, c, d = fma(fma(weight, y, zero), y, zero), zero, zero, zero
    for i in range(0, wide, 32):
        y = subtract(load(x, i), middle)
        store(gradient, i, fma(factor, y, offset))
        a = fma(y, y, a)
        y = subtract(load(x, i + 8), middle)
        store(gradient, i + 8, fma(factor, y, offset))
        b = fma(y, y, b)
        y = subtract(load(x, i + 16), middle)
        store(gradient, i + 16, fma(factor, y, offset))
        c = fma(y, y, c)
        y = subtract(load(x, i + 24), middle)
        store(gradient, i + 24, fma(factor, y, offset))
        d = fma(y, y, d)
    for i in range(wide, dim - 7, 8):
        y = subtract(load(x, i), middle)
        store(gradient, i, fma(factor, y, offset))
        b = fma(y, y, b)
    return -0.5 * (across * total(add(add(a, b), add(c, d))) + dim * shift * (level - data[0, 0]))


@density
def equicorrelated_density(x, data):  # type: ignore[no-untyped-def]
    """As `equicorrelated`."""
    dim = x.shape[0]
    level = 0.0
    for i in range(dim):
        level += x[i]
    level /= dim
    total = 0.0
    for i in range(dim):
        total += (x[i] - level) * (x[i] - level)
    return -0.5 * (data[0, 2] * total + dim * data[0, 1] * (level - data[0, 0]) * (level - data[0, 0]))


def correlated_gaussian(
    *,
    dim: int = 10,
    structure: str = "ar1",
    rho: float = 0.9,
    condition: float = 100.0,
    mean: float = 0.0,
    seed: int = 0,
) -> Target:
    """A Gaussian whose coordinates all have the mean `mean`; the normaliser is left out of its density.

    Args:
        dim: number of coordinates.
        structure: 'ar1' (unit variances, correlation rho^|i-j|), 'equicorrelated' (unit variances, correlation rho),
            or 'rotated' (covariance Q diag(l) Q^T with Q a rotation from Haar's measure and l log-spaced about 1).
        rho: the correlation; 'rotated' does not use it.
        condition: largest over smallest l of 'rotated'.
        mean: of every coordinate.
        seed: of the rotation.

    Raises:
        UsageError: an option is out of range.
    """
    require(dim >= 1, f"correlated_gaussian: dim={dim} is not accepted; it takes 1 or more")
    require(
        structure in STRUCTURES,
        f"correlated_gaussian: structure={structure!r} is not accepted; it takes {', '.join(STRUCTURES)}",
    )
    require(math.isfinite(mean), f"correlated_gaussian: mean={mean} is not accepted; it takes a finite number")
    if structure == "rotated":
        require(
            1.0 <= condition <= 1e12,
            f"correlated_gaussian: condition={condition:g} is not accepted; it takes 1 to 1e12",
        )
        return _rotated(dim, condition, mean, seed)
    lowest = -1.0 if structure == "ar1" or dim < 3 else -1.0 / (dim - 1)
    require(
        lowest < rho < 1.0,
        f"correlated_gaussian: rho={rho:g} is not accepted; {structure} in {dim} dimensions takes a number "
        f"above {lowest:.6g} and below 1",
    )
    return _equicorrelated(dim, rho, mean) if structure == "equicorrelated" or dim < 3 else _ar1(dim, rho, mean)


def _ar1(dim: int, rho: float, mean: float) -> Target:
    scale = 1.0 / ((1.0 - rho) * (1.0 + rho))
    index = np.arange(dim)
    precision = np.zeros((dim, dim))
    precision[index, index] = (1.0 + rho * rho) * scale
    precision[[0, -1], [0, -1]] = scale
    precision[index[1:], index[:-1]] = precision[index[:-1], index[1:]] = -rho * scale
    innovation = math.sqrt((1.0 - rho) * (1.0 + rho))

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        noise = rng.standard_normal((dim, n))
        for i in range(1, dim):
            noise[i] = rho * noise[i - 1] + innovation * noise[i]
        return np.ascontiguousarray(noise.T) + mean

    return _target(
        (ar1, ar1_density),
        [[mean, (1.0 + rho * rho) * scale, scale, rho * scale]],
        GaussianStructure(np.full(dim, mean), precision),
        rho ** np.abs(index[:, None] - index[None, :]),
        (dim - 1) * (math.log1p(-rho) + math.log1p(rho)),
        sample,
    )


def _equicorrelated(dim: int, rho: float, mean: float) -> Target:
    along, across = 1.0 + (dim - 1) * rho, 1.0 - rho
    across = across if dim > 1 else 1.0
    average = np.full((dim, dim), 1.0 / dim)
    data = np.zeros((2, WIDTH))
    data[0, :3] = mean, 1.0 / along, 1.0 / across
    data[1, WIDTH - dim % WIDTH :] = 1.0

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        noise = rng.standard_normal((n, dim))
        level = noise.mean(axis=1, keepdims=True)
        return np.asarray(math.sqrt(across) * (noise - level) + math.sqrt(along) * level + mean)

    return _target(
        (equicorrelated_many if dim > MANY else equicorrelated, equicorrelated_density),
        data,
        GaussianStructure(np.full(dim, mean), (np.eye(dim) - average) / across + average / along),
        np.eye(dim) * (1.0 - rho) + rho,
        (dim - 1) * math.log(across) + math.log(along),
        sample,
    )


def _rotated(dim: int, condition: float, mean: float, seed: int) -> Target:
    half = 0.5 * math.log10(condition)
    lengths = np.logspace(-half, half, dim) if dim > 1 else np.ones(1)
    # QR of a Gaussian matrix (Mezzadri 2007); the signs that he fixes cancel in Q diag(l) Q^T
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]
    precision = (rotation / lengths) @ rotation.T
    precision = 0.5 * (precision + precision.T)
    factor = rotation * np.sqrt(lengths)

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        return np.asarray(rng.standard_normal((n, dim)) @ factor.T + mean)

    return _target(
        dense_gaussian.kernels(dim),
        dense_gaussian.data(precision, mean),
        GaussianStructure(np.full(dim, mean), precision),
        (rotation * lengths) @ rotation.T,
        float(np.log(lengths).sum()),
        sample,
    )


def _target(
    kernels: tuple[Kernel, Density],
    data: Matrix | list[list[float]],
    gaussian: GaussianStructure,
    covariance: Matrix,
    log_determinant: float,
    sample: Sampler,
) -> Target:
    dim = len(gaussian.mean)
    return Target(
        name="correlated_gaussian",
        dim=dim,
        log_density_and_gradient=kernels[0],
        log_density=kernels[1],
        data=data_matrix(data),
        truth=Truth(
            Moments.gaussian(gaussian.mean, covariance),
            Certificate("closed form"),
            sample=sample,
            log_normaliser=0.5 * (dim * math.log(2.0 * math.pi) + log_determinant),
            entropy=0.5 * (dim * (1.0 + math.log(2.0 * math.pi)) + log_determinant),
        ),
        gaussian=gaussian,
        description=f"Gaussian in {dim} dimensions",
    )
