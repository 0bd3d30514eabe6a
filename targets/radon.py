"""Radon in the homes of Minnesota: a varying-intercept regression on real data (Gelman and Hill 2007, chapter 12).

    a_j ~ N(intercept + uranium u_j, county_sd)   log radon_i ~ N(a_county(i) + floor f_i, home_sd)

919 homes in 85 counties; u_j is the log of the county's soil uranium, f_i says whether the measurement was made on the
first floor rather than in the basement. The three coefficients have N(0, 2.5) priors, the two standard deviations
half-normal(0, 1) ones. Coordinates: intercept, uranium, floor, both log standard deviations, and a_j (centred) or
(a_j - its mean) / county_sd (non-centred).

Given the two standard deviations all else is Gaussian, so that the truth needs quadrature over these two alone. The
density keeps every constant: its log normaliser is the log evidence.
"""

import functools
import math
import pathlib
from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix, Vector, data_matrix, density, kernel
from targets.options import require
from targets.quadrature import Grid, conditional_moments
from targets.target import Generative, Named, Target
from targets.truth import Certificate, Moments, Truth

PARAMETERISATIONS = ("noncentred", "centred")
PRIOR_SD = 2.5  # of the coefficients
LEAST = 0.1  # pCi/l: what readings of zero are set to, as in the book
COEFFICIENTS = 3

_FILE = pathlib.Path(__file__).parent / "data" / "radon.csv"
_LOG_2PI = math.log(2 * math.pi)
# of the priors: three normals, and two half-normals with the Jacobians of their logarithms
_PRIOR = -1.5 * _LOG_2PI - 3 * math.log(PRIOR_SD) + 2 * math.log(2) - _LOG_2PI


@kernel
def noncentred(x, gradient, data):  # type: ignore[no-untyped-def]
    """A column a county. Rows: homes; first floors; log uranium; sums of log radon, of it on first floors, of squares.

    The likelihood needs no more of the homes than these sums.
    """
    counties = data.shape[1]
    intercept, uranium, floor = x[0], x[1], x[2]
    county_sd, precision = math.exp(x[3]), math.exp(-2.0 * x[4])
    homes, misses, squares = 0.0, 0.0, 0.0
    to_mean, to_uranium, to_floor, to_sd = 0.0, 0.0, 0.0, 0.0
    for j in range(counties):
        raw = x[5 + j]
        level = intercept + uranium * data[2, j] + county_sd * raw
        upstairs = floor * data[1, j]
        slope = precision * (data[3, j] - data[0, j] * level - upstairs)
        to_floor += data[4, j] - level * data[1, j] - upstairs
        misses += data[5, j] - level * (2.0 * data[3, j] - data[0, j] * level - 2.0 * upstairs)
        misses += floor * (upstairs - 2.0 * data[4, j])
        gradient[5 + j] = county_sd * slope - raw
        to_mean += slope
        to_uranium += slope * data[2, j]
        to_sd += slope * raw
        homes += data[0, j]
        squares += raw * raw
    gradient[0] = to_mean - intercept / PRIOR_SD**2
    gradient[1] = to_uranium - uranium / PRIOR_SD**2
    gradient[2] = precision * to_floor - floor / PRIOR_SD**2
    gradient[3] = county_sd * to_sd + 1.0 - county_sd * county_sd
    gradient[4] = precision * misses - homes + 1.0 - 1.0 / precision
    squares += (intercept * intercept + uranium * uranium + floor * floor) / PRIOR_SD**2 + precision * misses
    squares += county_sd * county_sd + 1.0 / precision + (counties + homes) * _LOG_2PI
    return _PRIOR - 0.5 * squares + x[3] + (1.0 - homes) * x[4]


@density
def noncentred_density(x, data):  # type: ignore[no-untyped-def]
    """As `noncentred`."""
    counties = data.shape[1]
    floor, county_sd, precision = x[2], math.exp(x[3]), math.exp(-2.0 * x[4])
    homes, misses, squares = 0.0, 0.0, 0.0
    for j in range(counties):
        level = x[0] + x[1] * data[2, j] + county_sd * x[5 + j]
        upstairs = floor * data[1, j]
        misses += data[5, j] - level * (2.0 * data[3, j] - data[0, j] * level - 2.0 * upstairs)
        misses += floor * (upstairs - 2.0 * data[4, j])
        homes += data[0, j]
        squares += x[5 + j] * x[5 + j]
    squares += (x[0] * x[0] + x[1] * x[1] + floor * floor) / PRIOR_SD**2 + precision * misses
    squares += county_sd * county_sd + 1.0 / precision + (counties + homes) * _LOG_2PI
    return _PRIOR - 0.5 * squares + x[3] + (1.0 - homes) * x[4]


