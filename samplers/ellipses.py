"""Elliptical slice sampling in a compiled loop."""

import math
from typing import NamedTuple

import numpy as np
from numba import boolean, types, void

from samplers.chain import RNG, STATS, TALLY, record
from samplers.gradient_free import height
from samplers.scale import SCALE, move_along
from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, VECTOR, Vector, helper, loop, zeros

SHRINKS = 200  # after which a bracket is a point, whatever the density


class Orbit(NamedTuple):
    """A chain; all are (dim,), and between calls of the loop the position is all that matters.

    Attributes:
        z: the position in units of the Gaussian, x = mean + A z.
        other, shift: the auxiliary draw in these units, and A times it.
    """

    position: Vector
    z: Vector
    proposal: Vector
    gradient: Vector
    other: Vector
    shift: Vector
    spare: Vector


ORBIT = types.NamedUniTuple(VECTOR, len(Orbit._fields), Orbit)


def orbit(position: Vector) -> Orbit:
    """A chain that moves `position` (dim,) itself."""
    return Orbit(position, *(zeros(len(position)) for _ in Orbit._fields[1:]))


@helper
def measure(scale, mean, x, z):  # type: ignore[no-untyped-def]
    """Write A^-1 (x - mean) into z; all (dim,)."""
    dim = x.shape[0]
    if scale.factor.shape[0] > 0:
        for i in range(dim):
            rest = x[i] - mean[i]
            for j in range(i):
                rest -= scale.factor[i, j] * z[j]
            z[i] = rest / scale.factor[i, i]
    else:
        for i in range(dim):
            z[i] = (x[i] - mean[i]) / scale.diagonal[i]
        for k in range(scale.vectors.shape[0]):
            along = 0.0
            for i in range(dim):
                along += scale.vectors[k, i] * z[i]
            along *= scale.stretches[k] / (1.0 + scale.stretches[k])
            for i in range(dim):
                z[i] -= along * scale.vectors[k, i]


@loop(void(DENSITY, KERNEL, boolean, DATA, RNG, ORBIT, TALLY, SCALE, MATRIX, STATS, VECTOR))
def ellipses(  # type: ignore[no-untyped-def]
    log_density, kernel, gradient_free, data, rng, chain, tally, scale, draws, stats, mean
):
    """Advance one chain by a slice on an ellipse for every row of `draws` (Murray, Adams & MacKay 2010, figure 2).

    The ellipse m + (x - m) cos + A z' sin runs through the state x and a draw m + A z' of the Gaussian N(m, A A'). Its
    points are equally likely under that, given the ellipse, so the slice is one of log p - log N alone: up to a
    constant log p + |z|^2 / 2 in units of the Gaussian, and no linear system is solved on the way.
    """
    position, proposal, gradient = chain.position, chain.proposal, chain.gradient
    z, other, shift = chain.z, chain.other, chain.shift
    dim = position.shape[0]
    here = tally[0].log_density
    evaluations = 0
    measure(scale, mean, position, z)
    for row in range(draws.shape[0]):
        own, cross, others = 0.0, 0.0, 0.0
        for i in range(dim):
            fresh = rng.standard_normal()
            own += z[i] * z[i]
            cross += z[i] * fresh
            others += fresh * fresh
            other[i] = fresh
            chain.spare[i] = fresh
            shift[i] = 0.0
        move_along(scale, chain.spare, 1.0, shift, chain.spare)
        level = here + 0.5 * own - rng.standard_exponential()
        angle = 2.0 * math.pi * rng.random()
        left, right = angle - 2.0 * math.pi, angle
        made = 0
        for _ in range(SHRINKS):
            c, s = math.cos(angle), math.sin(angle)
            for i in range(dim):
                proposal[i] = mean[i] + (c * (position[i] - mean[i]) + s * shift[i])
            there = height(log_density, kernel, gradient_free, proposal, gradient, data)
            made += 1
            likelihood = there + 0.5 * (c * c * own + 2.0 * c * s * cross + s * s * others)
            if level <= likelihood < np.inf:
                here = there
                for i in range(dim):
                    position[i] = proposal[i]
                    z[i] = c * z[i] + s * other[i]
                break
            if angle < 0.0:
                left = angle
            else:
                right = angle
            angle = left + (right - left) * rng.random()
        evaluations += made
        stats[row].lp = here
        stats[row].acceptance_rate = 1.0 / made
        stats[row].n_steps = made
        for i in range(dim):
            draws[row, i] = position[i]
    record(tally, here, draws.shape[0], evaluations)
