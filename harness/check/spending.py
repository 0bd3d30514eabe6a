"""Runs as checks advance them: to a number of evaluations, and no further where a run does not move."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from targets.kernel import Matrix, Vector
from targets.protocols import Approximation, Method, Phase, Run, Status
from targets.target import Target

BUDGET = 40_000  # evaluations
SHORT = 3_000  # evaluations of a run whose bits are compared
LONGEST = 32 * BUDGET  # evaluations within which a method that works in passes must have an answer
PATIENCE = 1_000  # calls in a row that may do nothing
DRAWS = 4_000  # that stand for an approximation without draws of its own


class StalledError(RuntimeError):
    """A run is told to advance, and does nothing."""


@dataclass(frozen=True)
class Said:
    """What a run says at its end."""

    mean: Vector
    covariance: Matrix
    work: int


def advanced(method: Method, target: Target, seed: int, budget: int = SHORT, piece: int | None = None) -> Run:
    """A run that has spent the budget, or ended."""
    method.compile(target)
    run = method.start(target, seed)
    spend(run, budget, piece)
    return run


def spend(run: Run, budget: int, piece: int | None = None) -> None:
    """Advance to the budget, or to its doubles until there is an answer, since some methods have none for long.

    Pieces end at the same multiples of work, so that only the cuts between them differ.

    Raises:
        StalledError: calls do nothing, so that a race would never end.
    """
    idle = 0
    while run.status is Status.RUNNING:
        before, phase = run.work.total, run.phase
        left = budget - before
        if left > 0:
            run.advance(left if piece is None else min(piece, left))
        elif run.approximation() is None and budget < LONGEST:
            budget *= 2
            continue
        else:
            return
        idle = idle + 1 if run.work.total == before and run.phase is phase else 0
        if idle > PATIENCE:
            raise StalledError(f"{idle} calls of advance did nothing, and the run says it is {run.status}")


def warmed(run: Run, budget: int) -> Run:
    """The same run, having spent the budget after its warm-up."""
    while run.status is Status.RUNNING and run.phase is not Phase.RUN and run.work.total < LONGEST:
        before = run.work.total
        spend(run, before + SHORT)
        if run.work.total == before:
            break
    spend(run, run.work.total + budget)
    return run


def said(run: Run) -> Said:
    """What it believes, for comparisons to the bit."""
    approximation: Any = run.approximation()
    if approximation is None:
        return Said(np.empty(0), np.empty((0, 0)), run.work.total)
    return Said(np.array(approximation.mean), np.array(approximation.covariance), run.work.total)


def same(a: Said, b: Said) -> bool:
    """Whether two runs ended in the same bits."""
    return a.work == b.work and np.array_equal(a.mean, b.mean) and np.array_equal(a.covariance, b.covariance)


def draws(approximation: Approximation, seed: int) -> Matrix:
    """(n, dim): all draws of all chains, or some from a density."""
    values = chains(approximation)
    if values is not None:
        return values.reshape(-1, values.shape[-1])
    return np.asarray(approximation.sample(np.random.default_rng([seed, 7]), DRAWS))


def chains(approximation: Approximation) -> np.ndarray | None:
    """(chains, n, dim) where the approximation holds them, as `samplers.Draws` does."""
    values = getattr(approximation, "values", None)
    return values if isinstance(values, np.ndarray) and values.ndim == 3 else None


def seeds(seed: int, what: int, count: int) -> list[int]:
    """Seeds of so many independent runs."""
    return [int(state) for state in np.random.SeedSequence([seed, what]).generate_state(count)]
