"""No-U-turn trajectories in a compiled loop, with any scale.

Multinomial NUTS (Hoffman & Gelman 2014; Betancourt 2017, appendix A), the tree built without recursion (Phan, Pradhan &
Jankowiak 2019, algorithm 2): a subtree that begins at an even leaf n is remembered in row popcount(n / 2) of the
checkpoints, until it ends. Positions, momenta and the scale are those of `samplers.leapfrog`; momenta point forwards in
time, also where a trajectory grows backwards, so that no check depends on the direction.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import boolean, float64, int64, types, void

from samplers.chain import RNG, STATS, TALLY, Chain, metropolis, record
from samplers.leapfrog import DIVERGENCE, dual_average
from samplers.scale import SCALE, move_along, pull_back
from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Matrix, Vector, loop, zeros

LARGEST = 300.0  # a log weight above the common base by more moves the base: its exponential must not overflow


class TreeChain(NamedTuple):
    """The vectors of a chain and of its growing tree, (dim,), and where unfinished subtrees began, (depth, dim).

    Only position and gradient outlive an iteration. The end that moves is `proposal`, `proposal_gradient`, `momentum`
    and `force`.
    """

    position: Vector
    gradient: Vector
    proposal: Vector
    proposal_gradient: Vector
    momentum: Vector
    force: Vector  # A' gradient
    spare: Vector
    far_position: Vector  # the other end
    far_momentum: Vector
    far_force: Vector
    candidate: Vector  # drawn from the states of the subtree so far
    candidate_gradient: Vector
    rho: Vector  # sum of momenta over the tree
    total: Vector  # and over the subtree so far
    first: Matrix  # momentum at the first leaf of each unfinished subtree
    previous: Matrix  # and at the leaf before it
    before: Matrix  # sum of momenta over the leaves before it


TREE_CHAIN = types.NamedTuple((*[VECTOR] * 14, *[MATRIX] * 3), TreeChain)


def tree_chain(chain: Chain, depth: int) -> TreeChain:
    """The same chain, with room for trees of that depth."""
    dim = len(chain.position)
    return TreeChain(*chain, *(zeros(dim) for _ in range(7)), *(zeros(depth, dim) for _ in range(3)))


@loop(void(KERNEL, DATA, RNG, TREE_CHAIN, TALLY, SCALE, MATRIX, STATS, boolean, int64, float64))
def advance(  # type: ignore[no-untyped-def]
    kernel, data, rng, chain, tally, scale, draws, stats, with_gradients, most, target
):
    """Advance one chain by as many trajectories as `draws` has rows, and write each state drawn there.

    With `with_gradients` the rows of `draws` are (2 dim,) and hold the gradient behind the position. A trajectory
    doubles at most `most` times. With `target` > 0 the step size adapts to that acceptance, averaged over all states
    visited; otherwise it is fixed.
    """
    position, gradient = chain.position, chain.gradient
    proposal, proposal_gradient, momentum = chain.proposal, chain.proposal_gradient, chain.momentum
    force, spare = chain.force, chain.spare
    far_position, far_momentum, far_force = chain.far_position, chain.far_momentum, chain.far_force
    candidate, candidate_gradient, rho, total = chain.candidate, chain.candidate_gradient, chain.rho, chain.total
    first, previous, before = chain.first, chain.previous, chain.before
    dim = position.shape[0]
    log_density = tally[0].log_density
    width = math.exp(tally[0].log_step)
    evaluations = 0
    diagonal = scale.diagonal
    is_diagonal = scale.factor.shape[0] == 0 and scale.vectors.shape[0] == 0
    for row in range(draws.shape[0]):
        squares = 0.0
        for i in range(dim):
            r = rng.standard_normal()
            squares += r * r
            momentum[i] = r
        pull_back(scale, gradient, force)
        for i in range(dim):
            proposal[i] = position[i]
            far_position[i] = position[i]
        for i in range(dim):
            far_momentum[i] = momentum[i]
            rho[i] = momentum[i]
            far_force[i] = force[i]
        start = 0.5 * squares - log_density
        energy = start
        weight = 1.0  # of the tree: the sum of exp(start - energy - base) over its states
        base = 0.0
        leaves = 0
        probabilities = 0.0
        depth = 0
        growing = True
        diverging = 0
        at_right = True
        while growing and depth < most:
            forward = rng.random() < 0.5
            if forward != at_right:
                at_right = forward
                for i in range(dim):
                    swap = proposal[i]
                    proposal[i] = far_position[i]
                    far_position[i] = swap
                for i in range(dim):
                    swap = momentum[i]
                    momentum[i] = far_momentum[i]
                    far_momentum[i] = swap
                for i in range(dim):
                    swap = force[i]
                    force[i] = far_force[i]
                    far_force[i] = swap
            step = width if forward else -width
            half = 0.5 * step
            for i in range(dim):
                total[i] = 0.0
            subweight = 0.0
            candidate_log_density = log_density
            candidate_energy = energy
            level = 0
            for n in range(1 << depth):
                even = n & 1 == 0
                if even:
                    level = 0
                    bits = n >> 1
                    while bits > 0:
                        bits &= bits - 1
                        level += 1
                    for i in range(dim):
                        previous[level, i] = momentum[i]
                        before[level, i] = total[i]

                # one leapfrog step
                if is_diagonal:
                    for i in range(dim):
                        r = momentum[i] + half * force[i]
                        momentum[i] = r
                        proposal[i] += step * diagonal[i] * r
                    there = kernel(proposal, proposal_gradient, data)
                    for i in range(dim):
                        f = diagonal[i] * proposal_gradient[i]
                        r = momentum[i] + half * f
                        force[i] = f
                        momentum[i] = r
                        total[i] += r
                else:
                    for i in range(dim):
                        momentum[i] += half * force[i]
                    move_along(scale, momentum, step, proposal, spare)
                    there = kernel(proposal, proposal_gradient, data)
                    pull_back(scale, proposal_gradient, force)
                    for i in range(dim):
                        r = momentum[i] + half * force[i]
                        momentum[i] = r
                        total[i] += r
                # sums stand in loops that store nothing: others are added up in an order that depends on addresses
                squares_before = squares
                squares = 0.0
                for i in range(dim):
                    squares += momentum[i] * momentum[i]
                leaves += 1
                change = start - (0.5 * squares - there)
                if not (-DIVERGENCE <= change < np.inf):
                    diverging = 1
                    growing = False
                    break

                # the leaf's weight, and whether it becomes the candidate
                if change - base > LARGEST:
                    shrink = math.exp(base - change)
                    weight *= shrink
                    subweight *= shrink
                    base = change
                w = math.exp(change - base)
                subweight += w
                probabilities += w if base == 0.0 and change < 0.0 else metropolis(change)
                if n == 0 or rng.random() * subweight < w:
                    candidate_log_density = there
                    candidate_energy = start - change
                    for i in range(dim):
                        candidate[i] = proposal[i]
                        candidate_gradient[i] = proposal_gradient[i]

                # U-turns of the subtrees that end here; of a pair the checks across the join say nothing more
                if even:
                    for i in range(dim):
                        first[level, i] = momentum[i]
                else:
                    product = 0.0
                    for i in range(dim):
                        product += first[level, i] * momentum[i]
                    growing = product + squares > 0.0 and product + squares_before > 0.0
                    right = level
                    bits = n >> 1
                    while growing and bits & 1 == 1:
                        left = right - 1
                        a0 = a1 = b0 = b1 = c0 = c1 = 0.0
                        for i in range(dim):
                            p0 = first[left, i]
                            p1 = previous[right, i]
                            p2 = first[right, i]
                            p3 = momentum[i]
                            rho0 = before[right, i] - before[left, i]
                            rho1 = total[i] - before[right, i]
                            a0 += (rho0 + rho1) * p0
                            a1 += (rho0 + rho1) * p3
                            b0 += (rho0 + p2) * p0
                            b1 += (rho0 + p2) * p2
                            c0 += (rho1 + p1) * p1
                            c1 += (rho1 + p1) * p3
                        growing = a0 > 0.0 and a1 > 0.0 and b0 > 0.0 and b1 > 0.0 and c0 > 0.0 and c1 > 0.0
                        right = left
                        bits >>= 1
                    if not growing:
                        break
            if not growing:
                break

            # the subtree joins: biased towards it, so that states far away are preferred
            depth += 1
            if rng.random() * weight < subweight:
                log_density = candidate_log_density
                energy = candidate_energy
                for i in range(dim):
                    position[i] = candidate[i]
                    gradient[i] = candidate_gradient[i]
            weight += subweight
            a0 = a1 = b0 = b1 = c0 = c1 = 0.0
            for i in range(dim):
                p0 = far_momentum[i]
                p1 = previous[0, i]
                p2 = first[0, i]
                p3 = momentum[i]
                a0 += (rho[i] + total[i]) * p0
                a1 += (rho[i] + total[i]) * p3
                b0 += (rho[i] + p2) * p0
                b1 += (rho[i] + p2) * p2
                c0 += (total[i] + p1) * p1
                c1 += (total[i] + p1) * p3
            growing = a0 > 0.0 and a1 > 0.0 and b0 > 0.0 and b1 > 0.0 and c0 > 0.0 and c1 > 0.0
            for i in range(dim):
                rho[i] += total[i]
        evaluations += leaves
        probability = probabilities / leaves
        stats[row].lp = log_density
        stats[row].energy = energy
        stats[row].acceptance_rate = probability
        stats[row].step_size = width
        stats[row].n_steps = leaves
        stats[row].tree_depth = depth
        stats[row].diverging = diverging
        for i in range(dim):
            draws[row, i] = position[i]
        if with_gradients:
            for i in range(dim):
                draws[row, dim + i] = gradient[i]
        if target > 0.0:
            tally[0].adaptations += 1
            tally[0].error, tally[0].log_step, tally[0].log_step_mean = dual_average(
                tally[0].error, tally[0].log_step_mean, tally[0].centre, probability, target, tally[0].adaptations
            )
            width = math.exp(tally[0].log_step)
    record(tally, log_density, draws.shape[0], evaluations)