@kernel
def centred(x, gradient, data):  # type: ignore[no-untyped-def]
    """As `noncentred` for the data."""
    counties = data.shape[1]
    intercept, uranium, floor = x[0], x[1], x[2]
    between, precision = math.exp(-2.0 * x[3]), math.exp(-2.0 * x[4])
    homes, misses, squares, to_mean, to_uranium, to_floor = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(counties):
        level = x[5 + j]
        away = level - intercept - uranium * data[2, j]
        upstairs = floor * data[1, j]
        slope = data[3, j] - data[0, j] * level - upstairs
        to_floor += data[4, j] - level * data[1, j] - upstairs
        misses += data[5, j] - level * (2.0 * data[3, j] - data[0, j] * level - 2.0 * upstairs)
        misses += floor * (upstairs - 2.0 * data[4, j])
        gradient[5 + j] = precision * slope - between * away
        to_mean += away
        to_uranium += away * data[2, j]
        homes += data[0, j]
        squares += away * away
    gradient[0] = between * to_mean - intercept / PRIOR_SD**2
    gradient[1] = between * to_uranium - uranium / PRIOR_SD**2
    gradient[2] = precision * to_floor - floor / PRIOR_SD**2
    gradient[3] = between * squares - counties + 1.0 - 1.0 / between
    gradient[4] = precision * misses - homes + 1.0 - 1.0 / precision
    total = (intercept * intercept + uranium * uranium + floor * floor) / PRIOR_SD**2
    total += between * squares + precision * misses + 1.0 / between + 1.0 / precision + (counties + homes) * _LOG_2PI
    return _PRIOR - 0.5 * total + (1.0 - counties) * x[3] + (1.0 - homes) * x[4]


@density
def centred_density(x, data):  # type: ignore[no-untyped-def]
    """As `noncentred` for the data."""
    counties = data.shape[1]
    floor, between, precision = x[2], math.exp(-2.0 * x[3]), math.exp(-2.0 * x[4])
    homes, misses, squares = 0.0, 0.0, 0.0
    for j in range(counties):
        level = x[5 + j]
        upstairs = floor * data[1, j]
        misses += data[5, j] - level * (2.0 * data[3, j] - data[0, j] * level - 2.0 * upstairs)
        misses += floor * (upstairs - 2.0 * data[4, j])
        homes += data[0, j]
        squares += (level - x[0] - x[1] * data[2, j]) ** 2
    total = (x[0] * x[0] + x[1] * x[1] + floor * floor) / PRIOR_SD**2
    total += between * squares + precision * misses + 1.0 / between + 1.0 / precision + (counties + homes) * _LOG_2PI
    return _PRIOR - 0.5 * total + (1.0 - counties) * x[3] + (1.0 - homes) * x[4]


def radon(*, parameterisation: str = "noncentred") -> Target:
    """The posterior of radon levels in the counties of Minnesota, with truth by quadrature.

    Args:
        parameterisation: 'noncentred', or 'centred', with the counties' levels themselves as coordinates.

    Raises:
        UsageError: another parameterisation.
    """
    require(
        parameterisation in PARAMETERISATIONS,
        f"radon: parameterisation={parameterisation!r} is not accepted; it takes {' or '.join(PARAMETERISATIONS)}",
    )
    counties, data = homes()
    raw = parameterisation == "noncentred"
    letter = "raw" if raw else "level"
    return Target(
        name="radon",
        dim=2 + COEFFICIENTS + len(counties),
        log_density_and_gradient=noncentred if raw else centred,
        log_density=noncentred_density if raw else centred_density,
        data=data,
        truth=_truth(raw),
        coordinates=(
            *("intercept", "uranium", "floor", "log_county_sd", "log_home_sd"),
            *(f"{letter}[{county}]" for county in counties),
        ),
        named=Named(
            ("intercept", "uranium", "floor", "county_sd", "home_sd", *(f"level[{county}]" for county in counties)),
            _from_noncentred if raw else _from_centred,
        ),
        generative=_generative(raw),
        description=f"radon in 919 homes of 85 counties, varying intercepts, {parameterisation}",
    )


