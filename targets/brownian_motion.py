"""Brownian motion with unknown scales, seen through noise and not at all in the middle (from Inference Gym).

    innovation ~ LogNormal(0, 2)   noise ~ LogNormal(0, 2)
    x_1 ~ N(0, innovation)   x_t ~ N(x_(t-1), innovation)   y_t ~ N(x_t, noise)   but for the middle, where y is missing

with standard deviations. Coordinates: the logs of both scales, and x_t (centred) or (x_t - x_(t-1)) / innovation
(non-centred). Given the scales all else is Gaussian, so that the truth needs quadrature over the two alone. The density
keeps every constant: its log normaliser is the log evidence.
"""

import functools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from targets.kernel import Matrix, Vector, data_matrix, density, kernel
from targets.options import require
from targets.quadrature import Grid, conditional_moments
from targets.target import Generative, Named, Target
from targets.truth import Certificate, Moments, Truth

PARAMETERISATIONS = ("centred", "noncentred")
PRIOR_SD = 2.0  # of the log scales
INNOVATION, NOISE = 0.1, 0.15  # what the observations are simulated with
LONGEST = 200  # steps
PER_NODE = 0.75  # standard deviations from node to node, of the narrowest log scale there can be

_LOG_2PI = math.log(2 * math.pi)


@kernel
def centred(x, gradient, data):  # type: ignore[no-untyped-def]
    """Rows: the observation (zero where missing) and whether there is one (1 or 0); a column a step."""
    steps = x.shape[0] - 2
    rough, fine = math.exp(-2.0 * x[0]), math.exp(-2.0 * x[1])
    jump, jumps, misses, seen = x[2], 0.0, 0.0, 0.0
    for t in range(steps):
        ahead = x[3 + t] - x[2 + t] if t < steps - 1 else 0.0
        miss = data[1, t] * (data[0, t] - x[2 + t])
        gradient[2 + t] = fine * miss + rough * (ahead - jump)
        jumps += jump * jump
        misses += miss * miss
        seen += data[1, t]
        jump = ahead
    gradient[0] = rough * jumps - steps - x[0] / PRIOR_SD**2
    gradient[1] = fine * misses - seen - x[1] / PRIOR_SD**2
    constant = _LOG_2PI + 2.0 * math.log(PRIOR_SD) + 0.5 * (steps + seen) * _LOG_2PI
    prior = (x[0] * x[0] + x[1] * x[1]) / PRIOR_SD**2
    return -0.5 * (prior + rough * jumps + fine * misses) - steps * x[0] - seen * x[1] - constant


@density
def centred_density(x, data):  # type: ignore[no-untyped-def]
    """As `centred`."""
    steps = x.shape[0] - 2
    jumps, misses, seen, before = 0.0, 0.0, 0.0, 0.0
    for t in range(steps):
        jumps += (x[2 + t] - before) ** 2
        before = x[2 + t]
        misses += data[1, t] * (data[0, t] - x[2 + t]) ** 2
        seen += data[1, t]
    constant = _LOG_2PI + 2.0 * math.log(PRIOR_SD) + 0.5 * (steps + seen) * _LOG_2PI
    squares = (x[0] * x[0] + x[1] * x[1]) / PRIOR_SD**2
    squares += math.exp(-2.0 * x[0]) * jumps + math.exp(-2.0 * x[1]) * misses
    return -0.5 * squares - steps * x[0] - seen * x[1] - constant


@kernel
def noncentred(x, gradient, data):  # type: ignore[no-untyped-def]
    """As `centred` for the data. The way back sums what each step's path does to all later ones."""
    steps = x.shape[0] - 2
    innovation, fine = math.exp(x[0]), math.exp(-2.0 * x[1])
    place, squares, misses, seen = 0.0, 0.0, 0.0, 0.0
    for t in range(steps):
        place += innovation * x[2 + t]
        miss = data[1, t] * (data[0, t] - place)
        gradient[2 + t] = fine * miss
        misses += miss * miss
        seen += data[1, t]
        squares += x[2 + t] * x[2 + t]
    later, pull = 0.0, 0.0
    for s in range(steps):
        t = 1 + steps - s
        later += gradient[t]
        push = innovation * later
        pull += push * x[t]
        gradient[t] = push - x[t]
    gradient[0] = pull - x[0] / PRIOR_SD**2
    gradient[1] = fine * misses - seen - x[1] / PRIOR_SD**2
    constant = _LOG_2PI + 2.0 * math.log(PRIOR_SD) + 0.5 * (steps + seen) * _LOG_2PI
    squares += (x[0] * x[0] + x[1] * x[1]) / PRIOR_SD**2
    return -0.5 * (squares + fine * misses) - seen * x[1] - constant


