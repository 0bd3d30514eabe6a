"""Slice sampling, coordinate by coordinate or along the columns of a covariance's factor (Neal 2003)."""

from dataclasses import dataclass

import numpy as np

from samplers.chain import Tally
from samplers.gradient_free import GradientFree
from samplers.method import MCMC
from samplers.metric import adapt, covariance_factor
from samplers.slices import Slicer, begin_widths, pool_widths, slicer, slices
from samplers.transition import Seen, Segment, Starts, Tuning
from samplers.warmup import restart
from targets.kernel import Loop
from targets.options import require
from targets.target import Target

DIRECTIONS, ORDERS = ("factor", "coordinates"), ("sweep", "random")
MOST_WIDTHS = 32  # of a bracket: what fits no longer is reached in several moves, for which widths then adapt
FIRST_COST = 6.0  # evaluations a slice, before any were counted


@dataclass(frozen=True)
class Slice(GradientFree):
    """A row of draws is a sweep: dim slices."""

    factored: bool
    in_order: bool
    most: int
    reports = ("lp", "acceptance_rate", "n_steps")

    def usual_warmup(self, kept: bool) -> int:
        return 100 if kept else 400

    def loops(self) -> tuple[Loop, ...]:
        return (slices,)

    def begin(
        self,
        target: Target,  # noqa: ARG002
        rngs: list[np.random.Generator],  # noqa: ARG002
        starts: Starts,
        counters: Tally,
        tuning: Tuning,  # noqa: ARG002
    ) -> list[Slicer]:
        restart(counters)
        counters["log_density"] = starts.log_densities[:, 0]
        return [slicer(x[0]) for x in starts.positions]

    def advance(self, segment: Segment) -> None:
        slices(*self.sources(segment.target), *segment.inputs, self.in_order, self.most, segment.adapting)

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        if self.factored and not tuning.kept:
            adapt(tuning, covariance_factor, seen.values)
            begin_widths(seen.chains)
        else:
            pool_widths(seen.chains)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        sweeps = int(counters["iterations"].sum())
        return float(counters["evaluations"].sum()) / sweeps if sweeps else FIRST_COST * target.dim


def slice_sampler(
    *,
    directions: str = "factor",
    order: str = "sweep",
    max_widths: int = MOST_WIDTHS,
    num_warmup: int | None = None,
    num_chains: int = 4,
) -> MCMC:
    """Slice sampling; a bracket is stepped out to `max_widths` widths at most, which warm-up learns."""
    require(
        directions in DIRECTIONS,
        f"slice: directions={directions!r} is not accepted; it takes {' or '.join(DIRECTIONS)}",
    )
    require(order in ORDERS, f"slice: order={order!r} is not accepted; it takes {' or '.join(ORDERS)}")
    require(max_widths >= 1, f"slice: max_widths={max_widths} is not accepted; it takes 1 or more")
    return MCMC("slice", Slice(directions == "factor", order == "sweep", max_widths), num_chains, num_warmup)
