"""Motion at constant speed whose measure of positions is the target's: what MAMS and MCLMC are made of.

Positions are x = A z with A the scale, and z moves with a unit velocity u that the force f = A' grad log p turns:

    dz/dt = u,    du/dt = (I - u u') f / (dim - 1).

The density of (z, u) that this flow keeps is p(A z), uniform in u (Tuckerman et al. 2001; Ver Steeg & Galstyan 2021,
arXiv:2111.02434; Robnik et al. 2022, arXiv:2212.08549). It changes volume: K with dK/dt = f.u is minus its logarithm,
so that log p - K is constant along the flow, and is the energy, sign reversed, of which integrators make an error.

Lengths are given in units of root dim, the speed of Hamiltonian motion with unit masses: both kinds of motion then
turn around on the same Gaussian after the same time, and take steps of about the same size.
"""

import math

import numpy as np

from samplers.scale import move_along, pull_back
from targets.kernel import helper

LOG_2 = math.log(2.0)

# First share of a turn in a step of two evaluations: the minimal-norm integrator of McLachlan (1995; Omelyan, Mryglod &
# Folk 2003), whose error is about a tenth of the leapfrog's at twice its price.
MINIMAL_NORM = 0.1931833275037836


@helper
def kinetic_change(delta, cosine, dim):  # type: ignore[no-untyped-def]
    """Change of K while the velocity turns by `delta` = |f| t / (dim - 1), at first at this cosine to the force.

    That is (dim - 1) log(cosh delta + cosine sinh delta), written so that no force is too large.
    """
    shrunk = math.exp(-2.0 * delta)
    rest = 1.0 + cosine + (1.0 - cosine) * shrunk
    if not rest > 0.0:  # straight against an overwhelming force
        return -(dim - 1.0) * delta
    return (dim - 1.0) * (delta - LOG_2 + math.log(rest))


@helper
def turning(along, squares, norm, time, dim):  # type: ignore[no-untyped-def]
    """How to turn a velocity u for a time under a force f, from f.u, f.f and u.u; the flow is exact (arXiv:2111.02434).

    Returns:
        a and b of the new velocity a u + b f, whose norm is one, whatever that of u was: rounding does not add up; and
        delta and cosine, as `kinetic_change` takes them.
    """
    inverse, size = 1.0 / math.sqrt(norm), math.sqrt(squares)
    delta = time * size / (dim - 1.0)
    if not size > 0.0:
        return inverse, 0.0, delta, 0.0
    cosine = min(1.0, max(-1.0, along * inverse / size))
    shrunk = math.exp(-delta)
    rest = 1.0 + cosine + (1.0 - cosine) * shrunk * shrunk
    if not rest > 0.0:  # straight against an overwhelming force
        return inverse, 0.0, delta, cosine
    added = (1.0 - shrunk) * (1.0 + shrunk + cosine * (1.0 - shrunk)) / (rest * size)
    return 2.0 * shrunk * inverse / rest, added, delta, cosine


@helper
def turn(velocity, force, time):  # type: ignore[no-untyped-def]
    """Turn the velocity (dim,) in place for a time under a constant force (dim,). Returns delta and cosine."""
    dim = velocity.shape[0]
    along, squares, norm = 0.0, 0.0, 0.0
    for i in range(dim):
        along += force[i] * velocity[i]
        squares += force[i] * force[i]
        norm += velocity[i] * velocity[i]
    kept, added, delta, cosine = turning(along, squares, norm, time, dim)
    for i in range(dim):
        velocity[i] = kept * velocity[i] + added * force[i]
    return delta, cosine


@helper
def glide(scale, gradient, velocity, time, position, length, force, spare):  # type: ignore[no-untyped-def]
    """Turn the velocity for a time by the force at a gradient, then add length A u to the position; all (dim,).

    Returns:
        delta and cosine, as `kinetic_change` takes them.
    """
    if scale.factor.shape[0] > 0 or scale.vectors.shape[0] > 0:
        pull_back(scale, gradient, force)
        delta, cosine = turn(velocity, force, time)
        move_along(scale, velocity, length, position, spare)
        return delta, cosine
    diagonal = scale.diagonal
    dim = position.shape[0]
    along, squares, norm = 0.0, 0.0, 0.0
    for i in range(dim):
        f = diagonal[i] * gradient[i]
        along += f * velocity[i]
        squares += f * f
        norm += velocity[i] * velocity[i]
    kept, added, delta, cosine = turning(along, squares, norm, time, dim)
    for i in range(dim):
        u = kept * velocity[i] + added * diagonal[i] * gradient[i]
        velocity[i] = u
        position[i] += length * diagonal[i] * u
    return delta, cosine


@helper
def refresh(rng, velocity, noise):  # type: ignore[no-untyped-def]
    """Mix the unit velocity (dim,) with `noise` times a standard normal vector, and set its norm to one.

    Infinite noise draws it afresh, uniform on the sphere, as does any noise on average: that is what it keeps.
    """
    dim = velocity.shape[0]
    afresh = not noise < np.inf
    norm = 0.0
    for i in range(dim):
        u = rng.standard_normal() if afresh else velocity[i] + noise * rng.standard_normal()
        velocity[i] = u
        norm += u * u
    norm = 1.0 / math.sqrt(norm)
    for i in range(dim):
        velocity[i] *= norm


@helper
def trajectory(kernel, data, position, gradient, velocity, scale, step, steps, stages, force, spare):  # type: ignore[no-untyped-def]
    """Follow `steps` steps of `stages` evaluations in place: position, its gradient and unit velocity, (dim,) each.

    Turns between neighbouring steps are taken as one. `force` and `spare` (dim,) are written.

    Returns:
        The log density at the end, the change of K, and how many evaluations were made. It stops where the density is
        not finite, and the end is then to be rejected, which is reversible: the way back would meet the same point.
    """
    dim = position.shape[0]
    length = step * math.sqrt(dim)
    first = 0.5 if stages == 1 else MINIMAL_NORM
    kinetic, end = 0.0, 0.0
    made, share = 0, first
    while made < steps * stages and abs(end) < np.inf:
        delta, cosine = glide(scale, gradient, velocity, share * length, position, length / stages, force, spare)
        kinetic += kinetic_change(delta, cosine, dim)
        end = kernel(position, gradient, data)
        made += 1
        share = 1.0 - 2.0 * first if made % stages else 2.0 * first
    delta, cosine = glide(scale, gradient, velocity, first * length, position, 0.0, force, spare)
    return end, kinetic + kinetic_change(delta, cosine, dim), made
