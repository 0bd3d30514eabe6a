"""Slice sampling along the columns of a scale, in a compiled loop."""

from typing import NamedTuple

import numpy as np
from numba import boolean, int64, types, void

from samplers.chain import RNG, STATS, TALLY, record
from samplers.gradient_free import height
from samplers.scale import SCALE, move_along
from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, VECTOR, Vector, aligned, helper, loop, zeros

WIDTH = 2.5  # a bracket's width in mean moves: the evaluations a slice of a Gaussian takes are least about there
FIRST_WIDTH = 2.5  # in standard deviations of the scale
POOLED = 10.0  # moves that the chains' pooled width counts as much as
SHRINKS = 200  # after which a bracket is a point, whatever the density


class Slicer(NamedTuple):
    """A chain; all are (dim,), and `position`, `widths` and `visits` outlive an iteration.

    Attributes:
        widths: of the bracket along each direction, in units of the scale.
        visits: how many moves each width is the average of.
    """

    position: Vector
    proposal: Vector
    gradient: Vector
    direction: Vector
    spare: Vector
    widths: Vector
    visits: Vector


SLICER = types.NamedUniTuple(VECTOR, len(Slicer._fields), Slicer)


def slicer(position: Vector) -> Slicer:
    """A chain at `position` (dim,)."""
    chain = Slicer(aligned(position), *(zeros(len(position)) for _ in Slicer._fields[1:]))
    begin_widths([chain])
    return chain


def begin_widths(chains: list[Slicer]) -> None:
    """Widths that follow from the scale alone; one move changes them much."""
    for chain in chains:
        chain.widths[:] = FIRST_WIDTH
        chain.visits[:] = 1.0


def pool_widths(chains: list[Slicer]) -> None:
    """Give every chain the widths' mean over the chains."""
    widths = np.mean([chain.widths for chain in chains], axis=0)
    for chain in chains:
        chain.widths[:] = widths
        chain.visits[:] = POOLED


@helper
def place_along(t, j, is_diagonal, position, direction, proposal):  # type: ignore[no-untyped-def]
    """Write position + t direction into `proposal`, whose coordinates other than j stand right if `is_diagonal`."""
    if is_diagonal:
        proposal[j] = position[j] + t * direction[j]
    else:
        for i in range(position.shape[0]):
            proposal[i] = position[i] + t * direction[i]


@loop(void(DENSITY, KERNEL, boolean, DATA, RNG, SLICER, TALLY, SCALE, MATRIX, STATS, boolean, int64, boolean))
def slices(  # type: ignore[no-untyped-def]
    log_density, kernel, gradient_free, data, rng, chain, tally, scale, draws, stats, in_order, most, adapting
):
    """Advance one chain by dim slices for every row of `draws`, along each column of the scale or along random ones.

    A level is drawn below the density, a bracket of `width` laid about the state at random, stepped out by no more than
    `most` - 1 widths until its ends lie below the level, and shrunk towards the state until a point drawn from it lies
    above (Neal 2003, figures 3 and 5). While `adapting`, widths are averages of the moves made.
    """
    position, proposal, gradient = chain.position, chain.proposal, chain.gradient
    direction, widths, visits = chain.direction, chain.widths, chain.visits
    dim = position.shape[0]
    here = tally[0].log_density
    evaluations = 0
    is_diagonal = scale.factor.shape[0] == 0 and scale.vectors.shape[0] == 0
    for i in range(dim):
        proposal[i] = position[i]
        direction[i] = scale.diagonal[i] if is_diagonal else 0.0
    for row in range(draws.shape[0]):
        tries = 0
        before_row = evaluations
        for k in range(dim):
            j = k if in_order else min(int(dim * rng.random()), dim - 1)
            if not is_diagonal:
                for i in range(dim):
                    direction[i] = 0.0
                    chain.spare[i] = 0.0
                chain.spare[j] = 1.0
                move_along(scale, chain.spare, 1.0, direction, chain.spare)
            width = widths[j]
            level = here - rng.standard_exponential()
            left = -width * rng.random()
            right = left + width
            steps_left = int(most * rng.random())
            steps_right = most - 1 - steps_left
            while steps_left > 0:
                place_along(left, j, is_diagonal, position, direction, proposal)
                evaluations += 1
                if not height(log_density, kernel, gradient_free, proposal, gradient, data) >= level:
                    break
                left -= width
                steps_left -= 1
            while steps_right > 0:
                place_along(right, j, is_diagonal, position, direction, proposal)
                evaluations += 1
                if not height(log_density, kernel, gradient_free, proposal, gradient, data) >= level:
                    break
                right += width
                steps_right -= 1
            move = 0.0
            for _ in range(SHRINKS):
                t = left + (right - left) * rng.random()
                place_along(t, j, is_diagonal, position, direction, proposal)
                there = height(log_density, kernel, gradient_free, proposal, gradient, data)
                evaluations += 1
                tries += 1
                if level <= there < np.inf:
                    move, here = t, there
                    break
                if t < 0.0:
                    left = t
                else:
                    right = t
            place_along(move, j, is_diagonal, position, direction, proposal)
            if is_diagonal:
                position[j] = proposal[j]
            else:
                for i in range(dim):
                    position[i] = proposal[i]
            if adapting:
                visits[j] += 1.0
                widths[j] += (WIDTH * abs(move) - widths[j]) / visits[j]
        stats[row].lp = here
        stats[row].acceptance_rate = dim / tries
        stats[row].n_steps = evaluations - before_row
        for i in range(dim):
            draws[row, i] = position[i]
    record(tally, here, draws.shape[0], evaluations)
