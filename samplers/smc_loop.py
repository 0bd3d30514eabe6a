"""Moves of particles at one temperature, in a compiled loop: Hamiltonian trajectories on the tempered density.

As in `leapfrog`, positions are x = A z with A the scale, momenta r ~ N(0, I) belong to z, and the half-steps between
neighbouring steps are taken as one.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types, void

from samplers.chain import RNG, metropolis
from samplers.leapfrog import STEP_JITTER, steps_of
from samplers.mixture import MIXTURE, mixture_slope
from samplers.scale import SCALE, move_along, pull_back
from samplers.tempering import SCRATCH, tempered
from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Matrix, Vector, aligned, helper, loop

GAIN = 0.5
PATH_JITTER = 0.5  # the length of a trajectory is the given one x U(1 - PATH_JITTER, 1 + PATH_JITTER)


class Particles(NamedTuple):
    """Where particles are, and what is known of the two ends of the path there.

    Attributes:
        points: (n, dim).
        gradients: (n, dim) of the target.
        densities: (n,) log densities of the target.
        references: (n,) log densities of the reference.
    """

    points: Matrix
    gradients: Matrix
    densities: Vector
    references: Vector

    def picked(self, ancestors: npt.NDArray[np.int64]) -> "Particles":
        """Copies of those at the indices given."""
        return Particles(*(aligned(part[ancestors]) for part in self))


PARTICLES = types.NamedTuple((MATRIX, MATRIX, VECTOR, VECTOR), Particles)


@loop(void(KERNEL, DATA, PARTICLES, int64, int64, SCRATCH))
def evaluate(kernel, data, particles, first, last, scratch):  # type: ignore[no-untyped-def]
    """Fill gradients and densities of the particles from `first` to `last`. One evaluation each."""
    position, gradient = scratch.position, scratch.gradient
    points, gradients = particles.points, particles.gradients
    dim = points.shape[1]
    for n in range(first, last):
        for i in range(dim):
            position[i] = points[n, i]
        particles.densities[n] = kernel(position, gradient, data)
        for i in range(dim):
            gradients[n, i] = gradient[i]


@helper
def kick(beta, reference, scale, scratch, step):  # type: ignore[no-untyped-def]
    """Add to the momentum step A' (gradient of the tempered density); returns the reference's log density."""
    position, gradient, momentum = scratch.position, scratch.gradient, scratch.momentum
    slope, force = scratch.slope, scratch.force
    height = mixture_slope(reference, position, slope)
    for i in range(position.shape[0]):
        slope[i] = tempered(beta, gradient[i], slope[i])
    pull_back(scale, slope, force)
    for i in range(position.shape[0]):
        momentum[i] += step * force[i]
    return height


@loop(
    int64(
        *(KERNEL, DATA, RNG, PARTICLES, int64, int64, float64, MIXTURE, SCALE, VECTOR, float64, int64),
        *(VECTOR, int64[::1], float64, SCRATCH),
    )
)
def move(  # type: ignore[no-untyped-def]
    kernel,
    data,
    rng,
    particles,
    first,
    last,
    beta,
    reference,
    scale,
    log_step,
    path,
    most,
    acceptances,
    ends,
    target,
    scratch,
):
    """Move particles `first` to `last` by one trajectory each; returns evaluations.

    The probability of acceptance of each goes to `acceptances` (n,). Where one of the blocks of particles that `ends`
    closes is done, `log_step` (1,) goes up by `GAIN` (mean acceptance of the block - `target`). So nothing depends on
    how many particles a call takes.
    The step of a trajectory is exp(log_step) x U(1 - STEP_JITTER, 1): where that is too wide for a narrow mode, the
    smaller ones still move what is there. A trajectory stops where the density is not finite and is rejected; the way
    back would meet the same point.
    """
    position, gradient, momentum = scratch.position, scratch.gradient, scratch.momentum
    points, gradients, densities, references = particles
    dim = points.shape[1]
    evaluations, block = 0, 0
    while block < ends.shape[0] and ends[block] <= first:
        block += 1
    widest = math.exp(log_step[0])
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
        kick(beta, reference, scale, scratch, 0.5 * step)
        made = 0
        there = 0.0
        while made < steps and abs(there) < np.inf:
            if made > 0:
                kick(beta, reference, scale, scratch, step)
            move_along(scale, momentum, step, position, scratch.spare)
            there = kernel(position, gradient, data)
            made += 1
        evaluations += made
        reference_there = kick(beta, reference, scale, scratch, 0.5 * step)
        kinetic = 0.0
        for i in range(dim):
            kinetic += momentum[i] * momentum[i]
        probability = metropolis(energy - (0.5 * kinetic - tempered(beta, there, reference_there)))
        acceptances[n] = probability
        if rng.random() < probability:
            densities[n] = there
            references[n] = reference_there
            for i in range(dim):
                points[n, i] = position[i]
                gradients[n, i] = gradient[i]
        if block < ends.shape[0] and n + 1 == ends[block]:
            begin = ends[block - 1] if block > 0 else 0
            accepted = 0.0
            for k in range(begin, n + 1):
                accepted += acceptances[k]
            log_step[0] += GAIN * (accepted / (n + 1 - begin) - target)
            widest = math.exp(log_step[0])
            block += 1
    return evaluations
