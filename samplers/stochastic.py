"""Stochastic-gradient Langevin and Hamiltonian dynamics in one compiled loop.

With A the scale, g the estimated gradient, eta the squared step and alpha the friction of a step (Chen, Fox & Guestrin
2014, eq. 15, in units of the scale):

    v <- (1 - alpha) v + eta A' g + sqrt(2 alpha eta) z,   z ~ N(0, I);   x <- x + A v

At alpha = 1 nothing of v is left from one step to the next, and this is stochastic-gradient Langevin dynamics of step
size 2 eta (Welling & Teh 2011, eq. 4), draw for draw. There is no Metropolis test. On a Gaussian of unit variance and
with exact gradients the variance is 1 / (1 - eta / (4 - 2 alpha)).
"""

import math
from typing import NamedTuple

import numpy as np
from numba import boolean, float64, int64, types, void

from samplers.chain import RNG, STATS, TALLY
from samplers.scale import SCALE, move_along, pull_back
from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Vector, aligned, loop, zeros


class Walker(NamedTuple):
    """The vectors of one chain; `gradient`, `share`, `force` and `spare` (dim,) do not outlive a step.

    Attributes:
        position, velocity: (dim,), the velocity in units of the scale.
        order: (m,) the blocks of rows in the order of this epoch.
        place: (1,) how many of them were visited in it.
    """

    position: Vector
    velocity: Vector
    gradient: Vector
    share: Vector
    force: Vector
    spare: Vector
    order: Vector
    place: Vector


WALKER = types.NamedUniTuple(VECTOR, len(Walker._fields), Walker)


def walker_at(position: Vector, blocks: int) -> Walker:
    """A chain at rest at `position` (dim,), with an epoch of so many blocks still to be ordered."""
    velocity, gradient, share, force, spare = (zeros(len(position)) for _ in range(5))
    order = aligned(np.arange(blocks))
    return Walker(aligned(position), velocity, gradient, share, force, spare, order, aligned([blocks]))


@loop(
    void(
        KERNEL, KERNEL, DATA, int64[::1], MATRIX, RNG, WALKER, TALLY, SCALE, MATRIX, STATS,
        float64, float64, float64, float64, boolean,
    )
)  # fmt: skip
def advance(  # type: ignore[no-untyped-def]
    prior, likelihood, data, bounds, corrections, rng, walker, tally, scale, draws, stats,
    stride, friction, decay, slack, decaying,
):  # fmt: skip
    """Advance one chain until `draws` (k, dim) is full, and count the rows that were read.

    `friction` zero stands for Langevin dynamics, with eta half the step size. Otherwise eta is the squared step size
    and alpha friction times step size, at most one. Draws are `stride` apart in units of the step size. If `decaying`,
    draw t since warm-up has the first step size times (1 + t / slack)^-decay, the same for all its steps, and so many
    more of them: draws are even in time, and their mean weighs steps by size (Welling & Teh 2011, section 4).
    """
    position, velocity, gradient, share = walker.position, walker.velocity, walker.gradient, walker.share
    order, place = walker.order, walker.place
    dim = position.shape[0]
    blocks = order.shape[0]
    weight = float(blocks)
    rows = 0
    for row in range(draws.shape[0]):
        if decaying:
            tally[0].log_step = tally[0].centre - decay * math.log1p(tally[0].adaptations / slack)
            tally[0].adaptations += 1
        step = math.exp(tally[0].log_step)
        steps = max(1, math.ceil(stride / step - 1e-6))
        eta, alpha = 0.5 * step, 1.0
        if friction > 0.0:
            eta, alpha = step * step, min(1.0, friction * step)
        noise = math.sqrt(2.0 * alpha * eta)
        lost = 0
        for _ in range(steps):
            if place[0] >= weight:
                for i in range(blocks - 1, 0, -1):
                    j = int(rng.random() * (i + 1))
                    order[i], order[j] = order[j], order[i]
                place[0] = 0.0
            block = int(order[int(place[0])])
            place[0] += 1.0
            begin, end = bounds[block], bounds[block + 1]
            prior(position, gradient, data)
            likelihood(position, share, data[begin:end])
            rows += end - begin
            for i in range(dim):
                gradient[i] += weight * share[i] + corrections[block, i]
            pull_back(scale, gradient, walker.force)
            size = 0.0
            for i in range(dim):
                v = (1.0 - alpha) * velocity[i] + eta * walker.force[i] + noise * rng.standard_normal()
                velocity[i] = v
                size += v * v
            if size < np.inf:
                for i in range(dim):
                    walker.spare[i] = velocity[i]
                move_along(scale, walker.spare, 1.0, position, walker.spare)
            else:
                lost += 1
                for i in range(dim):
                    velocity[i] = 0.0
        for i in range(dim):
            draws[row, i] = position[i]
        stats[row].step_size = step
        stats[row].n_steps = steps
        stats[row].diverging = 1 if lost > 0 else 0
    tally[0].iterations += draws.shape[0]
    tally[0].rows += rows
    tally[0].evaluations = tally[0].rows // bounds[blocks]
