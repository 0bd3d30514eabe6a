"""Repetitions: parameters from the prior, data given them, and where both ways to the posterior put the truth."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from targets.kernel import Matrix, Vector

SWEEPS = 3000  # of all chains after warm-up, in each repetition
CHAINS, WARMUP = 2, 200
STARTS = 3  # of a fit, of which the best bound is kept
DRAWS = 2000  # of a fit
LEVELS = (0.5, 0.9)


@dataclass(frozen=True)
class Subject:
    """A model, the quantities (k,) that are asked of it, and both ways to their posterior.

    Attributes:
        label: what its random numbers depend on, beside the number of the repetition.
        names: of the quantities, which no relabelling of the model changes.
        simulate: draws the quantities (k,) from the prior, and data given the parameters behind them.
        fit: VB-EM: data -> draws (n, k) of the best q of `STARTS`.
        chains: data, sweeps, seed -> draws (sweeps, k) of Gibbs chains that forgot where they started.
    """

    label: str
    names: tuple[str, ...]
    simulate: Callable[[np.random.Generator], tuple[Vector, Any]]
    fit: Callable[[Any, np.random.Generator], Matrix]
    chains: Callable[[Any, int, int], Matrix]


class Repeated(NamedTuple):
    """What became of one repetition: (k,) each.

    Attributes:
        fit, chains: the share of their draws below the true value.
        fit_sd, chains_sd: their standard deviations.
    """

    fit: Vector
    chains: Vector
    fit_sd: Vector
    chains_sd: Vector


def repeated(subject: Subject, count: int, sweeps: int, seed: int = 1) -> Iterator[Repeated]:
    """Repetition after repetition, each with random numbers of its own."""
    for number in range(count):
        rng = np.random.default_rng([seed, number, *subject.label.encode()])
        truth, data = subject.simulate(rng)
        fit = subject.fit(data, rng)
        chains = subject.chains(data, sweeps, int(rng.integers(2**31)))
        yield Repeated(_below(fit, truth), _below(chains, truth), fit.std(axis=0), chains.std(axis=0))


def _below(values: Matrix, truth: Vector) -> Vector:
    return np.asarray(np.mean(values < truth, axis=0))


def covered(shares: Vector) -> list[int]:
    """Of repetitions with so many of their draws below the truth, how many central intervals held it, by level."""
    return [int(np.sum(np.abs(shares - 0.5) <= 0.5 * level)) for level in LEVELS]


def together(subject: Subject, count: int, sweeps: int = SWEEPS) -> tuple[float, float]:
    """Of the 90 % intervals of VB-EM and of Gibbs, the share that held, over quantities and repetitions."""
    found = list(repeated(subject, count, sweeps))
    fit, chains = (np.array([getattr(each, name) for each in found]) for name in ("fit", "chains"))
    held = [covered(shares.ravel())[-1] / shares.size for shares in (fit, chains)]
    return held[0], held[1]
