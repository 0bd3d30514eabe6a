"""Gaussian process regression on 21 years of hare pelts: the posterior of its three hyperparameters.

    f ~ GP(0, amplitude^2 exp(-(t - t')^2 / (2 length^2)))   y_i ~ N(f(t_i), noise)

with f integrated out: y ~ N(0, K + noise^2 I). y is the standardised log of the pelts that the Hudson's Bay Company
bought in a year (Howard 2009). Coordinates: log length ~ N(1, 0.5), log amplitude ~ N(0, 0.5), log noise ~ N(-1, 0.5),
the length in years. The density keeps every constant: its log normaliser is the log evidence.
"""

import functools
import math
import pathlib

import numpy as np

from targets.exponential import exp_minus
from targets.kernel import Matrix, Vector, data_matrix, density, helper, kernel
from targets.options import require
from targets.quadrature import Grid, conditional_moments
from targets.target import Generative, Named, Target
from targets.truth import Certificate, Moments, Truth

SPECIES = ("hare", "lynx")
LENGTH, NOISE = 1.0, -1.0  # prior means of the logs; that of the amplitude is 0
PRIOR_PRECISION = 4.0  # of each of the three
STEPS = np.array([0.1, 0.16, 0.13])  # of the grid: log length, log noise less log amplitude, log amplitude
LEAST_PIVOT = 1e-5  # of a correlation's factor: below it rounding decides, and the density is called zero

FARTHEST = 700.0  # half squared lengths apart, where the correlation is zero
FAR = 7.0  # of the coarse grid, in each direction
# from the grid's coordinates to the target's: log noise = log of noise / amplitude, plus log amplitude
_SHEAR = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]])

_FILE = pathlib.Path(__file__).parent / "data" / "hudson_bay.csv"
_LOG_2PI = math.log(2 * math.pi)
_PRIOR = 1.5 * (math.log(PRIOR_PRECISION) - _LOG_2PI)


@helper
def _whiten(work, data, steep, share):  # type: ignore[no-untyped-def]
    """Of the correlation: its lower factor in rows 0 to n - 1, the observations divided by it in row n.

    Returns their sum of squares and the sum of the logs of the factor's squared diagonal; NaN where there is no factor.
    """
    n = data.shape[1]
    squares, logs = 0.0, 0.0
    for i in range(n):
        for j in range(i):
            work[i, j] = share * exp_minus(steep * (data[0, i] - data[0, j]) ** 2)
        pivot, total = 1.0, data[1, i]
        for j in range(i):
            value = work[i, j]
            for k in range(j):
                value -= work[i, k] * work[j, k]
            value /= work[j, j]
            work[i, j] = value
            pivot -= value * value
            total -= value * work[n, j]
        if not pivot > LEAST_PIVOT:
            return math.nan, math.nan
        work[i, i] = math.sqrt(pivot)
        total /= work[i, i]
        work[n, i] = total
        squares += total * total
        logs += math.log(pivot)
    return squares, logs


