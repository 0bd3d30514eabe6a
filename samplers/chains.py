"""The driver: several chains of one kind, advanced round by round through warm-up and beyond."""

import math
from typing import Any

import numpy as np

from samplers.chain import forget_energies, tallies
from samplers.draws import Draws
from samplers.initial import Initial, StartError, place
from samplers.transition import Transition, Tuning
from samplers.warmup import Values, complaint, first_scale, pool_steps, window_ends
from targets.kernel import aligned, empty
from targets.protocols import Phase, Status, Work
from targets.target import Target

GROWTH = 0.1  # a round after warm-up lengthens the chains by this fraction
FIRST_ROUND = 20  # iterations
CALL_NANOSECONDS = 1e8  # what a compiled call may take, by the nominal cost of an evaluation; nothing interrupts it
SLOW_NANOSECONDS = 1e4  # what an evaluation in plain Python costs at least
ROUND_EVALUATIONS = 65536.0


class ChainsRun:
    """Chains of one transition on one target. See `targets.protocols.Run`.

    A round brings all chains to the same number of iterations. Its length depends on the state alone, never on the
    clock or on what was asked of `advance`, so that results do not depend on how the work is cut.
    """

    def __init__(
        self,
        transition: Transition,
        target: Target,
        seed: int,
        num_chains: int,
        num_warmup: int | None,
        initial: Initial,
    ) -> None:
        initial.check(num_chains, target.dim)
        self.transition = transition
        self.target = target
        self.status = Status.RUNNING
        self.reason = ""
        self.phase = Phase.WARMUP
        self.work = Work()
        self.rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(num_chains)]
        length = transition.usual_warmup(initial.dense) if num_warmup is None else num_warmup
        self.ends = window_ends(length, initial.dense)
        self.values = empty(num_chains, length, target.dim)
        self.done = 0  # iterations of this phase, hence rows of `values` filled
        self.window = 0  # where the window of warm-up began
        self._start(initial)

    def _start(self, initial: Initial) -> None:
        self.counters = tallies(len(self.rngs))
        try:
            scale = initial.scale()
            gradient_free = self.transition.uses_density(self.target)
            self.chains = place(self.target, self.rngs, initial, self.counters, gradient_free)
        except StartError as error:
            self._fail(str(error))
            self._count()
            return
        self.tuning = Tuning(first_scale(self.chains) if scale is None else scale, initial.dense)
        self.transition.begin(self.target, self.rngs, self.chains, self.counters, self.tuning)
        if self.tuning.with_gradients:
            chains, length, dim = self.values.shape
            self.values = empty(chains, length, 2 * dim)
        self.before = self.counters.copy()  # at the beginning of the window, and then of the phase
        self._count()

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def _count(self) -> None:
        spent = int(self.counters["evaluations"].sum())
        if self.transition.uses_density(self.target):
            self.work.density_evaluations = spent
        else:
            self.work.gradient_evaluations = spent

    def advance(self, work: int) -> None:
        """Run whole rounds until that much work was done, or the phase or the status changes."""
        goal, phase = self.work.total + work, self.phase
        while self.status is Status.RUNNING and self.phase is phase and self.work.total < goal:
            self._round()

    def _round(self) -> None:
        if self.phase is Phase.WARMUP:
            end = min(self.done + self._most(), self.ends[0])
            self._run_to(end, adapting=True)
            if end == self.ends[0]:
                self._end_window()
        else:
            growth = max(FIRST_ROUND, math.ceil(self.done * GROWTH))
            end = self.done + min(growth, self._most())
            self._reserve(end)
            self._run_to(end, adapting=False)

    def _most(self) -> int:
        """Iterations that a round may have, each chain's in one compiled call."""
        nominal = 50.0 + self.target.dim + 0.1 * self.target.data.size  # nanoseconds an evaluation
        if "slow" in self.target.tags:
            nominal += SLOW_NANOSECONDS
        evaluations = min(ROUND_EVALUATIONS / len(self.chains), CALL_NANOSECONDS / nominal)
        return max(1, int(evaluations / self.transition.cost(self.target, self.counters, self.tuning)))

    def _run_to(self, end: int, adapting: bool) -> None:
        for c, (rng, chain) in enumerate(zip(self.rngs, self.chains, strict=True)):
            self.transition.advance(
                self.target,
                rng,
                chain,
                self.counters[c : c + 1],
                self.tuning,
                self.values[c, self.done : end],
                adapting,
            )
        self.done = end
        self._count()

    def _end_window(self) -> None:
        pool_steps(self.counters)
        last = len(self.ends) == 1
        reason = complaint(self.counters, self.before["accepted"] if last else None)
        if reason:
            self._fail(reason)
        elif last:
            self.phase, self.done = Phase.RUN, 0
            self.values = empty(len(self.chains), 2 * FIRST_ROUND, self.target.dim)
        else:
            self._learn()
        forget_energies(self.counters)
        self.ends = self.ends[1:]
        self.before = self.counters.copy()

    def _learn(self) -> None:
        begin = self.window or self.done // 2  # of the first window, the later half: chains travel
        self.transition.learn(self.values[:, begin : self.done], self.tuning)
        self.window = self.done

    def _reserve(self, rows: int) -> None:
        chains, capacity, dim = self.values.shape
        if rows > capacity:
            larger = empty(chains, max(rows, 2 * capacity), dim)
            larger[:, : self.done] = self.values[:, : self.done]
            self.values = larger

    @property
    def draws(self) -> Values:
        """(chains, n, dim): all draws since warm-up; during warm-up, the later half of its draws so far."""
        begin = self.done // 2 if self.phase is Phase.WARMUP else 0
        return self.values[:, begin : self.done, : self.target.dim]

    def approximation(self) -> Draws | None:
        """The draws, or None where there are none yet. They stay what they are while the run goes on."""
        if self.draws.shape[1] == 0:
            return None
        divergences, acceptance = self._since()
        return Draws(self.draws, self.target.coordinates, divergences, acceptance)

    def _since(self) -> tuple[int, float]:
        """Divergences and mean acceptance since warm-up, or since the window of warm-up began."""
        iterations = int((self.counters["iterations"] - self.before["iterations"]).sum())
        acceptance = float((self.counters["acceptance"] - self.before["acceptance"]).sum())
        divergences = int((self.counters["divergences"] - self.before["divergences"]).sum())
        return divergences, acceptance / iterations if iterations else math.nan

    def diagnostics(self) -> dict[str, float]:
        """Divergences, mean acceptance, largest R-hat and smallest bulk ESS over coordinates (see `Draws.worst`).

        Of chains that keep account of their energies, also the mean depth of their trees and the smallest E-BFMI of a
        chain, E[(E_n - E_n-1)^2] / Var E (Betancourt 2016), below 0.3 where momenta are resampled too little.
        """
        draws = self.approximation()
        if draws is None:
            return {}
        r_hat, ess, ess_square = draws.worst()
        found = {
            "divergences": float(draws.divergences),
            "accept": draws.acceptance,
            "r_hat": r_hat,
            "ess_min": ess,
            "ess_square_min": ess_square,
        }
        if np.all(self.counters["energy_squares"] > 0.0):
            depths = self.counters["depths"] - self.before["depths"]
            found["e_bfmi"] = float(np.min(self.counters["energy_jumps"] / self.counters["energy_squares"]))
            found["tree_depth"] = float(depths.sum() / self.counters["energies"].sum())
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "values": (self.values.shape, self.values[:, : self.done].copy())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        shape, filled = state.pop("values")
        self.__dict__.update(state)
        self.values = empty(*shape)
        self.values[:, : self.done] = filled
        if self.status is Status.RUNNING:
            self.chains = [type(chain)(*(aligned(vector) for vector in chain)) for chain in self.chains]
