"""Random-walk Metropolis with an adapted scale and an adapted covariance."""

import math
from dataclasses import dataclass

import numpy as np

from samplers.adaptive_walk import AdaptiveWalk, best_acceptance
from samplers.chain import Chain, Tally
from samplers.gradient_free import GradientFree, usual_thin
from samplers.initial import single_chains
from samplers.method import MCMC, check_thin
from samplers.metric import adapt, covariance_factor, standard_deviations
from samplers.metropolis import walk
from samplers.transition import Seen, Segment, Starts, Transition, Tuning
from samplers.warmup import restart
from targets.kernel import Loop
from targets.options import require
from targets.target import Target

ADAPTATIONS = ("windows", "dense_windows", "haario", "ram")


@dataclass(frozen=True)
class RandomWalk(GradientFree):
    """Proposals x + s A z; the scale s adapts to an acceptance of 0.234, or 0.44 in 1-D (Roberts et al. 1997)."""

    thin: int | None
    dense: bool = False  # whether the scale is learned from the whole covariance

    def usual_warmup(self, kept: bool) -> int:
        return 250 if kept else 4000 if self.dense else 1000

    def loops(self) -> tuple[Loop, ...]:
        return (walk,)

    def begin(
        self,
        target: Target,
        rngs: list[np.random.Generator],  # noqa: ARG002
        starts: Starts,
        counters: Tally,
        tuning: Tuning,  # noqa: ARG002
    ) -> list[Chain]:
        counters["log_step"] = math.log(2.38 / math.sqrt(target.dim))
        restart(counters)
        return single_chains(starts, counters)

    def advance(self, segment: Segment) -> None:
        accept = best_acceptance(segment.target.dim) if segment.adapting else 0.0
        walk(*self.sources(segment.target), *segment.inputs, self.stride(segment.target), accept)

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        adapt(tuning, covariance_factor if self.dense else standard_deviations, seen.values)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        return float(self.stride(target))

    def stride(self, target: Target) -> int:
        """Proposals a draw."""
        return usual_thin(target.dim) if self.thin is None else self.thin


def random_walk(
    *, adaptation: str = "windows", thin: int | None = None, num_warmup: int | None = None, num_chains: int = 4
) -> MCMC:
    """Random-walk Metropolis; every `thin`-th state is kept, by default every dim // 4-th. Warm-up counts those."""
    require(
        adaptation in ADAPTATIONS,
        f"random_walk: adaptation={adaptation!r} is not accepted; it takes {', '.join(ADAPTATIONS)}",
    )
    check_thin("random_walk", thin)
    chain: Transition = RandomWalk(thin, adaptation == "dense_windows")
    if adaptation in ("haario", "ram"):
        chain = AdaptiveWalk(adaptation == "ram", thin, chain)
    return MCMC("random_walk", chain, num_chains, num_warmup)
