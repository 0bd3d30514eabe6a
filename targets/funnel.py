"""Neal's funnel (Slice sampling, 2003, section 8): v ~ N(0, scale^2), x[i] ~ N(0, exp(v)). Exact."""

import math

import numpy as np

from targets.kernel import Matrix, data_matrix, density, kernel
from targets.options import require
from targets.target import GaussianStructure, Named, Target
from targets.truth import Certificate, Moments, Truth

PARAMETERISATIONS = ("noncentred", "centred")
LARGEST_SCALE = 10.0  # the eighth power of exp(v / 2) still has a finite expectation in float64


@kernel
def noncentred(x, gradient, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """A standard normal; the data are not read."""
    total = 0.0
    for i in range(x.shape[0]):
        value = x[i]
        gradient[i] = -value
        total += value * value
    return -0.5 * total


@density
def noncentred_density(x, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """As `noncentred`."""
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * x[i]
    return -0.5 * total


@kernel
def centred(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: the precision of v. x[0] is v."""
    v = x[0]
    precision = math.exp(-v)
    total = 0.0
    for i in range(1, x.shape[0]):
        value = x[i]
        gradient[i] = -precision * value
        total += value * value
    half = 0.5 * (x.shape[0] - 1)
    energy = 0.5 * precision * total
    gradient[0] = energy - half - data[0, 0] * v
    return -0.5 * data[0, 0] * v * v - half * v - energy


@density
def centred_density(x, data):  # type: ignore[no-untyped-def]
    """As `centred`."""
    total = 0.0
    for i in range(1, x.shape[0]):
        total += x[i] * x[i]
    v = x[0]
    return -0.5 * (data[0, 0] * v * v + (x.shape[0] - 1) * v + math.exp(-v) * total)


def funnel(*, dim: int = 10, parameterisation: str = "noncentred", scale: float = 3.0) -> Target:
    """Neal's funnel, whose named quantities are v and x[1], ..., x[dim-1] in either parameterisation.

    Args:
        dim: number of coordinates, v included.
        parameterisation: 'noncentred' has the coordinates v / scale and x[i] exp(-v / 2), a standard normal;
            'centred' has v and x[i].
        scale: standard deviation of v.

    Raises:
        UsageError: an option is out of range.
    """
    require(dim >= 2, f"funnel: dim={dim} is not accepted; it takes 2 or more")
    require(
        parameterisation in PARAMETERISATIONS,
        f"funnel: parameterisation={parameterisation!r} is not accepted; it takes {' or '.join(PARAMETERISATIONS)}",
    )
    require(
        0.0 < scale <= LARGEST_SCALE,
        f"funnel: scale={scale:g} is not accepted; it takes a number above 0 and up to {LARGEST_SCALE:g}",
    )
    return (_noncentred if parameterisation == "noncentred" else _centred)(dim, scale)


def _noncentred(dim: int, scale: float) -> Target:
    def values(x: Matrix) -> Matrix:
        v = scale * x[:, :1]
        return np.hstack([v, np.exp(0.5 * v) * x[:, 1:]])

    identity, origin = np.eye(dim), np.zeros(dim)
    return Target(
        name="funnel",
        dim=dim,
        log_density_and_gradient=noncentred,
        log_density=noncentred_density,
        data=data_matrix([[0.0]]),
        truth=Truth(
            Moments.gaussian(origin, identity),
            Certificate("closed form"),
            sample=lambda rng, n: rng.standard_normal((n, dim)),
            log_normaliser=0.5 * dim * math.log(2.0 * math.pi),
            entropy=0.5 * dim * (1.0 + math.log(2.0 * math.pi)),
            named=_moments(dim, scale),
        ),
        coordinates=("v/scale", *(f"z[{i}]" for i in range(1, dim))),
        gaussian=GaussianStructure(origin, identity),
        named=Named(_names(dim), values),
        description=f"Neal's funnel in {dim} dimensions, in coordinates where it is a standard normal",
    )


def _centred(dim: int, scale: float) -> Target:
    def sample(rng: np.random.Generator, n: int) -> Matrix:
        draws = rng.standard_normal((n, dim))
        draws[:, 0] *= scale
        draws[:, 1:] *= np.exp(0.5 * draws[:, :1])
        return draws

    moments = _moments(dim, scale)
    return Target(
        name="funnel",
        dim=dim,
        log_density_and_gradient=centred,
        log_density=centred_density,
        data=data_matrix([[scale**-2]]),
        truth=Truth(
            moments,
            Certificate("closed form"),
            sample=sample,
            log_normaliser=0.5 * dim * math.log(2.0 * math.pi) + math.log(scale),
            # E v = 0, so the widths exp(v / 2) add nothing on average
            entropy=0.5 * dim * (1.0 + math.log(2.0 * math.pi)) + math.log(scale),
            named=moments,
        ),
        coordinates=_names(dim),
        tags=frozenset({"hard-geometry"}),
        named=Named(_names(dim), lambda x: x),
        description=f"Neal's funnel in {dim} dimensions, as it stands",
    )


def _names(dim: int) -> tuple[str, ...]:
    return ("v", *(f"x[{i}]" for i in range(1, dim)))


def _moments(dim: int, scale: float) -> Moments:
    """Exact moments of v and x: E x^2 = E exp(v), E x^4 = 3 E exp(2 v), both lognormal."""
    variance = np.full(dim, math.exp(0.5 * scale**2))
    fourth = np.full(dim, 3.0 * math.exp(2.0 * scale**2))
    variance[0], fourth[0] = scale**2, 3.0 * scale**4
    return Moments.from_central(np.zeros(dim), np.diag(variance), np.zeros(dim), fourth)
