"""The mode of a density whose likelihood is a sum over rows, and the scale there, from few passes over the rows.

The search begins on a sample of the rows, where the curvature is taken too. In units of the scale that this gives, the
whole density is all but round, and a handful of passes lead to its mode.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from samplers.scale import Scale, dense_scale, diagonal_scale
from targets.kernel import Matrix, Vector, aligned, compiled, empty, raise_failure
from targets.target import Rows

ROWS_A_COORDINATE = 200  # in the sample: then its curvature is off by less than a tenth in most directions
DENSE = 100  # coordinates up to which all of the curvature is looked at; beyond, its diagonal alone
PROBES = 20  # directions that the diagonal is found from
POWER_ITERATIONS = 20
NEAR = 0.05  # units of the scale from the mode, in the worst coordinate, at which the search ends
LONGEST = 1000  # evaluations of a search
WIDTH = 1e-2  # of a difference of gradients, in units of the scale


class Surface:
    """prior + weight x likelihood of some rows, which counts the rows that it reads."""

    def __init__(self, rows: Rows, data: Matrix, weight: float) -> None:
        self.prior, self.likelihood = compiled(rows.prior), compiled(rows.likelihood)
        self.data, self.weight = data, weight
        self.rows = 0

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """Log density and gradient (dim,) at x (dim,)."""
        position, first, second = aligned(x), empty(len(x)), empty(len(x))
        value = self.prior(position, first, self.data)
        value += self.weight * self.likelihood(position, second, self.data)
        raise_failure()
        self.rows += len(self.data)
        return float(value), np.asarray(first + self.weight * second)

    def bend(self, x: Vector, step: Vector) -> Vector:
        """(dim,) minus the Hessian at x times `step`, by a central difference."""
        return np.asarray(0.5 * (self(x - step)[1] - self(x + step)[1]))


@dataclass(frozen=True)
class Mode:
    """Where the density is highest, as far as one search found, and its scale there.

    Attributes:
        position: (dim,), within a fraction of the scale.
        scale: A such that A A' is about the inverse of minus the Hessian.
        steepest: largest eigenvalue of minus A' Hessian A, about one where the curvature was found.
        rows: read by the search.
    """

    position: Vector
    scale: Scale
    steepest: float
    rows: int


def find_mode(rows: Rows, data: Matrix, start: Vector, scale: Scale, kept: bool, rng: np.random.Generator) -> Mode:
    """Climb from `start` (dim,) with a first guess of the scale, which stays as it is if `kept`.

    `data` are rows in random order. Where no curvature is found, as on a ridge or a saddle, the guess stays as well.
    """
    n, dim = len(data), len(start)
    size = min(n, ROWS_A_COORDINATE * dim)
    sample = Surface(rows, data[:size], n / size)
    position = climb(sample, start, scale)
    if not kept:
        scale = curvature(sample, position, scale, rng) or scale
    whole = Surface(rows, data, 1.0)
    position = climb(whole, position, scale)
    steepest = largest_curvature(sample, position, scale, rng)
    return Mode(aligned(position), scale, steepest, sample.rows + whole.rows)


def climb(surface: Surface, start: Vector, scale: Scale) -> Vector:
    """(dim,) the end of a quasi-Newton search (L-BFGS), in units of the scale, from `start` (dim,)."""
    from scipy.optimize import minimize

    def downhill(z: Any) -> tuple[float, Any]:
        value, gradient = surface(start + scale.times(z))
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return 1e300, np.zeros_like(z)
        return -value, -scale.transposed(gradient)

    options: Any = {"gtol": NEAR, "ftol": 0.0, "maxfun": LONGEST}
    found: Any = minimize(downhill, np.zeros(len(start)), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(start + scale.times(found.x))


def curvature(surface: Surface, x: Vector, guess: Scale, rng: np.random.Generator) -> Scale | None:
    """The scale of the Gaussian with the surface's curvature at x (dim,); None where it curves upwards.

    Differences are as wide as the guess says, along coordinates, or beyond `DENSE` along random signs, whose products
    with the curvature along them have its diagonal as their mean (Bekas, Kokiopoulou & Saad 2007, after Hutchinson).
    """
    dim, widths = len(x), WIDTH * guess.deviations
    if dim > DENSE:
        signs = rng.choice([-1.0, 1.0], (PROBES, dim))
        diagonal = np.mean([s * surface.bend(x, widths * s) for s in signs], axis=0) / widths
        good = bool(np.all(diagonal > 0.0) and np.all(np.isfinite(diagonal)))
        return diagonal_scale(diagonal**-0.5) if good else None
    unit = np.diag(widths)
    hessian = np.array([surface.bend(x, row) for row in unit]) * widths  # in units of the widths
    if not np.all(np.isfinite(hessian)):
        return None
    sizes, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    if not sizes[0] > 1e-12 * sizes[-1]:
        return None
    covariance = (vectors / sizes) @ vectors.T
    return dense_scale(widths[:, None] * np.linalg.cholesky(covariance))


def largest_curvature(surface: Surface, x: Vector, scale: Scale, rng: np.random.Generator) -> float:
    """The largest eigenvalue of minus A' Hessian A at x (dim,), by power iteration; zero if it is not finite."""
    z = rng.standard_normal(len(x))
    size = 0.0
    for _ in range(POWER_ITERATIONS):
        z /= np.linalg.norm(z)
        z = scale.transposed(surface.bend(x, WIDTH * scale.times(z))) / WIDTH
        before, size = size, float(np.linalg.norm(z))
        if not (np.isfinite(size) and size > 0.0):
            return 0.0
        if abs(size - before) < 0.02 * size:
            break
    return size
