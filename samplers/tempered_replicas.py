"""The replicas of one system, and what happens to them outside of scans.

They are placed, moved to another ladder, and forget their counts.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from samplers.tempering import Reference
from targets.kernel import MATRIX, VECTOR, Matrix, Vector, aligned, helper, zeros

SCANS, COUNTED, TRIPS, ADAPTED, FROZEN, NOTED, DISTANCE = range(7)  # what `counts` holds
NOTES = 16  # rows of `history`: batches of scans, of which there are half as many or more
NOWHERE, UPWARDS, DOWNWARDS = 0.0, 1.0, 2.0  # headings: came last from neither end, from the reference, from the target
FIRST, SQUARED, SLOPE, SQUARED_SLOPE = range(4)  # sums a level, over positions from the centre, and over slopes
SHORT, LONG = 0, 2  # squared jumps and leapfrogs, of the shorter half of the trajectories and of the longer


class Replicas(NamedTuple):
    """One system: the replicas, one a slot, and what is counted of every level. Only those of the ladder are in use.

    Attributes:
        positions, gradients: (slots, dim), the gradients those of the target.
        log_densities, references: (slots,) log density of target and of reference.
        slots: (levels,) which slot stands at each level: the permutation.
        headings: (slots,) which end of the ladder each came from last.
        log_steps, log_step_means, errors, centres: (levels,) dual averaging of the step sizes; see `samplers.chain`.
        rejections: (levels,) sums of the probability that a swap with the level above is rejected.
        forwards, backwards: (levels,) sums of Bennett's two means for the pair with the level above; see
            `samplers.tempering.bennett`.
        lowers, uppers: (levels,) sums of `log_ratios` for that pair.
        sums: (4 levels, dim) first and second moments, of positions less the centre and of slopes, in warm-up.
        jumps: (levels, 4) see `SHORT`, in warm-up.
        history: (NOTES, 2 levels) what `forwards`, and behind them `backwards`, were after every so many scans; where
            it is full, every other row is kept and the distance doubles.
        counts: (7,) scans, scans counted since warm-up last learned, round trips in them, adaptations of step sizes,
            whether warm-up is over, rows of `history` filled, and the scans between them.
    """

    positions: Matrix
    gradients: Matrix
    log_densities: Vector
    references: Vector
    slots: Vector
    headings: Vector
    log_steps: Vector
    log_step_means: Vector
    errors: Vector
    centres: Vector
    rejections: Vector
    forwards: Vector
    backwards: Vector
    lowers: Vector
    uppers: Vector
    sums: Matrix
    jumps: Matrix
    history: Matrix
    counts: Vector


REPLICAS = types.NamedTuple((MATRIX, MATRIX, *(VECTOR,) * 13, MATRIX, MATRIX, MATRIX, VECTOR), Replicas)
COUNTS = ("rejections", "forwards", "backwards", "lowers", "uppers", "sums", "jumps")


def replicas_at(
    positions: Matrix, gradients: Matrix, log_densities: Vector, reference: Reference, log_step: float
) -> Replicas:
    """A system whose slots stand at positions (slots, dim), one level a slot."""
    slots, dim = positions.shape
    system = Replicas(
        aligned(positions),
        aligned(gradients),
        aligned(log_densities),
        aligned(reference.log_density(positions)),
        aligned(np.arange(slots)),
        aligned(np.full(slots, NOWHERE)),
        log_steps=aligned(np.full(slots, log_step)),
        log_step_means=aligned(np.full(slots, log_step)),
        errors=zeros(slots),
        centres=aligned(np.full(slots, log_step)),
        rejections=zeros(slots),
        forwards=zeros(slots),
        backwards=zeros(slots),
        lowers=zeros(slots),
        uppers=zeros(slots),
        sums=zeros(4 * slots, dim),
        jumps=zeros(slots, 4),
        history=zeros(NOTES, 2 * slots),
        counts=zeros(DISTANCE + 1),
    )
    system.counts[DISTANCE] = 1.0
    return system


@helper
def note(replicas, pairs):  # type: ignore[no-untyped-def]
    """Note the sums of Bennett's means, if so many scans were made since the last time."""
    counts, history = replicas.counts, replicas.history
    if counts[COUNTED] < (counts[NOTED] + 1.0) * counts[DISTANCE]:
        return
    row = int(counts[NOTED])
    behind = history.shape[1] // 2
    for k in range(pairs):
        history[row, k] = replicas.forwards[k]
        history[row, behind + k] = replicas.backwards[k]
    counts[NOTED] += 1.0
    if row + 1 == history.shape[0]:
        for kept in range(history.shape[0] // 2):
            for k in range(history.shape[1]):
                history[kept, k] = history[2 * kept + 1, k]
        counts[NOTED] = history.shape[0] // 2
        counts[DISTANCE] *= 2.0


def forget(system: Replicas) -> None:
    """Begin to count anew."""
    for name in COUNTS:
        getattr(system, name)[...] = 0.0
    system.headings[:] = NOWHERE
    system.counts[COUNTED] = system.counts[TRIPS] = system.counts[NOTED] = 0.0
    system.counts[DISTANCE] = 1.0


def freeze(system: Replicas, top: int, log_step: float) -> None:
    """End warm-up: take the averaged step sizes, at the target that of all systems, and count anew."""
    system.log_steps[:] = system.log_step_means
    system.log_steps[top] = log_step
    system.counts[SCANS] = 0.0
    system.counts[FROZEN] = 1.0
    forget(system)


def move_to(systems: list[Replicas], at: Vector, levels: int) -> None:
    """Go from a ladder of so many levels to one whose levels lie at fractional indices `at` of it, 0 and the last kept.

    Each new level takes the state of the old one next to it, or a copy where another took it before. Step sizes are
    pooled over systems and adapted afresh.
    """
    steps = np.mean([system.log_step_means[:levels] for system in systems], axis=0)
    steps[0] = steps[1]  # at the reference nothing is explored
    steps = np.interp(at, np.arange(levels), steps)
    for system in systems:
        _restart(system, steps)
        _rearrange(system, _nearest(at, levels))


def _restart(system: Replicas, log_steps: Vector) -> None:
    for kept in (system.log_steps, system.log_step_means, system.centres):
        kept[: len(log_steps)] = log_steps
    system.errors[:] = 0.0
    system.counts[ADAPTED] = 0.0


def _nearest(at: Vector, levels: int) -> npt.NDArray[np.intp]:
    """(new levels,) the old level next to each; only the lowest takes the lowest, whose state may have no density."""
    near = np.clip(np.rint(at).astype(np.intp), 1, levels - 1)
    near[0] = 0
    return near


def _rearrange(system: Replicas, near: npt.NDArray[np.intp]) -> None:
    before = system.slots.astype(np.intp)
    free = [slot for slot in before if slot not in set(before[near])]
    taken: list[int] = []
    for slot in before[near]:
        if slot in taken:
            copy = free.pop()
            for each in (system.positions, system.gradients, system.log_densities):
                each[copy] = each[slot]
            taken.append(int(copy))
        else:
            taken.append(int(slot))
    system.slots[:] = [*taken, *(slot for slot in before if slot not in taken)]
