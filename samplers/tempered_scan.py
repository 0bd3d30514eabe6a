"""Scans of replicas along a ladder of temperatures, in a compiled loop: explore every level, then swap neighbours.

Non-reversible parallel tempering (Syed, Bouchard-Cote, Deligiannidis & Doucet 2022, arXiv:1905.02939, algorithm 1). At
beta = 0 exploration is an independent draw from the reference; at the other levels it is a Hamiltonian trajectory on
the tempered density, as in `samplers.leapfrog`. Scans propose swaps of the even and of the odd pairs of levels in turn
(deterministic even-odd); a swap exchanges indices and moves no vector.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import float64, types, void

from samplers.chain import RNG, STATS, TALLY, metropolis, record
from samplers.leapfrog import DIVERGENCE, STEP_JITTER, dual_average
from samplers.scale import SCALE, move_along, pull_back
from samplers.tempered_replicas import (
    ADAPTED,
    COUNTED,
    DOWNWARDS,
    FIRST,
    LONG,
    REPLICAS,
    SCANS,
    SHORT,
    SLOPE,
    SQUARED,
    SQUARED_SLOPE,
    TRIPS,
    UPWARDS,
    note,
)
from samplers.tempering import SCRATCH, bennett, log_reference, tempered, tempered_slope
from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Matrix, Vector, helper, loop


class Ladder(NamedTuple):
    """What all systems share: levels in use, from beta = 0 to 1, and how each is explored.

    Attributes:
        betas: (levels,) ascending.
        scales: (levels, dim) standard deviations in whose units positions are moved.
        leapfrogs: (levels,) mean number of steps of a trajectory.
        shifts: (levels,) guess of the log ratio of normalisers, of the level above to this one.
        reference: (2, dim) `samplers.tempering.Reference.matrix`.
        height: (1,) its `log_height`.
    """

    betas: Vector
    scales: Matrix
    leapfrogs: Vector
    shifts: Vector
    reference: Matrix
    height: Vector


LADDER = types.NamedTuple((VECTOR, MATRIX, VECTOR, VECTOR, MATRIX, VECTOR), Ladder)


@helper
def refresh(kernel, data, rng, reference, position, gradient):  # type: ignore[no-untyped-def]
    """An independent draw from the reference, and its log density under the target: -inf where it cannot be used."""
    dim = position.shape[0]
    for i in range(dim):
        position[i] = reference[0, i] + rng.standard_normal() / math.sqrt(reference[1, i])
    value = kernel(position, gradient, data)
    usable = abs(value) < np.inf
    for i in range(dim):
        usable = usable and abs(gradient[i]) < np.inf
    return value if usable else -np.inf


@helper
def kick(beta, reference, scale, sds, level, scratch, step):  # type: ignore[no-untyped-def]
    """Add step A' (gradient of the tempered density) to the momentum; A is the scale, or `sds` if that is diagonal."""
    position, gradient, momentum = scratch.position, scratch.gradient, scratch.momentum
    if scale.factor.shape[0] > 0 or scale.vectors.shape[0] > 0:
        slope, force = scratch.slope, scratch.force
        for i in range(position.shape[0]):
            slope[i] = tempered_slope(beta, gradient[i], position[i], reference[0, i], reference[1, i])
        pull_back(scale, slope, force)
        for i in range(position.shape[0]):
            momentum[i] += step * force[i]
    else:
        for i in range(position.shape[0]):
            slope_here = tempered_slope(beta, gradient[i], position[i], reference[0, i], reference[1, i])
            momentum[i] += step * sds[level, i] * slope_here


@helper
def drift(scale, sds, level, scratch, step):  # type: ignore[no-untyped-def]
    """Add step A momentum to the position."""
    position, momentum = scratch.position, scratch.momentum
    if scale.factor.shape[0] > 0 or scale.vectors.shape[0] > 0:
        move_along(scale, momentum, step, position, scratch.spare)
    else:
        for i in range(position.shape[0]):
            position[i] += step * sds[level, i] * momentum[i]


