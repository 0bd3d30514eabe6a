"""Hamiltonian trajectories in a compiled loop, with any scale.

Positions are x = A z with A the scale, and momenta belong to z: r ~ N(0, I). A leapfrog step of size e is
r += e/2 A'g(x); x += e A r; r += e/2 A'g(x) (Neal 2011, section 5.2), where the two half-steps between neighbouring
steps are taken as one.
"""

import math

import numpy as np
from numba import float64, int64, void

from samplers.chain import CHAIN, RNG, STATS, TALLY, metropolis, record
from samplers.scale import SCALE, move_along, pull_back
from targets.kernel import DATA, KERNEL, MATRIX, helper, loop

DIVERGENCE = 1000.0  # error of the energy, in nats, beyond which a trajectory has left the level set (Stan's threshold)

# The step size of a trajectory is the adapted one x U(1 - STEP_JITTER, 1). Where the adapted one is unstable, as in the
# tails of a banana, a smaller one gets the chain out and in; with less jitter the error there falls slower than
# n^(-1/2) over millions of gradients. On Gaussians it costs nothing: at the same mean acceptance the widest steps grow.
STEP_JITTER = 0.8

# Dual averaging (Hoffman & Gelman 2014, section 3.2.1). Their gamma of 0.05 lets the step size swing so widely that its
# average accepts 0.9 where 0.8 was asked for; with 0.2 it accepts what was asked for, and warm-up costs a third less.
GAMMA = 0.2
T0 = 10.0
KAPPA = 0.75


def mean_slowdown(jitter: float) -> float:
    """E[1 / U(1 - jitter, 1)]: how many more steps jittered step sizes take than the widest."""
    return -math.log1p(-jitter) / jitter


@helper
def steps_of(length, step, most):  # type: ignore[no-untyped-def]
    """Steps of a trajectory of about that length, between 1 and `most`."""
    steps = length / step
    return max(1, int(steps + 0.5)) if steps < most else most


@helper
def dual_average(error, mean, centre, acceptance, target, t):  # type: ignore[no-untyped-def]
    """Update t of dual averaging: (H-bar, log step, averaged log step), from `centre` = mu."""
    error += (target - acceptance - error) / (t + T0)
    log_step = centre - math.sqrt(t) / GAMMA * error
    mean += t**-KAPPA * (log_step - mean)
    return error, log_step, mean


@helper
def diagonal_trajectory(kernel, data, position, gradient, momentum, scale, step, steps):  # type: ignore[no-untyped-def]
    """Follow `steps` leapfrogs in place: position, its gradient and momentum, (dim,) each; `scale` (dim,).

    Returns the log density at the end and how many steps were made: it stops where the density is not finite. That is
    reversible, since the way back would meet the same point.
    """
    dim = position.shape[0]
    for i in range(dim):
        r = momentum[i] + 0.5 * step * scale[i] * gradient[i]
        momentum[i] = r
        position[i] += step * scale[i] * r
    end = kernel(position, gradient, data)
    made = 1
    while made < steps and abs(end) < np.inf:
        for i in range(dim):
            r = momentum[i] + step * scale[i] * gradient[i]
            momentum[i] = r
            position[i] += step * scale[i] * r
        end = kernel(position, gradient, data)
        made += 1
    for i in range(dim):
        momentum[i] += 0.5 * step * scale[i] * gradient[i]
    return end, made


@helper
def scaled_trajectory(kernel, data, position, gradient, momentum, scale, step, steps, force, spare):  # type: ignore[no-untyped-def]
    """As `diagonal_trajectory`, with any `samplers.scale.Scale`; `force` and `spare` (dim,) are written."""
    dim = position.shape[0]
    end = 0.0
    made = 0
    kick = 0.5 * step
    while made < steps and abs(end) < np.inf:
        pull_back(scale, gradient, force)
        for i in range(dim):
            momentum[i] += kick * force[i]
        move_along(scale, momentum, step, position, spare)
        end = kernel(position, gradient, data)
        made += 1
        kick = step
    pull_back(scale, gradient, force)
    for i in range(dim):
        momentum[i] += 0.5 * step * force[i]
    return end, made


@loop(void(KERNEL, DATA, RNG, CHAIN, TALLY, SCALE, MATRIX, STATS, float64, float64, int64, int64, float64))
def advance(  # type: ignore[no-untyped-def]
    kernel, data, rng, chain, tally, scale, draws, stats, path, jitter, most, thin, target
):
    """Advance one chain by `thin` trajectories for every row of `draws`, and write the last one's end there.

    `path` and `jitter` give the length, at most `most` steps. With `target` > 0 the step size adapts to that
    acceptance; otherwise it is fixed. Statistics of a row are of all its trajectories: steps are added up, acceptances
    averaged, and it diverges where one of them did; energy and step size are the last one's.
    """
    position, gradient = chain.position, chain.gradient
    proposal, proposal_gradient, momentum = chain.proposal, chain.proposal_gradient, chain.momentum
    dim = position.shape[0]
    log_density = tally[0].log_density
    widest = math.exp(tally[0].log_step)
    evaluations = 0
    is_diagonal = scale.factor.shape[0] == 0 and scale.vectors.shape[0] == 0
    for n in range(draws.shape[0] * thin):
        row = n // thin
        if n % thin == 0:
            stats[row].diverging, stats[row].acceptance_rate, stats[row].n_steps = 0, 0.0, 0
        step = widest * (1.0 - STEP_JITTER * rng.random())
        steps = steps_of(path * (1.0 + jitter * (2.0 * rng.random() - 1.0)), step, most)
        kinetic = 0.0
        for i in range(dim):
            r = rng.standard_normal()
            kinetic += r * r
            momentum[i] = r
            proposal[i] = position[i]
            proposal_gradient[i] = gradient[i]
        energy = 0.5 * kinetic - log_density
        if is_diagonal:
            end, made = diagonal_trajectory(
                kernel, data, proposal, proposal_gradient, momentum, scale.diagonal, step, steps
            )
        else:
            end, made = scaled_trajectory(
                kernel, data, proposal, proposal_gradient, momentum, scale, step, steps, chain.force, chain.spare
            )
        evaluations += made
        kinetic = 0.0
        for i in range(dim):
            kinetic += momentum[i] * momentum[i]
        change = energy - (0.5 * kinetic - end)
        probability = metropolis(change)
        if not -DIVERGENCE < change < np.inf:
            stats[row].diverging = 1
        stats[row].acceptance_rate += probability / thin
        stats[row].step_size = step
        stats[row].n_steps += made
        stats[row].energy = energy
        if rng.random() < probability:
            log_density = end
            stats[row].energy = energy - change
            for i in range(dim):
                position[i] = proposal[i]
                gradient[i] = proposal_gradient[i]
        stats[row].lp = log_density
        for i in range(dim):
            draws[row, i] = position[i]
        if target > 0.0:
            tally[0].adaptations += 1
            tally[0].error, tally[0].log_step, tally[0].log_step_mean = dual_average(
                tally[0].error, tally[0].log_step_mean, tally[0].centre, probability, target, tally[0].adaptations
            )
            widest = math.exp(tally[0].log_step)
    record(tally, log_density, draws.shape[0], evaluations)
