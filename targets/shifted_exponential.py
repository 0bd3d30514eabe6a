"""Least delays and a common rate from waiting times: a posterior that is highest where it ends.

    rate ~ LogNormal(0, 1)   delay_j ~ Uniform(0, 5)   wait_ij ~ delay_j + Exponential(rate)

Nothing is shorter than its delay, so that the density is zero beyond the shortest wait of each group and highest right
at it. Given the rate the delays are independent truncated exponentials, and the truth needs quadrature over log rate
alone. The density keeps every constant: its log normaliser is the log evidence.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import factorial, gammainc

from targets.kernel import Matrix, Vector, data_matrix, density, kernel
from targets.options import require
from targets.quadrature import Grid
from targets.target import HARD_BOUNDARY, Generative, Named, Target
from targets.truth import Certificate, Moments, Truth

LONGEST = 5.0  # delay that the prior allows
RATE = 1.0  # that the waits are simulated with; the delays are uniform on (0, 1)

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Row 0: the shortest wait of each group. Row 1: waits in a group, and the sum of all. x[0] is the log rate."""
    groups, n = x.shape[0] - 1, data[1, 0]
    rate = math.exp(x[0])
    total, inside = 0.0, True
    for j in range(groups):
        delay = x[1 + j]
        inside &= (delay >= 0.0) & (delay <= data[0, j])
        total += delay
        gradient[1 + j] = n * rate
    left = rate * (data[1, 1] - n * total)
    gradient[0] = n * groups - left - x[0]
    if not inside:
        return -math.inf
    return n * groups * x[0] - left - 0.5 * x[0] * x[0] - _HALF_LOG_2PI - groups * math.log(LONGEST)


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`."""
    groups, n = x.shape[0] - 1, data[1, 0]
    total, inside = 0.0, True
    for j in range(groups):
        inside &= (x[1 + j] >= 0.0) & (x[1 + j] <= data[0, j])
        total += x[1 + j]
    if not inside:
        return -math.inf
    left = math.exp(x[0]) * (data[1, 1] - n * total)
    return n * groups * x[0] - left - 0.5 * x[0] * x[0] - _HALF_LOG_2PI - groups * math.log(LONGEST)


def shifted_exponential(*, groups: int = 4, n: int = 5, seed: int = 0) -> Target:
    """The posterior of the delays and of the log rate, given simulated waiting times.

    Args:
        groups: each with a delay of its own.
        n: waits in each group.
        seed: of the waits.

    Raises:
        UsageError: an option is out of range.
    """
    require(groups >= 1, f"shifted_exponential: groups={groups} is not accepted; it takes 1 or more")
    require(n >= 1, f"shifted_exponential: n={n} is not accepted; it takes 1 or more")
    rng = np.random.default_rng(seed)
    data = _waits(rng, rng.random(groups), RATE, n)
    none = np.zeros_like(data)
    none[0, :groups] = LONGEST
    delays = tuple(f"delay[{j}]" for j in range(1, groups + 1))

    def initial(data: Matrix) -> Callable[[np.random.Generator], Vector]:
        return lambda rng: np.concatenate([rng.uniform(-2.0, 2.0, 1), data[0, :groups] * rng.random(groups)])

    return Target(
        name="shifted_exponential",
        dim=1 + groups,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data_matrix(data),
        truth=_truth(n, data[0, :groups], float(data[1, 1])),
        coordinates=("log_rate", *delays),
        named=Named(("rate", *delays), _named),
        tags=frozenset({HARD_BOUNDARY}),
        initial=initial(data),
        generative=Generative(
            lambda rng: np.concatenate([rng.standard_normal(1), LONGEST * rng.random(groups)]),
            lambda rng, x: _waits(rng, x[1:], math.exp(x[0]), n),
            none,
            initial,
        ),
        description=f"least delays of {groups} groups and their common rate: a density with edges",
    )


def _waits(rng: np.random.Generator, delays: Vector, rate: float, n: int) -> Matrix:
    """The data of `n` waits in each group."""
    waits = delays[:, None] + rng.exponential(1 / rate, (len(delays), n))
    data = np.zeros((2, max(2, len(delays))))
    data[0, : len(delays)] = np.minimum(waits.min(axis=1), LONGEST)
    data[1, :2] = n, waits.sum()
    return data


def _named(x: Matrix) -> Matrix:
    return np.hstack([np.exp(x[:, :1]), x[:, 1:]])


def _truth(n: int, shortest: Vector, total: float) -> Truth:
    """Given the rate, shortest - delay is an exponential of rate `n rate`, cut at the shortest."""
    groups = len(shortest)
    slack = total - n * float(shortest.sum())  # the sum of all waits less those that delays can explain

    def log_density(u: Matrix) -> Vector:
        steep = n * np.exp(u)
        cut = (np.log(-np.expm1(-steep * shortest)) - np.log(steep)).sum(axis=1)
        constant = _HALF_LOG_2PI + groups * math.log(LONGEST)
        return np.asarray(n * groups * u[:, 0] - np.exp(u[:, 0]) * slack + cut - 0.5 * u[:, 0] ** 2 - constant)

    grid = _grid(log_density, n * groups)
    steep = n * np.exp(grid.nodes)  # (nodes, 1)
    # E gap^p = p! / steep^p P(p + 1, steep shortest) / P(1, steep shortest), P the incomplete gamma function
    gap = [factorial(p) / steep**p * gammainc(p + 1, steep * shortest) / -np.expm1(-steep * shortest) for p in range(5)]

    def moments(first: Matrix) -> Moments:
        own = [first**p for p in range(5)]
        raw = [np.hstack([own[p], (-1.0) ** p * gap[p]]) for p in range(5)]  # of the first and of minus the gaps
        mean, two, three, four = (grid.masses @ raw[p] for p in range(1, 5))
        away = raw[1] - mean
        covariance = (away * grid.masses[:, None]).T @ away
        covariance[np.diag_indices(1 + groups)] = two - mean**2
        third = three - 3 * mean * two + 2 * mean**3
        fourth = four - 4 * mean * three + 6 * mean**2 * two - 3 * mean**4
        shift = np.concatenate([[0.0], shortest])
        return Moments.from_central(mean + shift, covariance, third, fourth)

    def sample(rng: np.random.Generator, m: int) -> Matrix:
        log_rate = grid.sample(rng, m)
        steep = n * np.exp(log_rate)
        drawn = -np.log1p(rng.random((m, groups)) * np.expm1(-steep * shortest)) / steep
        return np.hstack([log_rate, np.clip(shortest - drawn, 0.0, shortest)])

    u = grid.nodes[:, 0]
    left = np.exp(u) * (slack + n * gap[1].sum(axis=1))
    constant = _HALF_LOG_2PI + groups * math.log(LONGEST)
    mean_log_density = float(grid.masses @ (n * groups * u - left - 0.5 * u**2)) - constant
    return Truth(
        moments=moments(grid.nodes),
        certificate=Certificate("quadrature", "trapezoidal rule over the log rate; closed forms given it"),
        sample=sample,
        log_normaliser=grid.log_normaliser,
        named=moments(np.exp(grid.nodes)),
    ).with_entropy_from(mean_log_density)


def _grid(log_density: Callable[[Matrix], Vector], waits: int) -> Grid:
    """About the mode, as wide as the prior lets it be and finer than the least standard deviation there can be."""
    scan = np.linspace(-40.0, 40.0, 8001)[:, None]
    values = log_density(scan)
    inside = scan[values > values.max() - 80]  # exp(4 u) is to be integrated too
    lower, upper = inside.min() - 0.02, inside.max() + 0.02
    count = math.ceil((upper - lower) * math.sqrt(1 + waits) / 0.25) + 1
    return Grid(log_density, np.array([lower]), np.array([upper]), (count,))