@functools.cache
def homes() -> tuple[tuple[str, ...], Matrix]:
    """Names of the counties, and the data as `noncentred` takes them, (6, 85)."""
    with _FILE.open(encoding="ascii") as file:
        rows = [line.strip().split(",") for line in file][1:]
    counties = sorted({row[0] for row in rows})
    floor, reading, uranium = np.array([row[1:] for row in rows], dtype=np.float64).T
    which = np.searchsorted(counties, [row[0] for row in rows])
    y = np.log(np.maximum(reading, LEAST))

    def sums(values: Vector) -> Vector:
        return np.bincount(which, values).astype(np.float64)

    count = sums(np.ones_like(y))
    log_uranium = np.log(sums(uranium) / count)
    return tuple(counties), data_matrix([count, sums(floor), log_uranium, sums(y), sums(y * floor), sums(y**2)])


def _generative(raw: bool) -> Generative:
    count, floors, uranium, *_ = homes()[1]
    which = np.repeat(np.arange(len(count)), count.astype(np.intp))
    first = np.arange(len(which)) < np.repeat(np.cumsum(count) - count + floors, count.astype(np.intp))

    def prior(rng: np.random.Generator) -> Vector:
        coefficients, scales = PRIOR_SD * rng.standard_normal(COEFFICIENTS), np.abs(rng.standard_normal(2))
        z = rng.standard_normal(len(count))
        level = coefficients[0] + coefficients[1] * uranium + scales[0] * z
        return np.concatenate([coefficients, np.log(scales), z if raw else level])

    def simulate(rng: np.random.Generator, x: Vector) -> Matrix:
        named = (_from_noncentred if raw else _from_centred)(x[None])[0]
        y = named[5:][which] + named[2] * first + named[4] * rng.standard_normal(len(which))
        sums = (np.bincount(which, of) for of in (y, y * first, y**2))
        return np.stack([count, floors, uranium, *sums])

    return Generative(prior, simulate, np.stack([*np.zeros((2, len(count))), uranium, *np.zeros((3, len(count)))]))


def _from_noncentred(x: Matrix) -> Matrix:
    mean = x[:, :1] + x[:, 1:2] * homes()[1][2]
    scales = np.exp(x[:, 3:5])
    return np.hstack([x[:, :3], scales, mean + scales[:, :1] * x[:, 5:]])


def _from_centred(x: Matrix) -> Matrix:
    return np.hstack([x[:, :3], np.exp(x[:, 3:5]), x[:, 5:]])


@dataclass(frozen=True)
class _Given:
    """The Gaussian that all else is, given the log standard deviations (m, 2) of counties and homes.

    Attributes:
        log_evidence: (m,).
        mean: (m, 3) of the coefficients.
        covariance: (m, 3, 3) of the coefficients.
        shrink: (m, counties) county_sd^2 / (home_sd^2 + homes county_sd^2).
    """

    log_evidence: Vector
    mean: Matrix
    covariance: np.ndarray
    shrink: Matrix

    @classmethod
    def at(cls, scales: Matrix) -> "_Given":
        count, floors, uranium, y, y_floor, y_square = homes()[1]
        within = np.exp(2 * scales[:, 1:])
        shrink = 1 / (np.exp(2 * (scales[:, 1:] - scales[:, :1])) + count)
        sums = np.stack([count, count * uranium, floors], axis=1)  # (counties, 3) of the regressors
        squares = np.array(
            [
                [count.sum(), sums[:, 1].sum(), floors.sum()],
                [sums[:, 1].sum(), (sums[:, 1] * uranium).sum(), (floors * uranium).sum()],
                [floors.sum(), (floors * uranium).sum(), floors.sum()],
            ]
        )
        products = np.array([y.sum(), (y * uranium).sum(), y_floor.sum()])
        outer = (sums[:, :, None] * sums[:, None]).reshape(len(count), -1)
        precision = (squares - (shrink @ outer).reshape(-1, 3, 3)) / within[:, :, None] + np.eye(3) / PRIOR_SD**2
        covariance = np.linalg.inv(precision)
        pull = (products - (shrink * y) @ sums) / within
        mean = np.einsum("mij,mj->mi", covariance, pull)
        log_determinant = (count.sum() - len(count)) * 2 * scales[:, 1] + np.log(
            within + count * np.exp(2 * scales[:, :1])
        ).sum(axis=1)
        log_determinant += np.linalg.slogdet(precision)[1] + 6 * math.log(PRIOR_SD)
        fit = (y_square.sum() - shrink @ y**2) / within[:, 0] - (mean * pull).sum(axis=1)
        return cls(-0.5 * (count.sum() * _LOG_2PI + log_determinant + fit), mean, covariance, shrink)

    def counties(self, scales: Matrix, raw: bool) -> tuple[Matrix, np.ndarray, Matrix]:
        """Of each county's coordinate given the coefficients c: offset (m, k) + slopes (m, k, 3) c, variance (m, k)."""
        count, floors, uranium, y, _, _ = homes()[1]
        sums = np.stack([count, count * uranium, floors], axis=1)
        slopes, variance = -self.shrink[:, :, None] * sums, np.exp(2 * scales[:, 1:]) * self.shrink
        offset = self.shrink * y
        if raw:
            sd = np.exp(scales[:, :1])
            return offset / sd, slopes / sd[:, :, None], variance / sd**2
        slopes[:, :, 0] += 1
        slopes[:, :, 1] += uranium
        return offset, slopes, variance


