"""The no-U-turn sampler with dual averaging and an adapted metric."""

from dataclasses import dataclass

import numpy as np

from samplers import tree
from samplers.chain import Chain, Tally
from samplers.hmc import find_step
from samplers.method import MCMC
from samplers.pointer import pointer
from samplers.transition import Tuning
from samplers.warmup import Values, covariance_factor, draw_gradient_deviations, restart, standard_deviations
from targets.kernel import Matrix, compiled, zeros
from targets.options import require
from targets.target import Target

METRICS = ("diagonal", "dense", "nutpie")
DEEPEST = 20


@dataclass(frozen=True)
class NUTS:
    """Trajectories that double until they turn, at most `max_tree_depth` times; `metric` is one of `METRICS`."""

    target_accept: float
    max_tree_depth: int
    metric: str

    def usual_warmup(self, kept: bool) -> int:
        return 100 if kept else 400

    def uses_density(self, target: Target) -> bool:  # noqa: ARG002
        return False

    def compile(self, target: Target) -> None:
        compiled(target.log_density_and_gradient)
        _ = tree.advance.compiled

    def begin(
        self, target: Target, rngs: list[np.random.Generator], chains: list[Chain], counters: Tally, tuning: Tuning
    ) -> None:
        tuning.with_gradients = self.metric == "nutpie" and not tuning.kept
        for c, (rng, chain) in enumerate(zip(rngs, chains, strict=True)):
            find_step(target, rng, chain, counters[c : c + 1], tuning.scale)
        restart(counters)

    def advance(
        self,
        target: Target,
        rng: np.random.Generator,
        chain: Chain,
        tally: Tally,
        tuning: Tuning,
        draws: Matrix,
        adapting: bool,
    ) -> None:
        dense = tuning.scale.ndim == 2
        tree.advance(
            pointer(target.log_density_and_gradient),
            target.data,
            rng,
            chain,
            tally,
            tree.tree_for(target.dim),
            tree.checkpoints_for(self.max_tree_depth, target.dim),
            zeros(0) if dense else tuning.scale,
            tuning.scale if dense else zeros(0, 0),
            dense,
            draws,
            tuning.with_gradients and adapting,
            self.max_tree_depth,
            self.target_accept if adapting else 0.0,
        )

    def learn(self, values: Values, tuning: Tuning) -> None:
        """Learn the scale; with nutpie's metric the gradients stand behind the positions."""
        if tuning.kept:
            return
        if self.metric == "nutpie":
            positions, gradients = np.split(values, 2, axis=2)
            tuning.scale = draw_gradient_deviations(positions, gradients, tuning.scale)
        elif self.metric == "dense":
            tuning.scale = covariance_factor(values, tuning.scale)
        else:
            tuning.scale = standard_deviations(values, tuning.scale)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        """Leapfrogs an iteration so far; at the start, those of the deepest tree."""
        iterations = int(counters["iterations"].sum())
        longest = 2.0**self.max_tree_depth - 1.0
        return max(1.0, counters["evaluations"].sum() / iterations) if iterations else longest


def nuts(
    *,
    target_accept: float = 0.8,
    max_tree_depth: int = 10,
    metric: str = "nutpie",
    num_warmup: int | None = None,
    num_chains: int = 4,
) -> MCMC:
    """Multinomial NUTS; `metric` is diagonal or dense from the draws, or nutpie: diagonal from draws and gradients."""
    require(
        0.0 < target_accept < 1.0, f"nuts: target_accept={target_accept:g} is not accepted; it lies between 0 and 1"
    )
    require(
        1 <= max_tree_depth <= DEEPEST,
        f"nuts: max_tree_depth={max_tree_depth} is not accepted; it takes 1 to {DEEPEST}",
    )
    require(metric in METRICS, f"nuts: metric={metric} is not accepted; it takes {', '.join(METRICS)}")
    return MCMC("nuts", NUTS(target_accept, max_tree_depth, metric), num_chains, num_warmup)
