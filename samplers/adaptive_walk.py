"""Random-walk Metropolis whose chains each learn a covariance: as Haario et al. do, or as RAM does."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from samplers.adaptive_metropolis import REACH, WEIGHT, begin_again, haario, learner, ram
from samplers.chain import Tally
from samplers.gradient_free import GradientFree, usual_thin
from samplers.rounds import nominal_nanoseconds
from samplers.schedule import Lesson, last_lesson, windows
from samplers.transition import Seen, Segment, Starts, Transition, Tuning
from samplers.warmup import restart
from targets.kernel import Loop
from targets.target import Target

FORGET = (0.1, 0.2, 0.4)  # of warm-up: where Haario's covariance is begun again, since chains travel at first


@dataclass(frozen=True)
class AdaptiveWalk(GradientFree):
    """A chain's own factor, learned in warm-up; with a scale that is kept it is `plain`, which learns none."""

    robust: bool  # RAM's
    thin: int | None
    plain: Transition

    def usual_warmup(self, kept: bool) -> int:
        return self.plain.usual_warmup(kept) if kept else 4000

    def schedule(self, length: int, kept: bool) -> list[Lesson]:
        if kept:
            return self.plain.schedule(length, kept)
        if self.robust:
            return windows(length, kept)  # where chains are looked at; nothing is learned there
        ends = sorted({max(1, round(length * fraction)) for fraction in FORGET if length})
        return [Lesson(end - 1, end) for end in ends if end < length] + last_lesson(length)

    def loops(self) -> tuple[Loop, ...]:
        return (ram if self.robust else haario,)

    def compile(self, target: Target) -> None:
        super().compile(target)
        self.plain.compile(target)

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[Any]:
        if tuning.kept:
            return self.plain.begin(target, rngs, starts, counters, tuning)
        restart(counters)
        counters["log_density"] = starts.log_densities[:, 0]
        size = REACH / math.sqrt(target.dim) if self.robust else math.sqrt(WEIGHT)
        return [learner(x[0], tuning.scale, size) for x in starts.positions]

    def advance(self, segment: Segment) -> None:
        if segment.tuning.kept:
            self.plain.advance(segment)
            return
        target = segment.target
        data, rng, chain, tally, _, *rows = segment.inputs
        everything = (*self.sources(target), data, rng, chain, tally, *rows, self.stride(target))
        if self.robust:
            ram(*everything, best_acceptance(target.dim) if segment.adapting else 0.0)
        else:
            haario(*everything, segment.adapting)

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        if tuning.kept:
            self.plain.learn(seen, tuning)
        elif not self.robust:
            for chain in seen.chains:
                begin_again(chain)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        # a product with the factor, and its update, take about dim^2 nanoseconds: many evaluations in high dimensions
        return self.stride(target) * (1.0 + target.dim**2 / nominal_nanoseconds(target))

    def stride(self, target: Target) -> int:
        """Proposals a draw."""
        return usual_thin(target.dim) if self.thin is None else self.thin


def best_acceptance(dim: int) -> float:
    """What a random walk's acceptance should be (Roberts, Gelman & Gilks 1997)."""
    return 0.44 if dim == 1 else 0.234
