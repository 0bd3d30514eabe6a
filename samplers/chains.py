"""The driver: several chains of one kind, advanced round by round through warm-up and beyond."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import numpy as np

from samplers.chain import Stats, Values, no_stats, tallies
from samplers.draws import Draws
from samplers.initial import Initial, StartError, place
from samplers.rounds import CALL_EVALUATIONS, CALL_NANOSECONDS, nominal_nanoseconds
from samplers.scale import Scale, diagonal_scale
from samplers.transition import Seen, Segment, Starts, Transition, Tuning
from samplers.warmup import complaint, first_scale, pool_steps
from targets.kernel import aligned, empty
from targets.protocols import Phase, Status, Work
from targets.target import Target

GROWTH = 0.1  # a round after warm-up lengthens the chains by this fraction
FIRST_ROUND = 20  # iterations


class ChainsRun:
    """Chains of one transition on one target. See `targets.protocols.Run`.

    A round brings all chains to the same number of iterations. Its length depends on the state alone, never on the
    clock or on what was asked of `advance`, so that results do not depend on how the work is cut. The chains of a round
    run in `threads` threads; each has its own random numbers, so that results do not depend on these either.

    Attributes:
        pace: nanoseconds an evaluation takes, where the caller has measured it; slow densities have shorter rounds. The
            draws are the same for any, but not how many there are when `advance` returns: the harness leaves it.
    """

    pace = 0.0
    _pool: ThreadPoolExecutor | None = None

    def __init__(
        self,
        transition: Transition,
        target: Target,
        seed: int,
        num_chains: int,
        num_warmup: int | None,
        initial: Initial,
        threads: int = 1,
    ) -> None:
        initial.check(num_chains * transition.points(target), target.dim)
        self.transition = transition
        self.target = target
        self.threads = min(threads, num_chains)
        self.status = Status.RUNNING
        self.reason = ""
        self.phase = Phase.WARMUP
        self.work = Work()
        self.rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(num_chains)]
        length = transition.usual_warmup(initial.kept) if num_warmup is None else num_warmup
        self.lessons = transition.schedule(length, initial.kept)
        self.members = transition.members(target)
        self.last = 0  # where the lesson before ended
        self.done = 0  # iterations of this phase, hence rows of `values` and `stats` filled
        self.before: tuple[Values, Stats] | None = None  # what warm-up drew, once it is over
        self._start(initial, length)

    def _start(self, initial: Initial, length: int) -> None:
        chains, dim = len(self.rngs), self.target.dim
        self.counters = tallies(chains)
        self.values, self.stats = empty(chains, 0, dim), no_stats(chains, length)
        try:
            scale = initial.scale()
            gradient_free = self.transition.uses_density(self.target)
            points = self.transition.points(self.target)
            starts = place(self.target, self.rngs, initial, self.counters, gradient_free, points)
        except StartError as error:
            self._fail(str(error))
            self._count()
            return
        given = None if initial.kept else scale
        self.tuning = Tuning(scale or _guess(starts), initial.kept, given=given, strength=initial.strength)
        self.chains = self.transition.begin(self.target, self.rngs, starts, self.counters, self.tuning)
        width = 2 * dim if self.tuning.with_gradients else dim
        self.values = empty(chains, length, self.members * width)
        self._count()

    def _fail(self, reason: str) -> None:
        self.status, self.reason = Status.FAILED, reason

    def _count(self) -> None:
        spent = int(self.counters["evaluations"].sum())
        if self.transition.uses_density(self.target):
            self.work.density_evaluations = spent
        else:
            self.work.gradient_evaluations = spent
        self.work.row_evaluations = int(self.counters["rows"].sum())

    def advance(self, work: int) -> None:
        """Run whole rounds until that much work was done, or the phase or the status changes."""
        goal, phase = self.work.total + work, self.phase
        while self.status is Status.RUNNING and self.phase is phase and self.work.total < goal:
            self._round()

    def _round(self) -> None:
        if self.phase is Phase.WARMUP:
            end = min(self.done + self._most(), self.lessons[0].end)
            self._run_to(end, adapting=True)
            if end == self.lessons[0].end:
                self._learn()
        else:
            growth = max(FIRST_ROUND, math.ceil(self.done * GROWTH))
            end = self.done + min(growth, self._most())
            self._reserve(end)
            self._run_to(end, adapting=False)

    def _most(self) -> int:
        """Iterations that a round may have, each chain's in one compiled call."""
        nanoseconds = max(nominal_nanoseconds(self.target), self.pace)
        evaluations = min(CALL_EVALUATIONS / len(self.chains), CALL_NANOSECONDS / nanoseconds)
        return max(1, int(evaluations / self.transition.cost(self.target, self.counters, self.tuning)))

    def _run_to(self, end: int, adapting: bool) -> None:
        self._each_chain(partial(self._run_chain, begin=self.done, end=end, adapting=adapting))
        self.done = end
        self._count()

    def _run_chain(self, c: int, begin: int, end: int, adapting: bool) -> None:
        tally, draws, stats = self.counters[c : c + 1], self.values[c, begin:end], self.stats[c, begin:end]
        self.transition.advance(
            Segment(self.target, self.rngs[c], self.chains[c], tally, self.tuning, draws, stats, adapting)
        )

    def _each_chain(self, work: Callable[[int], None]) -> None:
        chains = range(len(self.chains))
        if self.threads == 1:
            for c in chains:
                work(c)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, "chains")
        futures = [self._pool.submit(work, c) for c in chains]
        try:
            for future in futures:
                future.result()
        finally:  # after an exception or an interrupt nothing goes on behind the caller's back
            for future in futures:
                future.cancel()
            wait(futures)

    def _learn(self) -> None:
        lesson, self.lessons = self.lessons[0], self.lessons[1:]
        window = slice(lesson.begin, lesson.end)
        if lesson.fresh:
            pool_steps(self.counters)
        since = max(0, self.last - 1)  # with the draw before the window
        drawn = self.values[:, since : self.done, : self.members * self.target.dim]
        reason = complaint(self.counters, drawn, last=not self.lessons)
        if reason:
            self._fail(reason)
        elif not self.lessons:
            self._end_warmup()
        elif lesson.begin < lesson.end:
            seen = Seen(self.values[:, window], self.stats[:, window], self.chains, self.counters)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # draws on their way to infinity
                self.transition.learn(seen, self.tuning)
        self.last = lesson.end

    def _end_warmup(self) -> None:
        width = self.members * self.target.dim
        self.before = self.values[:, : self.done, :width], self.stats[:, : self.done]
        self.phase = Phase.RUN
        self._clear()

    def _clear(self) -> None:
        chains, width, self.done = len(self.chains), self.members * self.target.dim, 0
        self.values, self.stats = empty(chains, 2 * FIRST_ROUND, width), no_stats(chains, 2 * FIRST_ROUND)

    def _reserve(self, rows: int) -> None:
        chains, capacity, width = self.values.shape
        if rows > capacity:
            values, stats = self.values, self.stats
            capacity = max(rows, 2 * capacity)
            self.values, self.stats = empty(chains, capacity, width), no_stats(chains, capacity)
            self.values[:, : self.done] = values[:, : self.done]
            self.stats[:, : self.done] = stats[:, : self.done]

    @property
    def _begin(self) -> int:
        """The first of the draws to speak of: all since warm-up; during warm-up, the later half of its draws so far."""
        return self.done // 2 if self.phase is Phase.WARMUP else 0

    @property
    def draws(self) -> Values:
        """(chains, n, dim) so far; of an ensemble, every member is a chain."""
        return self._split(self.values[:, self._begin : self.done])

    def _split(self, rows: Values) -> Values:
        dim = self.target.dim
        if self.members == 1:
            return rows[:, :, :dim]
        chains, n, _ = rows.shape
        return rows.reshape(chains, n, self.members, dim).transpose(0, 2, 1, 3).reshape(chains * self.members, n, dim)

    def approximation(self) -> Draws | None:
        """The draws, or None where there are none yet. They stay what they are while the run goes on."""
        draws = self.draws
        if draws.shape[1] == 0:
            return None
        stats = {name: self.stats[name][:, self._begin : self.done] for name in self.transition.reports}
        return Draws(draws, self.target.coordinates, stats)

    def forget(self) -> None:
        """Drop all draws so far, for whoever has taken what is needed of them: long runs then fit in memory."""
        if self.phase is Phase.RUN:
            self._clear()
            self.before = None

    def warmup(self) -> Draws | None:
        """What warm-up drew, once it is over; None before, or where it was of length zero."""
        if self.before is None or self.before[0].shape[1] == 0:
            return None
        values, stats = self.before
        return Draws(
            self._split(values), self.target.coordinates, {name: stats[name] for name in self.transition.reports}
        )

    def diagnostics(self) -> dict[str, float]:
        """What `Draws.diagnostics` says of the draws, and what only this kind of chain knows."""
        draws = self.approximation()
        if draws is None:
            return {}
        return draws.diagnostics() | self.transition.says(self.chains, self.counters, self.tuning)

    def __getstate__(self) -> dict[str, Any]:
        filled = self.values[:, : self.done].copy(), self.stats[:, : self.done].copy()
        own = {key: value for key, value in self.__dict__.items() if key != "_pool"}
        return {**own, "values": (self.values.shape, filled[0]), "stats": (self.stats.shape, filled[1])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        values, stats = state.pop("values"), state.pop("stats")
        self.__dict__.update(state)
        self.values, self.stats = empty(*values[0]), no_stats(*stats[0])
        self.values[:, : self.done], self.stats[:, : self.done] = values[1], stats[1]
        if self.status is Status.RUNNING:
            self.chains = [type(chain)(*(aligned(part) for part in chain)) for chain in self.chains]
            self.tuning.scale = Scale(*(aligned(part) for part in self.tuning.scale))


def _guess(starts: Starts) -> Any:
    """The scale of a cold start."""
    dim = starts.positions.shape[2]
    return diagonal_scale(first_scale(starts.positions.reshape(-1, dim), starts.gradients.reshape(-1, dim)))
