"""A sampler with its options fixed, as the harness races it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from samplers.chains import ChainsRun
from samplers.draws import Draws
from samplers.initial import Initial
from samplers.transition import Transition
from targets.options import require, spec
from targets.protocols import Method, Run
from targets.target import Target

SHORTEST_WARMUP = 20
LONGEST_WARMUP = 10_000_000  # all of it is kept: no machine has the memory for more
MOST_CHAINS = 10_000
MOST_THIN = 10_000  # one compiled call makes all proposals of a kept state, and nothing interrupts it


class SamplerRun(Run, Protocol):
    """A run of chains, which also says how many draws each has and what warm-up drew.

    Attributes:
        pace: nanoseconds an evaluation takes, where the caller has measured it; see `samplers.chains.ChainsRun`.
    """

    pace: float

    @property
    def done(self) -> int: ...  # draws a chain, of this phase

    def approximation(self) -> Draws | None: ...

    def warmup(self) -> Draws | None: ...


class Sampler(Method, Protocol):
    """A sampler with its options fixed: a method that can be told where to start, and in how many threads to run."""

    @property
    def label(self) -> str: ...  # the SPEC that makes it again

    @property
    def num_chains(self) -> int: ...

    def starts(self, target: Target) -> int: ...  # how many starting points its chains take together

    def start(self, target: Target, seed: int, initial: Initial | None = None, threads: int = 1) -> SamplerRun: ...


def check_chains(name: str, num_chains: int) -> None:
    """Refuse a number of chains that no run could hold: each has a generator, and arrays of its own.

    Raises:
        UsageError: it is not between 1 and `MOST_CHAINS`.
    """
    require(
        1 <= num_chains <= MOST_CHAINS,
        f"{name}: num_chains={num_chains} is not accepted; it takes 1 or more, to {MOST_CHAINS}",
    )


def check_thin(name: str, thin: int | None) -> None:
    """Refuse a number of proposals a kept state, or trajectories, with which a compiled call takes too long.

    Raises:
        UsageError: it is not between 1 and `MOST_THIN`.
    """
    accepted = thin is None or 1 <= thin <= MOST_THIN
    require(accepted, f"{name}: thin={thin} is not accepted; it takes 1 or more, to {MOST_THIN}, or none")


@dataclass(frozen=True)
class MCMC:
    """Several chains of one kind of transition.

    Attributes:
        name: the name in the registry.
        transition: what the chains do.
        num_chains: how many there are.
        num_warmup: iterations of warm-up, or None for what the transition finds usual.
        options, changed: all options, and the names of those that differ from their defaults.
        tags: words to select by.
    """

    name: str
    transition: Transition
    num_chains: int
    num_warmup: int | None
    options: Mapping[str, object] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset({"mcmc"})

    def __post_init__(self) -> None:
        check_chains(self.name, self.num_chains)
        require(
            self.num_warmup is None or SHORTEST_WARMUP <= self.num_warmup <= LONGEST_WARMUP,
            f"{self.name}: num_warmup={self.num_warmup} is not accepted; it takes {SHORTEST_WARMUP} or more, to "
            f"{LONGEST_WARMUP}, or none",
        )

    @property
    def label(self) -> str:
        """The name with the options that differ from their defaults."""
        return spec(self.name, {key: self.options[key] for key in self.changed})

    def unfit(self, target: Target) -> str | None:
        """Why the chains cannot run on this target, or None."""
        if not target.differentiable and not self.transition.uses_density(target):
            return f"{self.name} needs a gradient"
        return self.transition.unfit(target)

    def starts(self, target: Target) -> int:
        """How many starting points the chains take together."""
        return self.num_chains * self.transition.points(target)

    def compile(self, target: Target) -> None:
        """Load or compile the loops and the target's kernels."""
        self.transition.compile(target)

    def start(self, target: Target, seed: int, initial: Initial | None = None, threads: int = 1) -> ChainsRun:
        """Chains at their starting points; warm-up is still to come. Results do not depend on the number of threads.

        Raises:
            UsageError: the shapes in `initial` do not fit.
        """
        return ChainsRun(self.transition, target, seed, self.num_chains, self.num_warmup, initial or Initial(), threads)