@helper
def _log_prior(x):  # type: ignore[no-untyped-def]
    return _PRIOR - 0.5 * PRIOR_PRECISION * ((x[0] - LENGTH) ** 2 + x[1] * x[1] + (x[2] - NOISE) ** 2)


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Rows: times and observations. d log p / d theta = tr((w w' - K^-1) dK / d theta) / 2, w = K^-1 y."""
    n = data.shape[1]
    steep, signal, shift = 0.5 * math.exp(-2.0 * x[0]), math.exp(2.0 * x[1]), math.exp(2.0 * x[2])
    variance = signal + shift  # the covariance is this times a correlation, which neither overflows nor underflows
    share = signal / variance
    work = np.empty((n + 2, n))
    squares, logs = _whiten(work, data, steep, share)
    if math.isnan(squares):
        gradient[0] = gradient[1] = gradient[2] = math.nan
        return -math.inf
    # row j: column j of the factor's inverse, after zeros, so that all sums run along rows
    inverse = np.zeros((n, n))
    pull, trace, weights = 0.0, 0.0, 0.0
    for j in range(n):
        inverse[j, j] = 1.0 / work[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for k in range(i):
                total -= work[i, k] * inverse[j, k]
            inverse[j, i] = total / work[i, i]
        weight = 0.0
        for k in range(n):
            weight += inverse[j, k] * work[n, k]
            trace += inverse[j, k] * inverse[j, k]
        work[n + 1, j] = weight
        weights += weight * weight
        for i in range(j):
            total = weight * work[n + 1, i] / variance
            for k in range(n):
                total -= inverse[i, k] * inverse[j, k]
            apart = min(steep * (data[0, i] - data[0, j]) ** 2, FARTHEST)
            pull += total * apart * exp_minus(apart)
    by_noise = shift / variance * (weights / variance - trace)
    gradient[0] = 2.0 * share * pull - PRIOR_PRECISION * (x[0] - LENGTH)
    gradient[1] = squares / variance - n - by_noise - PRIOR_PRECISION * x[1]
    gradient[2] = by_noise - PRIOR_PRECISION * (x[2] - NOISE)
    return _log_prior(x) - 0.5 * (squares / variance + logs + n * (math.log(variance) + _LOG_2PI))


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`."""
    n = data.shape[1]
    signal = math.exp(2.0 * x[1])
    variance = signal + math.exp(2.0 * x[2])
    work = np.empty((n + 1, n))
    squares, logs = _whiten(work, data, 0.5 * math.exp(-2.0 * x[0]), signal / variance)
    if math.isnan(squares):
        return -math.inf
    return _log_prior(x) - 0.5 * (squares / variance + logs + n * (math.log(variance) + _LOG_2PI))


def gaussian_process_regression(*, species: str = "hare") -> Target:
    """The posterior of length, amplitude and noise, with truth by quadrature in three dimensions.

    Args:
        species: 'hare' or 'lynx'.

    Raises:
        UsageError: another species.
    """
    require(
        species in SPECIES,
        f"gaussian_process_regression: species={species!r} is not accepted; it takes {' or '.join(SPECIES)}",
    )
    return Target(
        name="gaussian_process_regression",
        dim=3,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=_observations(species),
        truth=_truth(species),
        coordinates=("log_length", "log_amplitude", "log_noise"),
        named=Named(("length", "amplitude", "noise"), np.exp),
        generative=_generative(_observations(species)[0]),
        description=f"hyperparameters of a Gaussian process through the logs of {species} pelts, 1900 to 1920",
    )


def _observations(species: str) -> Matrix:
    """(2, 21): years, and standardised logs of pelts."""
    years, *pelts = np.loadtxt(_FILE, delimiter=",", skiprows=1).T
    logs = np.log(pelts[SPECIES.index(species)])
    return data_matrix([years, (logs - logs.mean()) / logs.std()])


def _generative(years: Vector) -> Generative:
    apart = 0.5 * (years[:, None] - years) ** 2

    def prior(rng: np.random.Generator) -> Vector:
        return np.array([LENGTH, 0.0, NOISE]) + rng.standard_normal(3) / math.sqrt(PRIOR_PRECISION)

    def simulate(rng: np.random.Generator, x: Vector) -> Matrix:
        length, amplitude, noise = np.exp(x)
        covariance = amplitude**2 * np.exp(-apart / length**2) + noise**2 * np.eye(len(years))
        return np.stack([years, np.linalg.cholesky(covariance) @ rng.standard_normal(len(years))])

    return Generative(prior, simulate, np.zeros((2, 0)))


@functools.cache
def _truth(species: str) -> Truth:
    """By the trapezoidal rule over log length, log of noise / amplitude, and log amplitude.

    Given the first two the covariance is amplitude^2 V diag(spread) V', so that a row of the grid costs one spectrum.
    """
    years, y = _observations(species)
    apart = 0.5 * (years[:, None] - years) ** 2

    def log_density(points: Matrix) -> Vector:
        first = np.concatenate([[True], (np.diff(points[:, :2], axis=0) != 0).any(axis=1)])
        row, rows = np.cumsum(first) - 1, points[first]
        log_length, which = np.unique(rows[:, 0], return_inverse=True)
        values, vectors = np.linalg.eigh(np.exp(-apart * np.exp(-2 * log_length)[:, None, None]))
        spread = np.maximum(values, 0.0)[which] + np.exp(2 * rows[:, 1:2])
        fit = ((y @ vectors)[which] ** 2 / spread).sum(axis=1)[row] * np.exp(-2 * points[:, 2])
        logs = np.log(spread).sum(axis=1)[row] + len(y) * (2 * points[:, 2] + _LOG_2PI)
        away = points @ _SHEAR.T - (LENGTH, 0.0, NOISE)
        return np.asarray(_PRIOR - 0.5 * (fit + logs + PRIOR_PRECISION * (away**2).sum(axis=1)))

    centre = np.array([LENGTH, NOISE, 0.0])
    coarse = Grid(log_density, centre - FAR, centre + FAR, (49, 49, 49))
    inside = coarse.nodes[coarse.log_values > coarse.log_values.max() - 40]
    lower, upper = inside.min(axis=0) - coarse.steps, inside.max(axis=0) + coarse.steps
    long, wide, high = (math.ceil(size) + 1 for size in (upper - lower) / STEPS)
    grid = Grid(log_density, lower, upper, (long, wide, high))
    nodes = grid.nodes @ _SHEAR.T
    none = np.zeros((1, 3))

    def moments(values: Matrix) -> Moments:
        return conditional_moments(grid.masses, values, none, np.zeros((3, 3)))

    return Truth(
        moments=moments(nodes),
        certificate=Certificate("quadrature", "trapezoidal rule", {"nodes": len(nodes)}),
        sample=lambda rng, n: np.asarray(grid.sample(rng, n) @ _SHEAR.T),
        log_normaliser=grid.log_normaliser,
        entropy=grid.entropy,
        named=moments(np.exp(nodes)),
    )
