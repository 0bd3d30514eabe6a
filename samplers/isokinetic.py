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
def turn(velocity, force, time):  # type: ignore[no-untyped-def]
    """Turn the velocity (dim,) in place for a time under a constant force (dim,). The flow is exact (arXiv:2111.02434).

    Its norm is set to one on the way, whatever it was: rounding does not add up.

    Returns:
        delta and cosine, as `kinetic_change` takes them.
    """
    dim = velocity.shape[0]
    along, squares, norm = 0.0, 0.0, 0.0
    for i in range(dim):
        along += force[i] * velocity[i]
        squares += force[i] * force[i]
        norm += velocity[i] * velocity[i]
    norm = 1.0 / math.sqrt(norm)
    size = math.sqrt(squares)
    cosine, delta = 0.0, time * size / (dim - 1.0)
    kept, added = norm, 0.0
    if size > 0.0:
        cosine = min(1.0, max(-1.0, along * norm / size))
        shrunk = math.exp(-delta)
        rest = 1.0 + cosine + (1.0 - cosine) * shrunk * shrunk
        if rest > 0.0:
            kept = 2.0 * shrunk * norm / rest
            added = (1.0 - shrunk) * (1.0 + shrunk + cosine * (1.0 - shrunk)) / (rest * size)
    for i in range(dim):
        velocity[i] = kept * velocity[i] + added * force[i]
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
    pull_back(scale, gradient, force)
    delta, cosine = turn(velocity, force, first * length)
    kinetic = kinetic_change(delta, cosine, dim)
    end = 0.0
    made = 0
    while made < steps * stages and abs(end) < np.inf:
        move_along(scale, velocity, length / stages, position, spare)
        end = kernel(position, gradient, data)
        made += 1
        pull_back(scale, gradient, force)
        share = 1.0 - 2.0 * first if made % stages else first if made == steps * stages else 2.0 * first
        delta, cosine = turn(velocity, force, share * length)
        kinetic += kinetic_change(delta, cosine, dim)
    return end, kinetic, made