def _log_density(scales: Matrix) -> Vector:
    """(m,) log of evidence times prior at log standard deviations (m, 2)."""
    prior = scales.sum(axis=1) - 0.5 * np.exp(2 * scales).sum(axis=1) + 2 * math.log(2) - _LOG_2PI
    return np.asarray(_Given.at(scales).log_evidence + prior)


@functools.cache
def _grid() -> Grid:
    # to the left the tail falls as county_sd; home_sd is known to 2 %
    return Grid(_log_density, np.array([-34.0, -0.53]), np.array([1.5, -0.01]), (201, 35))


@functools.cache
def _truth(raw: bool) -> Truth:
    grid = _grid()
    seen = grid.masses > 1e-17
    masses, scales = grid.masses[seen], grid.nodes[seen]
    given = _Given.at(scales)

    def moments(second: Matrix, unit: bool) -> Moments:
        offset, slopes, variance = given.counties(scales, unit)
        factor = np.linalg.cholesky(given.covariance)
        spread = slopes @ factor  # (nodes, counties, 3)
        centre = np.hstack([given.mean, second, offset + np.einsum("mki,mi->mk", slopes, given.mean)])
        zero = np.zeros_like(second)
        shared = np.concatenate([factor, np.zeros((len(scales), 2, 3)), spread], axis=1)
        own = np.hstack([np.zeros_like(given.mean), zero, variance])
        flat = (np.sqrt(masses)[:, None, None] * shared).transpose(0, 2, 1).reshape(-1, shared.shape[1])
        within = flat.T @ flat + np.diag(masses @ own)
        return conditional_moments(masses, centre, (shared**2).sum(axis=2) + own, within)

    _, _, variance = given.counties(scales, raw)
    dim = COEFFICIENTS + variance.shape[1]
    entropy = 0.5 * (dim * (1 + _LOG_2PI) + np.linalg.slogdet(given.covariance)[1] + np.log(variance).sum(axis=1))

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        drawn = grid.sample(rng, n)
        here = _Given.at(drawn)
        noise = np.linalg.cholesky(here.covariance) @ rng.standard_normal((n, 3, 1))
        coefficients = here.mean + noise[:, :, 0]
        offset, slopes, variance = here.counties(drawn, raw)
        levels = offset + np.einsum("mki,mi->mk", slopes, coefficients)
        return np.hstack([coefficients, drawn, levels + np.sqrt(variance) * rng.standard_normal(levels.shape)])

    return Truth(
        moments=moments(scales, raw),
        certificate=Certificate(
            "quadrature", "trapezoidal rule over both log standard deviations; the rest is Gaussian"
        ),
        sample=sample,
        log_normaliser=grid.log_normaliser,
        entropy=grid.entropy + float(masses @ entropy),
        named=moments(np.exp(scales), False),
    )
