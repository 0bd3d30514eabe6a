"""What a kind of Markov chain offers to the driver that advances it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from samplers.chain import Stats, Tally, Values
from samplers.scale import Scale
from samplers.schedule import Lesson, windows
from targets.kernel import Matrix
from targets.target import Target

State = Any  # of one chain: a NamedTuple of float64 arrays, which the kind of chain chooses


@dataclass
class Tuning:
    """What all chains of a run share, and warm-up learns.

    Attributes:
        scale: A of the positions' scale.
        kept: whether the scale was given and stays.
        path: length of a Hamiltonian trajectory in units of the scale.
        stretch: how much longer it is than a Gaussian of the draws' covariance would need; learned with the path.
        most: most leapfrog steps a trajectory may have.
        with_gradients: whether rows of draws in warm-up are (2 dim,), the gradient behind the position, for `learn`;
            `begin` says so.
        given: the scale that was handed over and is not kept; None where there is none. See `samplers.metric.adapt`.
        strength: what it weighs against the draws of a window, in draws.
        own: what only one kind of chain tunes, under names of its own; `advance` reads it and never writes.
    """

    scale: Scale
    kept: bool
    path: float = 0.0
    stretch: float = 1.0
    most: int = 1
    with_gradients: bool = False
    given: Scale | None = None
    strength: float = 0.0
    own: dict[str, Any] = field(default_factory=dict)


class Starts(NamedTuple):
    """Where chains start: positions, gradients there (zeros for methods without), and log densities.

    Shapes: (chains, points, dim) twice, (chains, points).
    """

    positions: Values
    gradients: Values
    log_densities: Matrix


class Segment(NamedTuple):
    """Iterations that one chain has to make.

    Attributes:
        target: of the chain.
        rng: its random numbers.
        chain: its state, which `advance` brings up to date.
        tally: its counters, of length one.
        tuning: what all chains share; read, never written.
        draws: a row for each iteration, to be filled.
        stats: as many rows of statistics.
        adapting: whether steps are adapted.
    """

    target: Target
    rng: np.random.Generator
    chain: State
    tally: Tally
    tuning: Tuning
    draws: Matrix
    stats: Stats
    adapting: bool

    @property
    def inputs(self) -> tuple[Any, ...]:
        """What every compiled loop takes behind its kernels: data, rng, chain, tally, scale, draws, stats."""
        return self.target.data, self.rng, self.chain, self.tally, self.tuning.scale, self.draws, self.stats


class Seen(NamedTuple):
    """What `learn` looks at: draws (chains, n, width), statistics (chains, n), and all chains' states and counters."""

    values: Values
    stats: Stats
    chains: list[State]
    counters: Tally


class Transition(Protocol):
    """A kind of Markov chain, with its options fixed.

    Attributes:
        reports: which of `STATS_DTYPE` it writes.
    """

    @property
    def reports(self) -> tuple[str, ...]: ...

    def unfit(self, target: Target) -> str | None: ...  # why it cannot run on this target, or None

    def points(self, target: Target) -> int: ...  # starting points that a chain takes

    def members(self, target: Target) -> int: ...  # states that a row of draws holds, one behind the other: an ensemble

    def usual_warmup(self, kept: bool) -> int: ...  # iterations

    def schedule(self, length: int, kept: bool) -> list[Lesson]: ...  # the last ends at `length`

    def uses_density(self, target: Target) -> bool: ...  # whether its evaluations are of the density alone

    def compile(self, target: Target) -> None: ...

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[State]: ...  # states of the chains; first step sizes and path

    def advance(self, segment: Segment) -> None: ...  # called from several threads at once, each with its own chain

    def learn(self, seen: Seen, tuning: Tuning) -> None: ...  # after a window

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float: ...  # evaluations expected an iteration

    def says(self, chains: list[State], counters: Tally, tuning: Tuning) -> dict[str, float]: ...  # more diagnostics


class Plain:
    """What most kinds of chain have in common, to inherit if it fits: one point, one state a row, gradients."""

    reports: tuple[str, ...] = ("lp", "acceptance_rate", "step_size", "n_steps")

    def unfit(self, target: Target) -> str | None:  # noqa: ARG002
        return None

    def points(self, target: Target) -> int:  # noqa: ARG002
        return 1

    def members(self, target: Target) -> int:  # noqa: ARG002
        return 1

    def schedule(self, length: int, kept: bool) -> list[Lesson]:
        return windows(length, kept)

    def uses_density(self, target: Target) -> bool:  # noqa: ARG002
        return False

    def says(self, chains: list[State], counters: Tally, tuning: Tuning) -> dict[str, float]:  # noqa: ARG002
        return {}
