"""The multivariate Student t: heavy tails, and moments that cease to exist as the degrees of freedom fall."""

import math

import numpy as np
from scipy.special import digamma, gammaln

from targets.exponential import log_one_plus
from targets.kernel import Matrix, data_matrix, density, lean_kernel
from targets.options import require
from targets.target import Target
from targets.truth import Certificate, Moments, Truth


@lean_kernel
def heavy(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: df, then the AR(1) scale matrix's inverse: interior diagonal, first entry, minus the off-diagonal."""
    dim = x.shape[0]
    last = dim - 1
    df, diagonal, edge, neighbour = data[0, 0], data[0, 1], data[0, 2], data[0, 3]
    inside, products = 0.0, x[0] * x[1]
    for i in range(1, last):
        inside += x[i] * x[i]
        products += x[i] * x[i + 1]
    total = diagonal * inside + edge * (x[0] * x[0] + x[last] * x[last]) - 2.0 * neighbour * products
    weight = (df + dim) / (df + total)
    diagonal, edge, neighbour = diagonal * weight, edge * weight, neighbour * weight
    for i in range(1, last):
        gradient[i] = neighbour * (x[i - 1] + x[i + 1]) - diagonal * x[i]
    gradient[0] = neighbour * x[1] - edge * x[0]
    gradient[last] = neighbour * x[last - 1] - edge * x[last]
    return -0.5 * (df + dim) * log_one_plus(total / df)


@density
def heavy_density(x, data):  # type: ignore[no-untyped-def]
    """As `heavy`."""
    dim = x.shape[0]
    last = dim - 1
    df, diagonal, edge, neighbour = data[0, 0], data[0, 1], data[0, 2], data[0, 3]
    inside, products = 0.0, x[0] * x[1]
    for i in range(1, last):
        inside += x[i] * x[i]
        products += x[i] * x[i + 1]
    total = diagonal * inside + edge * (x[0] * x[0] + x[last] * x[last]) - 2.0 * neighbour * products
    return -0.5 * (df + dim) * log_one_plus(total / df)


@lean_kernel
def spherical(x, gradient, data):  # type: ignore[no-untyped-def]
    """The scale matrix the identity, in half the time of `heavy` or less. One row: df."""
    df, dim = data[0, 0], x.shape[0]
    total = 0.0
    for i in range(dim):
        total += x[i] * x[i]
    weight = -(df + dim) / (df + total)
    for i in range(dim):
        gradient[i] = weight * x[i]
    return -0.5 * (df + dim) * log_one_plus(total / df)


@density
def spherical_density(x, data):  # type: ignore[no-untyped-def]
    """As `spherical`."""
    df, dim = data[0, 0], x.shape[0]
    total = 0.0
    for i in range(dim):
        total += x[i] * x[i]
    return -0.5 * (df + dim) * log_one_plus(total / df)


def student_t(*, dim: int = 10, df: float = 5.0, rho: float = 0.0) -> Target:
    """The multivariate t about zero with `df` degrees of freedom and the scale matrix rho^|i-j|.

    Its variances are df / (df - 2). Through their common width the coordinates depend on each other even at rho = 0.
    Moments that do not exist are NaN: the mean for df <= 1, the covariance for df <= 2, the scales of the squared
    errors for df <= 4.

    Raises:
        UsageError: an option is out of range.
    """
    require(dim >= 1, f"student_t: dim={dim} is not accepted; it takes 1 or more")
    require(0.0 < df < math.inf, f"student_t: df={df:g} is not accepted; it takes a positive number")
    require(-1.0 < rho < 1.0, f"student_t: rho={rho:g} is not accepted; it takes a number above -1 and below 1")
    index = np.arange(dim)
    correlation = rho ** np.abs(index[:, None] - index[None, :])
    scale = 1.0 / ((1.0 - rho) * (1.0 + rho))
    innovation = math.sqrt((1.0 - rho) * (1.0 + rho))

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        noise = rng.standard_normal((dim, n))
        for i in range(1, dim):
            noise[i] = rho * noise[i - 1] + innovation * noise[i]
        return np.ascontiguousarray((noise / np.sqrt(rng.chisquare(df, n) / df)).T)

    log_determinant = (dim - 1) * (math.log1p(-rho) + math.log1p(rho))
    log_normaliser = float(
        gammaln(0.5 * df) - gammaln(0.5 * (df + dim)) + 0.5 * dim * math.log(df * math.pi) + 0.5 * log_determinant
    )
    independent = dim == 1 or rho == 0.0
    return Target(
        name="student_t",
        dim=dim,
        log_density_and_gradient=spherical if independent else heavy,
        log_density=spherical_density if independent else heavy_density,
        data=data_matrix([[df, (1.0 + rho * rho) * scale, scale, rho * scale]]),
        truth=Truth(
            _moments(correlation, df),
            Certificate("closed form"),
            sample=sample,
            log_normaliser=log_normaliser,
            entropy=log_normaliser + float(0.5 * (df + dim) * (digamma(0.5 * (df + dim)) - digamma(0.5 * df))),
        ),
        description=f"Student t with {df:g} degrees of freedom in {dim} dimensions",
    )


def _moments(correlation: Matrix, df: float) -> Moments:
    dim = len(correlation)
    mean = np.full(dim, 0.0 if df > 1.0 else math.nan)
    covariance = correlation * (df / (df - 2.0) if df > 2.0 else math.nan)
    fourth = np.full(dim, 3.0 * df**2 / ((df - 2.0) * (df - 4.0)) if df > 4.0 else math.nan)
    return Moments.from_central(mean, covariance, np.zeros(dim), fourth)
