"""Random-walk Metropolis with an adapted scale and an adapted diagonal covariance."""

import math
from dataclasses import dataclass

import numpy as np

from samplers.chain import Chain, Stats, Tally
from samplers.initial import single_chains
from samplers.method import MCMC
from samplers.metric import adapt, standard_deviations
from samplers.metropolis import no_density, walk
from samplers.pointer import pointer
from samplers.transition import Plain, Seen, Starts, Tuning
from samplers.warmup import restart
from targets.kernel import Matrix, compiled
from targets.options import require
from targets.target import Target


@dataclass(frozen=True)
class RandomWalk(Plain):
    """Proposals x + s A z; the scale s adapts to an acceptance of 0.234, or 0.44 in 1-D (Roberts et al. 1997)."""

    thin: int | None

    def usual_warmup(self, kept: bool) -> int:
        return 250 if kept else 1000

    def uses_density(self, target: Target) -> bool:
        return target.log_density is not None

    def compile(self, target: Target) -> None:
        compiled(target.log_density_and_gradient)
        compiled(target.log_density or no_density)
        _ = walk.compiled

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

    def advance(
        self,
        target: Target,
        rng: np.random.Generator,
        chain: Chain,
        tally: Tally,
        tuning: Tuning,
        draws: Matrix,
        stats: Stats,
        adapting: bool,
    ) -> None:
        goal = 0.0 if not adapting else 0.44 if target.dim == 1 else 0.234
        walk(
            pointer(target.log_density or no_density),
            pointer(target.log_density_and_gradient),
            self.uses_density(target),
            target.data,
            rng,
            chain,
            tally,
            tuning.scale,
            draws,
            stats,
            self.stride(target),
            goal,
        )

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        adapt(tuning, standard_deviations, seen.values)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        return float(self.stride(target))

    def stride(self, target: Target) -> int:
        """Proposals a draw."""
        return max(1, target.dim // 4) if self.thin is None else self.thin


def random_walk(*, thin: int | None = None, num_warmup: int | None = None, num_chains: int = 4) -> MCMC:
    """Random-walk Metropolis; every `thin`-th state is kept, by default every dim // 4-th. Warm-up counts those."""
    require(thin is None or thin >= 1, f"random_walk: thin={thin} is not accepted; it takes 1 or more, or none")
    return MCMC("random_walk", RandomWalk(thin), num_chains, num_warmup)
