"""Chains of any Gibbs sampler: seeds, warm-up, threads, and what comes out of them."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from samplers.draws import Draws
from samplers.workers import Workers
from targets.kernel import Matrix
from targets.options import require


class Sweeper(Protocol):
    """One chain of a Gibbs sampler. Its loops release the interpreter's lock."""

    @property
    def names(self) -> tuple[str, ...]: ...  # of the quantities kept, as in 'mean[1,2]'

    def advance(self, rows: Matrix) -> None: ...  # a sweep for every row (n, names), which it writes


def run(
    start: Callable[[np.random.Generator], Sweeper],
    *,
    num_warmup: int,
    num_samples: int,
    num_chains: int,
    seed: int,
    num_threads: int = 1,
) -> Draws:
    """Draws of `num_chains` chains, the same with any number of threads.

    `start` makes a chain from its own generator, which the chain keeps.

    Raises:
        UsageError: a number is not accepted.
    """
    require(num_warmup >= 0, f"num_warmup={num_warmup} is not accepted; it takes 0 or more")
    require(num_samples >= 1, f"num_samples={num_samples} is not accepted; it takes 1 or more")
    require(num_chains >= 1, f"num_chains={num_chains} is not accepted; it takes 1 or more")
    require(num_threads >= 1, f"num_threads={num_threads} is not accepted; it takes 1 or more")
    seeds = np.random.SeedSequence(seed).spawn(num_chains)
    chains = [start(np.random.default_rng(each)) for each in seeds]
    names = chains[0].names
    warmup = np.empty((num_chains, num_warmup, len(names)))
    values = np.empty((num_chains, num_samples, len(names)))

    def work(k: int) -> None:
        chains[k].advance(warmup[k])
        chains[k].advance(values[k])

    Workers(num_threads).each(num_chains, work)
    return Draws(values, names, warmup=Draws(warmup, names) if num_warmup else None)
