"""The no-U-turn sampler with dual averaging and an adapted metric."""

from dataclasses import dataclass

import numpy as np

from samplers import tree
from samplers.chain import Tally
from samplers.hmc import find_steps
from samplers.initial import single_chains
from samplers.method import MCMC
from samplers.metric import (
    Learner,
    adapt,
    covariance_factor,
    draw_gradient_deviations,
    draw_gradient_low_rank,
    stan_deviations,
)
from samplers.pointer import pointer
from samplers.schedule import Lesson, nutpie_windows, stan_windows, windows
from samplers.transition import Plain, Seen, Segment, Starts, Tuning
from samplers.tree import TreeChain, tree_chain
from targets.kernel import compiled
from targets.options import require
from targets.target import Target

LEARNERS: dict[str, Learner] = {
    "nutpie": draw_gradient_deviations,
    "nutpie_low_rank": draw_gradient_low_rank,
    "stan": stan_deviations,
    "stan_dense": covariance_factor,
}
METRICS = tuple(LEARNERS)
DEEPEST = 20
USUAL = {"nutpie": 400, "nutpie_low_rank": 800, "stan": 1000, "stan_dense": 1000}  # iterations of warm-up


@dataclass(frozen=True)
class NUTS(Plain):
    """Trajectories that double until they turn, at most `max_tree_depth` times; `metric` is one of `METRICS`."""

    target_accept: float
    max_tree_depth: int
    metric: str
    reports = ("lp", "energy", "acceptance_rate", "step_size", "n_steps", "tree_depth", "diverging")

    def usual_warmup(self, kept: bool) -> int:
        return 100 if kept else USUAL[self.metric]

    def schedule(self, length: int, kept: bool) -> list[Lesson]:
        if kept:
            return windows(length, kept)
        return stan_windows(length) if self.metric.startswith("stan") else nutpie_windows(length)

    def compile(self, target: Target) -> None:
        compiled(target.log_density_and_gradient)
        _ = tree.advance.compiled

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[TreeChain]:
        tuning.with_gradients = self.metric.startswith("nutpie") and not tuning.kept
        chains = single_chains(starts, counters)
        find_steps(target, rngs, chains, counters, tuning.scale)
        return [tree_chain(chain, self.max_tree_depth) for chain in chains]

    def advance(self, segment: Segment) -> None:
        tree.advance(
            pointer(segment.target.log_density_and_gradient),
            *segment.inputs,
            segment.tuning.with_gradients and segment.adapting,
            self.max_tree_depth,
            self.target_accept if segment.adapting else 0.0,
        )

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        """Learn the scale; with nutpie's metrics the gradients stand behind the positions."""
        parts = np.split(seen.values, 2, axis=2) if tuning.with_gradients else [seen.values]
        adapt(tuning, LEARNERS[self.metric], *parts)

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
    """Multinomial NUTS; the metric is stan or stan_dense, from draws, or nutpie or nutpie_low_rank, with gradients."""
    require(
        0.0 < target_accept < 1.0, f"nuts: target_accept={target_accept:g} is not accepted; it lies between 0 and 1"
    )
    require(
        1 <= max_tree_depth <= DEEPEST,
        f"nuts: max_tree_depth={max_tree_depth} is not accepted; it takes 1 to {DEEPEST}",
    )
    require(metric in METRICS, f"nuts: metric={metric} is not accepted; it takes {', '.join(METRICS)}")
    return MCMC("nuts", NUTS(target_accept, max_tree_depth, metric), num_chains, num_warmup)
