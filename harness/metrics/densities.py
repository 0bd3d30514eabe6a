"""Log densities of a target at many points, in one compiled loop."""

import numpy as np
from numba import void

from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, VECTOR, Loop, Matrix, Vector, empty, loop
from targets.target import Target


@loop(void(KERNEL, DATA, MATRIX, VECTOR, VECTOR, VECTOR))
def from_kernel(kernel, data, points, values, position, gradient):  # type: ignore[no-untyped-def]
    """Write the log density at each row of points (n, dim) to values (n,); position and gradient are scratch."""
    for i in range(points.shape[0]):
        for j in range(points.shape[1]):
            position[j] = points[i, j]
        values[i] = kernel(position, gradient, data)


@loop(void(DENSITY, DATA, MATRIX, VECTOR, VECTOR))
def from_density(density, data, points, values, position):  # type: ignore[no-untyped-def]
    """The same by the density that computes no gradient."""
    for i in range(points.shape[0]):
        for j in range(points.shape[1]):
            position[j] = points[i, j]
        values[i] = density(position, data)


def loop_for(target: Target) -> Loop:
    """Which loop `log_densities` runs on a target."""
    chosen: Loop = from_kernel if target.density is None else from_density
    return chosen


def log_densities(target: Target, points: Matrix) -> Vector:
    """Log densities (n,) at the points (n, dim), not normalised; -inf where they cannot be evaluated."""
    points = np.ascontiguousarray(points, dtype=np.float64)
    values, position = np.empty(len(points)), empty(target.dim)
    if target.density is None:
        from_kernel(target.kernel, target.data, points, values, position, empty(target.dim))
    else:
        from_density(target.density, target.data, points, values, position)
    values[np.isnan(values)] = -np.inf
    return values
