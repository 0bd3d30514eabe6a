"""A gradient against finite differences, with the differences' own uncertainty taken into account."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from targets.kernel import Matrix, Vector
from targets.target import Target

TOLERANCE = 1e-6  # what a right gradient stays below
STEPS = 0.1 * 4.0 ** -np.arange(14)
ALL_COORDINATES = 32  # up to this dimension every coordinate is tried at every point
SOME = 4  # above it, so many coordinates, and as many random directions, drawn anew for every point
UNCERTAIN = 1e7  # a difference ten times the uncertainty is forgiven: 10 / UNCERTAIN = TOLERANCE
EPSILON = np.finfo(np.float64).eps


class Slope(NamedTuple):
    """How wrong a gradient is along a direction, relative to its size there."""

    error: float
    along: str
    kernel: float
    difference: float


def gradient_error(target: Target, points: Matrix) -> float:
    """Largest relative error of the kernel's gradient over the points (n, dim); a right one stays below TOLERANCE.

    Points where the density is not finite are passed over. A gradient that is not finite where the density is has the
    error infinity.
    """
    return worst_slope(target, points).error


def worst_slope(target: Target, points: Matrix) -> Slope:
    """The direction and point at which the gradient is most wrong."""
    worst = Slope(0.0, "any direction", 0.0, 0.0)
    rng = np.random.default_rng(target.dim)
    values, gradients = target.evaluate(points)
    for point, value, gradient in zip(points, values, gradients, strict=True):
        if not np.isfinite(value):
            continue
        if not np.isfinite(gradient).all():
            i = int(np.flatnonzero(~np.isfinite(gradient))[0])
            return Slope(np.inf, target.coordinates[i], float(gradient[i]), np.nan)
        for direction, name in _directions(target, rng):
            said = float(gradient @ direction)
            found, uncertainty = _difference(target, point, direction)
            uncertainty += 64.0 * EPSILON * float(np.abs(gradient).max())
            size = max(abs(said), abs(found), UNCERTAIN * uncertainty)
            error = abs(said - found) / size if size > 0.0 else 0.0
            if error > worst.error:
                worst = Slope(error, name, said, found)
    return worst


def _directions(target: Target, rng: np.random.Generator) -> Iterator[tuple[Vector, str]]:
    every = target.dim <= ALL_COORDINATES
    for i in range(target.dim) if every else rng.choice(target.dim, SOME, replace=False):
        axis = np.zeros(target.dim)
        axis[i] = 1.0
        yield axis, target.coordinates[i]
    for _ in range(0 if every else SOME):
        yield rng.standard_normal(target.dim) / np.sqrt(target.dim), "a random direction"


def _difference(target: Target, point: Vector, direction: Vector) -> tuple[float, float]:
    """Derivative along the direction and its uncertainty: Richardson's extrapolation at the step where it is steadiest.

    Infinitely uncertain where too few of the steps stay within the density's domain.
    """
    steps = STEPS * max(1.0, float(np.abs(point * direction).max()))
    shifts = np.concatenate([steps, -steps])[:, None] * direction
    values = target.log_densities(point + shifts).reshape(2, len(steps))
    with np.errstate(invalid="ignore"):  # beyond the density's domain
        central = (values[0] - values[1]) / (2.0 * steps)
        extrapolated = (16.0 * central[1:] - central[:-1]) / 15.0
        rounding = 2.0 * EPSILON * np.abs(values).max(axis=0) / steps
        uncertainty = np.abs(np.diff(extrapolated)) + rounding[2:]
    if not np.isfinite(uncertainty).any():
        return 0.0, np.inf
    best = int(np.nanargmin(np.where(np.isfinite(uncertainty), uncertainty, np.nan)))
    return float(extrapolated[best + 1]), float(uncertainty[best])
