"""Samplers whose chains start in known basins of the target: what R-hat sees, and what it cannot see.

- `start=one_basin`: all chains start in the mode with the most mass;
- `start=all_basins`: chain c starts in mode c, in turn, whatever the modes weigh.

Starting points are draws from the truth, so such a method uses the answer: it is tagged 'oracle' and never ranked.
"""

from dataclasses import dataclass

import numpy as np

from harness.spec import parse
from samplers import Initial
from samplers.method import Sampler
from targets.kernel import Matrix
from targets.options import require, spec
from targets.protocols import Run
from targets.target import Target

OPTIONS = ("start",)
STARTS = ("one_basin", "all_basins")
DRAWS, MOST_DRAWS = 1 << 10, 1 << 17  # from the truth, among which starting points are found


@dataclass(frozen=True)
class BasinStart:
    """A sampler that is put into known modes."""

    sampler: Sampler
    where: str
    name: str
    label: str
    tags: frozenset[str]

    def unfit(self, target: Target) -> str | None:
        """The sampler's reason, or that the target's modes are not known."""
        return self.sampler.unfit(target) or unknown(target)

    def compile(self, target: Target) -> None:
        """Compile the sampler."""
        self.sampler.compile(target)

    def start(self, target: Target, seed: int) -> Run:
        """The sampler gets `seed`, so that a cold run of the same seed is its pair."""
        points = self.sampler.starts(target)
        chains = np.arange(points) // max(1, points // self.sampler.num_chains)
        # one after the other within a chain too: the members of an ensemble spread, and chains still begin apart
        turns = chains + np.arange(points) % max(1, points // self.sampler.num_chains)
        wanted = np.zeros(points, dtype=np.intp) if self.where == "one_basin" else turns
        return self.sampler.start(target, seed, Initial(placed(target, wanted, seed)))


def unknown(target: Target) -> str | None:
    """Why no chain can be put into a mode of the target, or None."""
    truth = target.truth
    if truth is None or truth.modes is None:
        return "it has no known modes to start in"
    if truth.sample is None and truth.reference_draws is None:
        return "there are no draws from its modes to start at"
    return None


def placed(target: Target, wanted: np.ndarray, seed: int) -> Matrix:
    """Draws (points, dim) from the truth, each in the mode that `wanted` (points,) counts, heaviest first, in turn.

    Raises:
        RuntimeError: a mode has no draws.
    """
    truth = target.truth
    assert truth is not None and truth.modes is not None  # noqa: S101  # see `unknown`
    order = np.argsort(-truth.modes.masses, kind="stable")
    modes = order[wanted % len(order)]
    rng = np.random.default_rng([seed, 4])
    n = DRAWS
    while True:
        draws = truth.draws(n, int(rng.integers(2**62)))
        assert draws is not None  # noqa: S101
        draws = draws[rng.permutation(len(draws))]
        found = truth.modes.assign(draws)
        counts = np.bincount(found, minlength=len(order))
        if np.all(counts[modes] >= np.bincount(modes, minlength=len(order))[modes]):
            break
        if len(draws) < n or n >= MOST_DRAWS:
            raise RuntimeError(f"too few of {len(draws)} draws from the truth lie in one of its modes")
        n *= 4
    positions = np.empty((len(modes), target.dim))
    for mode in np.unique(modes):
        mine = modes == mode
        positions[mine] = draws[found == mode][: mine.sum()]
    return positions


def wrap(sampler: Sampler, start: object) -> BasinStart:
    """Put a sampler into known modes.

    Raises:
        UsageError: `start` is not accepted.
    """
    require(start in STARTS, f"{sampler.name}: start={start} is not accepted; it takes {', '.join(STARTS)}")
    own = parse(sampler.label).options
    return BasinStart(
        sampler, str(start), sampler.name, spec(sampler.name, {"start": start} | own), sampler.tags | {"oracle"}
    )