@helper
def trajectory(kernel, data, beta, reference, scale, sds, level, scratch, step, steps):  # type: ignore[no-untyped-def]
    """Follow `steps` leapfrogs on the tempered density in place; returns the target's log density and steps made.

    It stops where the density is not finite and is then rejected; the way back would meet the same point.
    """
    kick(beta, reference, scale, sds, level, scratch, 0.5 * step)
    made = 0
    there = 0.0
    while made < steps and abs(there) < np.inf:
        if made > 0:
            kick(beta, reference, scale, sds, level, scratch, step)
        drift(scale, sds, level, scratch, step)
        there = kernel(scratch.position, scratch.gradient, data)
        made += 1
    kick(beta, reference, scale, sds, level, scratch, 0.5 * step)
    return there, made


@helper
def observe(replicas, ladder, level, slot, probability, steps, jump):  # type: ignore[no-untyped-def]
    """Add the state at a level, and the trajectory that led there, to what warm-up learns from."""
    beta, reference, sums = ladder.betas[level], ladder.reference, replicas.sums
    row = 4 * level
    for i in range(reference.shape[1]):
        x = replicas.positions[slot, i]
        slope = tempered_slope(beta, replicas.gradients[slot, i], x, reference[0, i], reference[1, i])
        away = x - reference[0, i]
        sums[row + FIRST, i] += away
        sums[row + SQUARED, i] += away * away
        sums[row + SLOPE, i] += slope
        sums[row + SQUARED_SLOPE, i] += slope * slope
    half = SHORT if steps <= ladder.leapfrogs[level] else LONG
    if probability > 0.0:
        replicas.jumps[level, half] += probability * jump
    replicas.jumps[level, half + 1] += steps


@helper
def log_ratios(replicas, betas, k):  # type: ignore[no-untyped-def]
    """(beta_k+1 - beta_k) V, with V = log target - log reference, of the states at level k and at the level above."""
    low, high = int(replicas.slots[k]), int(replicas.slots[k + 1])
    rise = betas[k + 1] - betas[k]
    lower = rise * (replicas.log_densities[low] - replicas.references[low])
    return lower, rise * (replicas.log_densities[high] - replicas.references[high])


@helper
def count(replicas, betas, shifts):  # type: ignore[no-untyped-def]
    """Count every pair of neighbours, whether this scan proposes to swap it or not."""
    for k in range(betas.shape[0] - 1):
        lower, upper = log_ratios(replicas, betas, k)
        replicas.forwards[k] += bennett(lower - shifts[k])
        replicas.backwards[k] += bennett(shifts[k] - upper)
        replicas.lowers[k] += lower
        replicas.uppers[k] += upper
        replicas.rejections[k] += 1.0 - metropolis(lower - upper)


@helper
def swap(rng, replicas, betas):  # type: ignore[no-untyped-def]
    """Propose to exchange every other pair of neighbours, those that the scan before left alone.

    The ratio is pi_k(y) pi_k+1(x) / (pi_k(x) pi_k+1(y)) = exp((beta_k+1 - beta_k)(V(x) - V(y))), x at level k, y above.
    """
    slots = replicas.slots
    for k in range(int(replicas.counts[SCANS]) % 2, betas.shape[0] - 1, 2):
        lower, upper = log_ratios(replicas, betas, k)
        if rng.random() < metropolis(lower - upper):
            slots[k], slots[k + 1] = slots[k + 1], slots[k]


@helper
def follow(slots, headings, top):  # type: ignore[no-untyped-def]
    """Note who stands at the ends of the ladder; 1 where the replica at beta = 0 ends a round trip, else 0.

    A round trip leads from the reference to the target and back.
    """
    bottom = int(slots[0])
    trip = 1.0 if headings[bottom] == DOWNWARDS else 0.0
    headings[bottom] = UPWARDS
    up = int(slots[top])
    if headings[up] == UPWARDS:
        headings[up] = DOWNWARDS
    return trip


