"""Log densities at many points in one compiled call, counted."""

import numpy as np
from numba import types

from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, VECTOR, Matrix, Vector, aligned, empty, loop
from targets.protocols import Work
from targets.target import Target


@loop(types.void(KERNEL, DATA, MATRIX, VECTOR, VECTOR, VECTOR))
def by_kernel(kernel, data, points, x, gradient, values):  # type: ignore[no-untyped-def]
    """Fill `values` (n,) with the log densities at `points` (n, dim); `x`, `gradient` (dim,) are scratch."""
    for k in range(points.shape[0]):
        for i in range(x.shape[0]):
            x[i] = points[k, i]
        values[k] = kernel(x, gradient, data)


@loop(types.void(KERNEL, DATA, MATRIX, VECTOR, VECTOR, VECTOR, MATRIX))
def with_gradients(kernel, data, points, x, gradient, values, gradients):  # type: ignore[no-untyped-def]
    """As `by_kernel`, and fill `gradients` (n, dim)."""
    for k in range(points.shape[0]):
        for i in range(x.shape[0]):
            x[i] = points[k, i]
        values[k] = kernel(x, gradient, data)
        for i in range(x.shape[0]):
            gradients[k, i] = gradient[i]


@loop(types.void(DENSITY, DATA, MATRIX, VECTOR, VECTOR))
def by_density(density, data, points, x, values):  # type: ignore[no-untyped-def]
    """As `by_kernel`, for a density that needs no gradient."""
    for k in range(points.shape[0]):
        for i in range(x.shape[0]):
            x[i] = points[k, i]
        values[k] = density(x, data)


def compile_log_densities(target: Target) -> None:
    """Load or compile what `log_densities` calls."""
    _ = target.kernel if target.density is None else target.density
    _ = (by_kernel if target.density is None else by_density).compiled


def log_densities(target: Target, points: Matrix, work: Work | None = None) -> Vector:
    """Log densities (n,) at the points (n, dim), NaN as -inf.

    They are charged to `work`, as gradients where the target has no density apart.
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    values, x = np.empty(len(points)), empty(target.dim)
    if target.density is None:
        by_kernel(target.kernel, target.data, points, x, empty(target.dim), values)
    else:
        by_density(target.density, target.data, points, x, values)
    if work is not None and target.density is None:
        work.gradient_evaluations += len(points)
    elif work is not None:
        work.density_evaluations += len(points)
    values[np.isnan(values)] = -np.inf
    return values


def gradients(target: Target, points: Matrix, work: Work | None = None) -> tuple[Vector, Matrix]:
    """Log densities (n,) and their gradients (n, dim) at the points (n, dim); charged to `work`."""
    points = aligned(points)
    values, slopes = np.empty(len(points)), np.empty_like(points)
    with_gradients(target.kernel, target.data, points, empty(target.dim), empty(target.dim), values, slopes)
    if work is not None:
        work.gradient_evaluations += len(points)
    return values, slopes