@density
def noncentred_density(x, data):  # type: ignore[no-untyped-def]
    """As `centred` for the data."""
    steps = x.shape[0] - 2
    innovation = math.exp(x[0])
    place, squares, misses, seen = 0.0, 0.0, 0.0, 0.0
    for t in range(steps):
        place += innovation * x[2 + t]
        misses += data[1, t] * (data[0, t] - place) ** 2
        seen += data[1, t]
        squares += x[2 + t] * x[2 + t]
    constant = _LOG_2PI + 2.0 * math.log(PRIOR_SD) + 0.5 * (steps + seen) * _LOG_2PI
    squares += (x[0] * x[0] + x[1] * x[1]) / PRIOR_SD**2
    return -0.5 * (squares + math.exp(-2.0 * x[1]) * misses) - seen * x[1] - constant


def brownian_motion(*, parameterisation: str = "centred", steps: int = 30, missing: int = 10, seed: int = 0) -> Target:
    """The posterior of a Brownian motion and of its two scales, given simulated observations, by quadrature.

    Args:
        parameterisation: 'centred' has the places x_t as coordinates, 'noncentred' the standardised steps.
        steps: of the motion.
        missing: how many in the middle are not observed.
        seed: of the observations.

    Raises:
        UsageError: an option is out of range.
    """
    require(
        parameterisation in PARAMETERISATIONS,
        f"brownian_motion: parameterisation={parameterisation!r} is not accepted; "
        f"it takes {' or '.join(PARAMETERISATIONS)}",
    )
    require(3 <= steps <= LONGEST, f"brownian_motion: steps={steps} is not accepted; it takes 3 to {LONGEST}")
    require(0 <= missing <= steps - 2, f"brownian_motion: missing={missing} is not accepted; it takes 0 to steps - 2")
    raw = parameterisation == "noncentred"
    places = tuple(f"x[{t}]" for t in range(1, steps + 1))
    return Target(
        name="brownian_motion",
        dim=2 + steps,
        log_density_and_gradient=noncentred if raw else centred,
        log_density=noncentred_density if raw else centred_density,
        data=_observations(steps, missing, seed),
        truth=_truth(steps, missing, seed, raw),
        coordinates=(
            "log_innovation",
            "log_noise",
            *(tuple(f"z[{t}]" for t in range(1, steps + 1)) if raw else places),
        ),
        named=Named(("innovation", "noise", *places), _from_noncentred if raw else _from_centred),
        generative=_generative(raw, _observations(steps, missing, seed)[1]),
        description=f"Brownian motion of {steps} steps with unknown scales, {parameterisation}",
    )


@functools.cache
def _observations(steps: int, missing: int, seed: int) -> Matrix:
    """(2, steps): the observation, zero where missing, and whether there is one."""
    rng = np.random.default_rng(seed)
    seen = np.ones(steps)
    start = (steps - missing) // 2
    seen[start : start + missing] = 0.0
    path = np.cumsum(INNOVATION * rng.standard_normal(steps))
    return data_matrix([seen * (path + NOISE * rng.standard_normal(steps)), seen])


def _generative(raw: bool, seen: Vector) -> Generative:
    """`seen` (steps,) is 1 where there is an observation."""

    def prior(rng: np.random.Generator) -> Vector:
        scales, z = PRIOR_SD * rng.standard_normal(2), rng.standard_normal(len(seen))
        return np.concatenate([scales, z if raw else math.exp(scales[0]) * np.cumsum(z)])

    def simulate(rng: np.random.Generator, x: Vector) -> Matrix:
        _, noise, *places = (_from_noncentred if raw else _from_centred)(x[None])[0]
        return np.stack([seen * (places + noise * rng.standard_normal(len(seen))), seen])

    return Generative(prior, simulate, np.zeros((2, len(seen))))


def _from_centred(x: Matrix) -> Matrix:
    return np.hstack([np.exp(x[:, :2]), x[:, 2:]])


def _from_noncentred(x: Matrix) -> Matrix:
    scales = np.exp(x[:, :2])
    return np.hstack([scales, scales[:, :1] * np.cumsum(x[:, 2:], axis=1)])