@loop(void(KERNEL, DATA, RNG, REPLICAS, TALLY, SCALE, LADDER, SCRATCH, MATRIX, STATS, float64))
def advance(  # type: ignore[no-untyped-def]
    kernel, data, rng, replicas, tally, scale, ladder, scratch, draws, stats, target
):
    """Advance one system by as many scans as `draws` has rows, and write the position at beta = 1 after each there.

    A scale that is not diagonal holds at all levels, instead of the ladder's. With `target` > 0 step sizes adapt to
    that acceptance, each level's its own, and what warm-up learns from is added up; otherwise they are fixed.
    """
    betas, reference, height, sds = ladder.betas, ladder.reference, ladder.height[0], ladder.scales
    position, gradient, momentum = scratch.position, scratch.gradient, scratch.momentum
    positions, gradients, slots, counts = replicas.positions, replicas.gradients, replicas.slots, replicas.counts
    dim = positions.shape[1]
    top = betas.shape[0] - 1
    evaluations = 0
    for row in range(draws.shape[0]):
        slot = int(slots[0])
        replicas.log_densities[slot] = refresh(kernel, data, rng, reference, position, gradient)
        replicas.references[slot] = log_reference(reference, height, position)
        made_in_row = 1
        for i in range(dim):
            positions[slot, i] = position[i]
            gradients[slot, i] = gradient[i]
        if target > 0.0:
            counts[ADAPTED] += 1.0
        total = 0.0
        for k in range(1, top + 1):
            slot = int(slots[k])
            beta = betas[k]
            step = math.exp(replicas.log_steps[k]) * (1.0 - STEP_JITTER * rng.random())
            steps = 1 + int(rng.random() * (2.0 * ladder.leapfrogs[k] - 1.0))
            for i in range(dim):
                momentum[i] = rng.standard_normal()
                position[i] = positions[slot, i]
                gradient[i] = gradients[slot, i]
            kinetic = 0.0
            for i in range(dim):
                kinetic += momentum[i] * momentum[i]
            energy = 0.5 * kinetic - tempered(beta, replicas.log_densities[slot], replicas.references[slot])
            there, made = trajectory(kernel, data, beta, reference, scale, sds, k, scratch, step, steps)
            made_in_row += made
            kinetic = 0.0
            for i in range(dim):
                kinetic += momentum[i] * momentum[i]
            reference_there = log_reference(reference, height, position)
            change = energy - (0.5 * kinetic - tempered(beta, there, reference_there))
            probability = metropolis(change)
            total += probability
            jump = 0.0
            for i in range(dim):
                jump += ((position[i] - positions[slot, i]) / sds[k, i]) ** 2
            if rng.random() < probability:
                replicas.log_densities[slot] = there
                replicas.references[slot] = reference_there
                for i in range(dim):
                    positions[slot, i] = position[i]
                    gradients[slot, i] = gradient[i]
            if target > 0.0:
                observe(replicas, ladder, k, slot, probability, steps, jump)
                replicas.errors[k], replicas.log_steps[k], replicas.log_step_means[k] = dual_average(
                    replicas.errors[k],
                    replicas.log_step_means[k],
                    replicas.centres[k],
                    probability,
                    target,
                    counts[ADAPTED],
                )
            if k == top:
                stats[row].diverging = 0 if -DIVERGENCE < change < np.inf else 1
                stats[row].step_size = step
        count(replicas, betas, ladder.shifts)
        swap(rng, replicas, betas)
        counts[SCANS] += 1.0
        counts[COUNTED] += 1.0
        note(replicas, top)
        counts[TRIPS] += follow(slots, replicas.headings, top)
        slot = int(slots[top])
        stats[row].lp = replicas.log_densities[slot]
        stats[row].acceptance_rate = total / top
        stats[row].n_steps = made_in_row
        evaluations += made_in_row
        for i in range(dim):
            draws[row, i] = positions[slot, i]
    if target > 0.0:
        tally[0].log_step = replicas.log_steps[top]
        tally[0].log_step_mean = replicas.log_step_means[top]
    record(tally, replicas.log_densities[int(slots[top])], draws.shape[0], evaluations)
