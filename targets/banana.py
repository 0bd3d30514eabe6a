"""A Gaussian bent along a parabola (Haario, Saksman and Tamminen 1999), exact in every dimension from two up."""

import math

import numpy as np

from targets.kernel import Matrix, data_matrix, density, kernel
from targets.options import require
from targets.target import Target
from targets.truth import Certificate, Moments, Truth


@kernel
def bent(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: the precision of x[0], its variance, the curvature."""
    precision, variance, curvature = data[0, 0], data[0, 1], data[0, 2]
    first = x[0]
    residual = x[1] - curvature * (first * first - variance)
    total = 0.0
    for i in range(x.shape[0] - 2):  # a range that starts elsewhere than at 0 or 1 is compiled to ten times slower code
        value = x[i + 2]
        gradient[i + 2] = -value
        total += value * value
    gradient[0] = first * (2.0 * curvature * residual - precision)
    gradient[1] = -residual
    return -0.5 * (total + precision * first * first + residual * residual)


@density
def bent_density(x, data):  # type: ignore[no-untyped-def]
    """As `bent`."""
    residual = x[1] - data[0, 2] * (x[0] * x[0] - data[0, 1])
    total = data[0, 0] * x[0] * x[0] + residual * residual
    for i in range(x.shape[0] - 2):
        total += x[i + 2] * x[i + 2]
    return -0.5 * total


def banana(*, dim: int = 2, scale: float = 10.0, curvature: float = 0.03) -> Target:
    """x[0] ~ N(0, scale^2), x[1] | x[0] ~ N(curvature (x[0]^2 - scale^2), 1), all others N(0, 1).

    Args:
        dim: number of coordinates.
        scale: standard deviation of x[0].
        curvature: of the parabola; zero makes a Gaussian.

    Raises:
        UsageError: an option is out of range.
    """
    require(dim >= 2, f"banana: dim={dim} is not accepted; it takes 2 or more")
    require(0.0 < scale < math.inf, f"banana: scale={scale:g} is not accepted; it takes a positive number")
    require(math.isfinite(curvature), f"banana: curvature={curvature:g} is not accepted; it takes a finite number")

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        draws = rng.standard_normal((n, dim))
        draws[:, 0] *= scale
        draws[:, 1] += curvature * (draws[:, 0] ** 2 - scale**2)
        return draws

    # x[1] = bend (z^2 - 1) + noise; the central moments of chi^2 with one degree of freedom are 2, 8, 60.
    bend = curvature * scale**2
    variance, third, fourth = np.ones(dim), np.zeros(dim), np.full(dim, 3.0)
    variance[:2] = scale**2, 2.0 * bend**2 + 1.0
    third[1] = 8.0 * bend**3
    fourth[:2] = 3.0 * scale**4, 60.0 * bend**4 + 12.0 * bend**2 + 3.0
    return Target(
        name="banana",
        dim=dim,
        log_density_and_gradient=bent,
        log_density=bent_density,
        data=data_matrix([[scale**-2, scale**2, curvature]]),
        truth=Truth(
            Moments.from_central(np.zeros(dim), np.diag(variance), third, fourth),
            Certificate("closed form"),
            sample=sample,
            log_normaliser=0.5 * dim * math.log(2.0 * math.pi) + math.log(scale),
            entropy=0.5 * dim * (1.0 + math.log(2.0 * math.pi)) + math.log(scale),
        ),
        description=f"Gaussian bent along a parabola, in {dim} dimensions",
    )
