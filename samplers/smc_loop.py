"""Moves of particles at one temperature, in a compiled loop: Hamiltonian trajectories on the tempered density.

As in `leapfrog`, positions are x = A z with A the scale, momenta r ~ N(0, I) belong to z, and the half-steps between
neighbouring steps are taken as one.
"""

import numpy as np
from numba import boolean, float64, int64, types, void

from samplers.chain import RNG, metropolis
from samplers.leapfrog import steps_of
from samplers.tempering import tempered, tempered_slope
from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, helper, loop

STEP_JITTER = 0.5  # the step of a trajectory is the given one x U(1 - STEP_JITTER, 1)
PATH_JITTER = 0.5  # and its length the given one x U(1 - PATH_JITTER, 1 + PATH_JITTER)


@loop(void(KERNEL, DATA, MATRIX, MATRIX, VECTOR, int64, int64, VECTOR, VECTOR))
def evaluate(  # type: ignore[no-untyped-def]
    kernel, data, points, gradients, densities, first, last, position, gradient
):
    """Fill rows `first` to `last` of `gradients` (n, dim) and `densities` (n,) from `points` (n, dim).

    `position` and `gradient` (dim,) are scratch. One evaluation a row.
    """
    dim = points.shape[1]
    for n in range(first, last):
        for i in range(dim):
            position[i] = points[n, i]
        densities[n] = kernel(position, gradient, data)
        for i in range(dim):
            gradients[n, i] = gradient[i]


@helper
def kick(beta, reference, position, gradient, momentum, diagonal, factor, is_dense, step):  # type: ignore[no-untyped-def]
    """Add to the momentum: step A' (gradient of the tempered density)."""
    for i in range(position.shape[0]):
        slope = step * tempered_slope(beta, gradient[i], position[i], reference[0, i], reference[1, i])
        if is_dense:
            for j in range(i + 1):
                momentum[j] += factor[i, j] * slope
        else:
            momentum[i] += diagonal[i] * slope


@helper
def drift(position, momentum, diagonal, factor, is_dense, step):  # type: ignore[no-untyped-def]
    """Add to the position: step A momentum."""
    for i in range(position.shape[0]):
        if is_dense:
            velocity = 0.0
            for j in range(i + 1):
                velocity += factor[i, j] * momentum[j]
            position[i] += step * velocity
        else:
            position[i] += step * diagonal[i] * momentum[i]


@loop(
    types.Tuple((int64, float64))(
        *(KERNEL, DATA, RNG, MATRIX, MATRIX, VECTOR, VECTOR, int64, int64, float64, MATRIX, float64),
        *(VECTOR, MATRIX, boolean, float64, float64, int64, VECTOR, VECTOR, VECTOR),
    )
)
def move(  # type: ignore[no-untyped-def]
    kernel,
    data,
    rng,
    points,
    gradients,
    densities,
    references,
    first,
    last,
    beta,
    reference,
    log_height,
    diagonal,
    factor,
    is_dense,
    widest,
    path,
    most,
    position,
    gradient,
    momentum,
):
    """Move particles `first` to `last` by one trajectory each; returns evaluations and the sum of acceptances.

    A particle is a row of `points` and `gradients` (n, dim), the target's, with its log densities under target and
    reference in `densities` and `references` (n,). The reference is `Reference.matrix` and `log_height`. The scale is
    `factor` (dim, dim), lower-triangular, if `is_dense`, else `diagonal` (dim,). The last three are scratch (dim,).
    A trajectory stops where the density is not finite and is rejected; the way back would meet the same point.
    """
    dim = points.shape[1]
    evaluations = 0
    acceptance = 0.0
    for n in range(first, last):
        step = widest * (1.0 - STEP_JITTER * rng.random())
        steps = steps_of(path * (1.0 + PATH_JITTER * (2.0 * rng.random() - 1.0)), step, most)
        kinetic = 0.0
        for i in range(dim):
            r = rng.standard_normal()
            kinetic += r * r
            momentum[i] = r
            position[i] = points[n, i]
            gradient[i] = gradients[n, i]
        energy = 0.5 * kinetic - tempered(beta, densities[n], references[n])
        kick(beta, reference, position, gradient, momentum, diagonal, factor, is_dense, 0.5 * step)
        made = 0
        there = 0.0
        while made < steps and abs(there) < np.inf:
            if made > 0:
                kick(beta, reference, position, gradient, momentum, diagonal, factor, is_dense, step)
            drift(position, momentum, diagonal, factor, is_dense, step)
            there = kernel(position, gradient, data)
            made += 1
        evaluations += made
        kick(beta, reference, position, gradient, momentum, diagonal, factor, is_dense, 0.5 * step)
        kinetic = 0.0
        squares = 0.0
        for i in range(dim):
            kinetic += momentum[i] * momentum[i]
            squares += reference[1, i] * (position[i] - reference[0, i]) ** 2
        reference_there = log_height - 0.5 * squares
        probability = metropolis(energy - (0.5 * kinetic - tempered(beta, there, reference_there)))
        acceptance += probability
        if rng.random() < probability:
            densities[n] = there
            references[n] = reference_there
            for i in range(dim):
                points[n, i] = position[i]
                gradients[n, i] = gradient[i]
    return evaluations, acceptance
