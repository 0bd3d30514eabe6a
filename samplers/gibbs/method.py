"""Gibbs sampling as a method of the race, on any target that offers the conjugate model behind its density."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from samplers.chain import Values
from samplers.draws import Draws
from samplers.gibbs import labels
from samplers.gibbs.chains import Sweeper
from samplers.initial import Initial
from samplers.method import LONGEST_WARMUP, check_chains
from samplers.rounds import most_evaluations
from samplers.variables import variables
from samplers.workers import Workers
from targets.conjugate.factor import FactorModel
from targets.conjugate.hidden_markov import HiddenMarkov
from targets.conjugate.mixture_model import GaussianMixture
from targets.conjugate.model import Conjugate
from targets.conjugate.regression import LinearRegression
from targets.kernel import empty
from targets.options import require, spec
from targets.protocols import Phase, Status, Work
from targets.relabelling import all_from
from targets.target import Target

FIRST_ROUND = 20  # sweeps
GROWTH = 0.1  # a round after warm-up lengthens the chains by this fraction

# The sampler of each model: 'module:chain:compiler', where chain(model, data, rng) is a `samplers.gibbs.chains.Sweeper`
# that can be pickled, and compiler() loads or compiles its loops. A new model is a line here.
MODELS: dict[type, str] = {
    GaussianMixture: "samplers.gibbs.mixture:MixtureChain:compile_sweeps",
    HiddenMarkov: "samplers.gibbs.hidden_markov:HiddenMarkovChain:compile_sweeps",
    FactorModel: "samplers.gibbs.factor:FactorChain:compile_sweeps",
    LinearRegression: "samplers.gibbs.regression:RegressionChain:compile_sweeps",
}


@dataclass(frozen=True)
class Sampling:
    """How one kind of model is sampled."""

    chain: Callable[[Any, Any, np.random.Generator], Sweeper]
    compile: Callable[[], None]


def sampling(model: object) -> Sampling:
    """What `MODELS` says of a model of its keys."""
    module, chain, compiler = MODELS[type(model)].split(":")
    found = import_module(module)
    return Sampling(getattr(found, chain), getattr(found, compiler))


class GibbsRun:
    """Chains of sweeps on one target; see `targets.protocols.Run`. A sweep of one chain is one unit of work.

    A round brings all chains to the same number of sweeps. Its length depends on the state alone, so that results do
    not depend on how the work is cut.

    Attributes:
        pace: as that of `samplers.chains.ChainsRun`.
    """

    pace = 0.0

    def __init__(self, target: Target, seed: int, num_chains: int, num_warmup: int, threads: int = 1) -> None:
        assert target.conjugate is not None  # noqa: S101  # checked where it is called
        self.target = target
        self.conjugate: Conjugate = target.conjugate
        self.workers = Workers(min(threads, num_chains))
        self.status, self.reason = Status.RUNNING, ""
        self.phase = Phase.WARMUP if num_warmup else Phase.RUN
        self.work = Work()
        chain = sampling(self.conjugate.model).chain
        rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(num_chains)]
        self.chains = [chain(self.conjugate.model, self.conjugate.data, rng) for rng in rngs]
        self.left = num_warmup  # sweeps of warm-up still to come
        self.seed, self.orders = seed, all_from(target.relabellings, labels.MOST)
        self.rows = empty(num_chains, 0, len(self.chains[0].names))
        self.done = 0  # sweeps of this phase, hence rows filled
        self.before: Values | None = None  # what warm-up drew, once it is over

    def advance(self, work: int) -> None:
        """Run whole rounds until that much work was done, or the phase or the status changes."""
        goal, phase = self.work.total + work, self.phase
        while self.status is Status.RUNNING and self.phase is phase and self.work.total < goal:
            self._round()

    def _round(self) -> None:
        most = max(1, int(most_evaluations(self.target, self.pace, len(self.chains))))
        sweeps = min(max(FIRST_ROUND, math.ceil(self.done * GROWTH)), most)
        if self.phase is Phase.WARMUP:
            sweeps = min(sweeps, self.left)
        begin, end = self.done, self.done + sweeps
        self._reserve(end)
        self.workers.each(len(self.chains), lambda k: self.chains[k].advance(self.rows[k, begin:end]))
        self.done = end
        self.work.sweeps += sweeps * len(self.chains)
        if not np.isfinite(self.rows[:, end - 1]).all():
            self.status, self.reason = Status.FAILED, "a sweep ended in numbers that are not finite"
        elif self.phase is Phase.WARMUP:
            self.left -= sweeps
            if self.left == 0:
                self.before = self.rows[:, : self.done]
                self.phase = Phase.RUN
                self.rows, self.done = empty(len(self.chains), 0, self.rows.shape[2]), 0

    def _reserve(self, rows: int) -> None:
        chains, capacity, width = self.rows.shape
        if rows > capacity:
            held, self.rows = self.rows, empty(chains, max(rows, 2 * capacity), width)
            self.rows[:, : self.done] = held[:, : self.done]

    @property
    def draws(self) -> Values:
        """(chains, n, dim): all since warm-up; during warm-up, the later half of its draws so far."""
        first = self.done // 2 if self.phase is Phase.WARMUP else 0
        return self._mapped(self.rows[:, first : self.done], first)

    def _mapped(self, rows: Values, first: int = 0) -> Values:
        """Coordinates (chains, n, dim) of rows (chains, n, names), from number `first` on; labels at random."""
        chains, n, width = rows.shape
        flat = rows.reshape(chains * n, width)
        named = {variable.name: variable.of(flat) for variable in variables(self.chains[0].names)}
        mapped = np.asarray(self.conjugate.coordinates(named)).reshape(chains, n, self.target.dim)
        if not self.orders:
            return mapped
        return np.stack([labels.relabelled(each, self.orders, (self.seed, k), first) for k, each in enumerate(mapped)])

    def approximation(self) -> Draws | None:
        """The draws, or None where there are none yet. They stay what they are while the run goes on."""
        return Draws(self.draws, self.target.coordinates) if self.done > 0 else None

    def warmup(self) -> Draws | None:
        """What warm-up drew, once it is over; None before, or where it was of length zero."""
        return None if self.before is None else Draws(self._mapped(self.before), self.target.coordinates)

    def forget(self) -> None:
        """Drop all draws so far, for whoever has taken what is needed of them: long runs then fit in memory."""
        if self.phase is Phase.RUN:
            self.rows, self.done, self.before = empty(len(self.chains), 0, self.rows.shape[2]), 0, None

    def diagnostics(self) -> dict[str, float]:
        """What `Draws.diagnostics` says."""
        draws = self.approximation()
        return {} if draws is None else draws.diagnostics()


@dataclass(frozen=True)
class Gibbs:
    """The method with its options fixed; see `gibbs`."""

    name: str
    num_chains: int
    num_warmup: int
    options: Mapping[str, object] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset({"mcmc", "gibbs", "conjugate"})

    @property
    def label(self) -> str:
        """The name with the options that differ from their defaults."""
        return spec(self.name, {key: self.options[key] for key in self.changed})

    def unfit(self, target: Target) -> str | None:
        """Why it cannot run on this target, or None."""
        if target.conjugate is None:
            return f"{self.name} needs a target that offers its conjugate model"
        if type(target.conjugate.model) not in MODELS:
            return f"{self.name} has no sampler of {type(target.conjugate.model).__name__}"
        return None

    def starts(self, target: Target) -> int:  # noqa: ARG002
        """One point a chain, none of which it would use."""
        return self.num_chains

    def compile(self, target: Target) -> None:
        """Load or compile the loops of the target's model."""
        if target.conjugate is not None:
            sampling(target.conjugate.model).compile()

    def start(self, target: Target, seed: int, initial: Initial | None = None, threads: int = 1) -> GibbsRun:
        """Chains at starting points of their own; warm-up is still to come.

        Raises:
            UsageError: the target offers no conjugate model that there is a sampler of, or there is a start given: the
                coordinates of targets are not those that sweeps go by.
        """
        refused = self.unfit(target)
        require(refused is None, f"{target.name} is not accepted: {refused}")
        require(initial is None, f"{self.name} cannot be told where to start: its chains start from the data")
        return GibbsRun(target, seed, self.num_chains, self.num_warmup, threads)


def gibbs(*, num_chains: int = 4, num_warmup: int = 200) -> Gibbs:
    """Gibbs sampling of the conjugate model that a target offers, in the target's coordinates."""
    check_chains("gibbs", num_chains)
    require(
        0 <= num_warmup <= LONGEST_WARMUP,
        f"gibbs: num_warmup={num_warmup} is not accepted; it takes 0 or more, to {LONGEST_WARMUP}",
    )
    return Gibbs("gibbs", num_chains, num_warmup)