@dataclass(frozen=True)
class _Given:
    """The Gaussian that all else is given the scales, in units of the innovation: x = innovation * unit path.

    With r = (noise / innovation)^2, the observations have the covariance innovation^2 (V diag(values) V' + r I).

    Attributes:
        observed: (n,) the observations.
        at: (n,) the steps that they belong to.
        steps: of the motion.
    """

    observed: Vector
    at: np.ndarray
    steps: int

    @cached_property
    def prior(self) -> Matrix:
        """(steps, steps) covariance of the unit path."""
        order = np.arange(1.0, self.steps + 1.0)
        return np.asarray(np.minimum.outer(order, order))

    @cached_property
    def spectrum(self) -> tuple[Vector, Matrix]:
        """Eigenvalues (n,) and vectors V (n, n) of the unit path's covariance where it is observed."""
        values, vectors = np.linalg.eigh(self.prior[np.ix_(self.at, self.at)])
        return values, vectors

    @cached_property
    def rotated(self) -> Vector:
        """(n,) V' observed."""
        return np.asarray(self.observed @ self.spectrum[1])

    @cached_property
    def reach(self) -> Matrix:
        """(steps, n) the covariance of the unit path with the rotated observations."""
        return np.asarray(self.prior[:, self.at] @ self.spectrum[1])

    def spread(self, scales: Matrix) -> Matrix:
        """(m, n) variances of the rotated observations in units of the innovation, at log scales (m, 2)."""
        return np.asarray(self.spectrum[0] + np.exp(2 * (scales[:, 1:] - scales[:, :1])))

    def log_density(self, scales: Matrix) -> Vector:
        """(m,) log of evidence times prior at log scales (m, 2)."""
        spread, n = self.spread(scales), len(self.observed)
        fit = np.log(spread).sum(axis=1) + np.exp(-2 * scales[:, 0]) * (self.rotated**2 / spread).sum(axis=1)
        prior = (scales**2).sum(axis=1) / PRIOR_SD**2 + 2 * (_LOG_2PI + 2 * math.log(PRIOR_SD))
        return np.asarray(-0.5 * (fit + prior + n * _LOG_2PI) - n * scales[:, 0])


@functools.cache
def _truth(steps: int, missing: int, seed: int, raw: bool) -> Truth:
    observed, is_seen = _observations(steps, missing, seed)
    at = np.flatnonzero(is_seen)
    given, n = _Given(observed[at], at, steps), len(at)
    grid = _grid(given)
    seen = grid.masses > 1e-18 * grid.masses.max()
    masses, scales = grid.masses[seen], grid.nodes[seen]
    spread = given.spread(scales)
    innovation = np.exp(scales[:, :1])

    def moments(log_scales: bool, unit: bool) -> Moments:
        """Of the scales or their logs, and of the path or, with `unit`, the standardised steps."""
        reach = np.diff(given.reach, axis=0, prepend=0.0) if unit else given.reach
        prior = np.eye(steps) if unit else given.prior
        scale = np.ones_like(innovation) if unit else innovation
        centre = scale * ((given.rotated / spread / innovation) @ reach.T)
        shrink = (scale**2 / spread) @ reach.T**2  # (nodes, steps): what the observations take off the variance
        variance = scale**2 * np.diagonal(prior) - shrink
        within = float(masses @ scale[:, 0] ** 2) * prior - (reach * (masses @ (scale**2 / spread))) @ reach.T
        first = scales if log_scales else np.exp(scales)
        covariance = np.zeros((2 + steps, 2 + steps))
        covariance[2:, 2:] = within
        return conditional_moments(
            masses, np.hstack([first, centre]), np.hstack([np.zeros_like(first), variance]), covariance
        )

    # the determinant of the unit path's covariance is 1, and so is that of its steps
    spectrum = 2 * n * (scales[:, 1] - scales[:, 0]) - np.log(spread).sum(axis=1)
    entropy = 0.5 * (steps * (1 + _LOG_2PI) + spectrum)
    if not raw:
        entropy += steps * scales[:, 0]

    def sample(rng: np.random.Generator, m: int) -> Matrix:
        """Matheron's rule: a prior path, corrected by what the observations say of its error."""
        drawn = grid.sample(rng, m)
        scale = np.exp(drawn[:, :1])
        path = np.cumsum(rng.standard_normal((m, steps)), axis=1)
        noise = np.exp(drawn[:, 1:]) / scale * rng.standard_normal((m, n))
        away = (given.observed / scale - path[:, given.at] - noise) @ given.spectrum[1]
        path += (away / given.spread(drawn)) @ given.reach.T
        return np.hstack([drawn, np.diff(path, axis=1, prepend=0.0) if raw else scale * path])

    return Truth(
        moments=moments(True, raw),
        certificate=Certificate("quadrature", "trapezoidal rule over both log scales; the rest is Gaussian given them"),
        sample=sample,
        log_normaliser=grid.log_normaliser,
        entropy=grid.entropy + float(masses @ entropy),
        named=moments(False, False),
    )


def _grid(given: _Given) -> Grid:
    """A grid that holds all but 1e-13 of the mass: the region found on a coarse one, taken apart finely."""
    far = 9.0 * PRIOR_SD
    coarse = Grid(given.log_density, np.full(2, -far), np.full(2, far), (181, 181))
    inside = coarse.nodes[coarse.log_values > coarse.log_values.max() - 45]
    lower, upper = inside.min(axis=0) - 2 * coarse.steps, inside.max(axis=0) + 2 * coarse.steps
    # n observations say of a log scale what 2 n draws of variance 1 say of a mean, at most
    step = PER_NODE / math.sqrt(2 * len(given.observed))
    rows, columns = (math.ceil(width / step) + 1 for width in upper - lower)
    return Grid(given.log_density, lower, upper, (rows, columns))
