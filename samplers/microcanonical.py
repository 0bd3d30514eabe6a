"""The loop of microcanonical Langevin Monte Carlo: isokinetic motion, disturbed a little, without any rejection."""

import math
from typing import NamedTuple

import numpy as np
from numba import float64, int64, types, void

from samplers.chain import RNG, STATS, TALLY, record
from samplers.isokinetic import MINIMAL_NORM, glide, kinetic_change, refresh
from samplers.leapfrog import DIVERGENCE, steps_of
from samplers.scale import SCALE
from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Vector, helper, loop, zeros


class Particle(NamedTuple):
    """One chain: position, gradient and unit velocity (dim,) outlive an iteration, and so does `memory`.

    `memory` holds two sums and a bound of the adaptation of the step size, then the sum of squared energy errors since
    warm-up and how many they were.
    """

    position: Vector
    gradient: Vector
    velocity: Vector
    before: Vector
    before_gradient: Vector
    force: Vector
    spare: Vector
    memory: Vector


PARTICLE = types.NamedUniTuple(VECTOR, len(Particle._fields), Particle)
SUM, WEIGHT, LARGEST, SQUARES, STEPS = range(5)
MEMORY = 5

# Adaptation of the step size (arXiv:2212.08549, section on tuning). The squared error of the energy grows as step^6;
# errors far from the wanted one tell little of it, and weigh little. Where an error cannot be told, or is too far to
# tell anything, the step is bounded below what it was.
REMEMBERED = 150.0  # iterations
TRUST = 1.5  # of a factor e^1.5 in the step
USELESS = 1e12  # squared error, in units of the wanted one
LOG_REDUCTION = math.log(0.8)


def particle_at(position: Vector, gradient: Vector, velocity: Vector) -> Particle:
    """A chain that stands at `position` (dim,), where the density has `gradient`, and moves with `velocity`."""
    vectors = [zeros(len(position)) for _ in range(len(Particle._fields) - 1)]
    particle = Particle._make([*vectors, zeros(MEMORY)])
    particle.position[:], particle.gradient[:], particle.velocity[:] = position, gradient, velocity
    return particle


@helper
def learn_step(memory, log_step, error):  # type: ignore[no-untyped-def]
    """The next log step, after one whose squared energy error was `error` times the wanted one, or is not finite."""
    if error < USELESS:
        log_error = math.log(error + 1e-8)
        weight = math.exp(-0.5 * (log_error / (6.0 * TRUST)) ** 2)
        decay = (REMEMBERED - 1.0) / (REMEMBERED + 1.0)
        memory[SUM] = decay * memory[SUM] + weight * math.exp(log_error - 6.0 * log_step)
        memory[WEIGHT] = decay * memory[WEIGHT] + weight
    else:
        memory[LARGEST] = log_step + LOG_REDUCTION
    wanted = -math.log(memory[SUM] / memory[WEIGHT]) / 6.0 if memory[WEIGHT] > 0.0 else log_step
    return min(memory[LARGEST], wanted)


@loop(void(KERNEL, DATA, RNG, PARTICLE, TALLY, SCALE, MATRIX, STATS, float64, float64, int64, int64, float64))
def wander(  # type: ignore[no-untyped-def]
    kernel, data, rng, chain, tally, scale, draws, stats, decoherence, every, most, stages, target
):
    """Advance one chain by a stretch of steps for every row of `draws`, and write each end there.

    A stretch is `every` of the decoherence length long, at least one step and at most `most`. It ends in a partial
    refreshment of the velocity, such that its direction is forgotten over the decoherence length. A step has `stages`
    evaluations: 1 is leapfrog, 2 the minimal-norm integrator. A stretch that meets a point without a finite density is
    taken back, and the velocity is drawn afresh. With `target` > 0 the step size adapts to that variance of the energy
    error, a step and dimension.
    """
    position, gradient, velocity = chain.position, chain.gradient, chain.velocity
    before, before_gradient, force, spare = chain.before, chain.before_gradient, chain.force, chain.spare
    memory = chain.memory
    dim = position.shape[0]
    root = math.sqrt(dim)
    first = 0.5 if stages == 1 else MINIMAL_NORM
    log_density = tally[0].log_density
    evaluations = 0
    if target > 0.0 and tally[0].adaptations == 0:
        memory[SUM], memory[WEIGHT], memory[LARGEST] = 0.0, 0.0, np.inf
    for row in range(draws.shape[0]):
        step = math.exp(tally[0].log_step)
        steps = steps_of(every * decoherence, step, most)
        length = step * root
        for i in range(dim):
            before[i] = position[i]
            before_gradient[i] = gradient[i]
        start = log_density
        delta, cosine = glide(scale, gradient, velocity, first * length, position, length / stages, force, spare)
        kinetic = kinetic_change(delta, cosine, dim)
        squares, largest = 0.0, 0.0
        made, k = 0, 0
        while k < steps and squares < np.inf:
            end = kernel(position, gradient, data)
            made += 1
            if stages == 2 and abs(end) < np.inf:
                middle = (1.0 - 2.0 * first) * length
                delta, cosine = glide(scale, gradient, velocity, middle, position, 0.5 * length, force, spare)
                kinetic += kinetic_change(delta, cosine, dim)
                end = kernel(position, gradient, data)
                made += 1
            k += 1
            # the last turn of a step and the first of the next are one; the energy is looked at between the two
            share, onward = (1.0, 0.0) if k == steps else (0.5, length / stages)
            delta, cosine = glide(scale, gradient, velocity, first * length / share, position, onward, force, spare)
            half = kinetic_change(share * delta, cosine, dim)
            error = end - log_density - kinetic - half
            kinetic = kinetic_change(delta, cosine, dim) - half
            log_density = end
            squares = squares + error * error if abs(error) < np.inf else np.inf
            largest = max(largest, abs(error))
        evaluations += made
        finite = squares < np.inf
        if finite:
            refresh(rng, velocity, math.sqrt(math.expm1(2.0 * steps * step / decoherence) / dim))
        else:
            refresh(rng, velocity, np.inf)
            log_density = start
            for i in range(dim):
                position[i] = before[i]
                gradient[i] = before_gradient[i]
        stats[row].lp = log_density
        stats[row].acceptance_rate = 1.0 if finite else 0.0
        stats[row].step_size = step
        stats[row].n_steps = made
        stats[row].diverging = 0 if finite and largest < DIVERGENCE else 1
        for i in range(dim):
            draws[row, i] = position[i]
        if target > 0.0:
            tally[0].adaptations += 1
            tally[0].log_step = learn_step(memory, tally[0].log_step, squares / (steps * dim * target))
            tally[0].log_step_mean = tally[0].log_step
        elif finite:
            memory[SQUARES] += squares
            memory[STEPS] += steps
    record(tally, log_density, draws.shape[0], evaluations)
