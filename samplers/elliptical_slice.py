"""Elliptical slice sampling under the target's Gaussian prior, or under a Gaussian learned in warm-up."""

from dataclasses import dataclass

import numpy as np

from samplers.chain import Tally
from samplers.ellipses import ellipses, orbit
from samplers.gradient_free import GradientFree
from samplers.method import MCMC
from samplers.scale import dense_scale, diagonal_scale
from samplers.slice import MOST_WIDTHS, Slice
from samplers.slices import Slicer
from samplers.transition import Seen, Segment, Starts, Tuning
from targets.kernel import Loop, aligned
from targets.options import require
from targets.target import GaussianPrior, Target

GAUSSIANS = ("prior", "fitted")
FIRST_COST = 6.0  # evaluations an ellipse, before any were counted
NO_PRIOR = "needs a Gaussian prior over all coordinates, which {} does not declare, or gaussian=fitted"


@dataclass(frozen=True)
class Elliptical(GradientFree):
    """Ellipses under N(m, A A'), with m = `tuning.own["mean"]` (dim,) and A the scale.

    They are the prior's, or `fitted` to the draws of all chains over the windows of a warm-up of ordinary slices:
    ellipses under a poor Gaussian hardly move, and so would find no better one.
    """

    fitted: bool
    learner = Slice(factored=True, in_order=True, most=MOST_WIDTHS)
    reports = ("lp", "acceptance_rate", "n_steps")

    def unfit(self, target: Target) -> str | None:
        return None if self.fitted or target.gaussian_prior is not None else NO_PRIOR.format(target.name)

    def usual_warmup(self, kept: bool) -> int:
        return self.learner.usual_warmup(kept) if self.fitted else 1000

    def loops(self) -> tuple[Loop, ...]:
        return (ellipses, *self.learner.loops()) if self.fitted else (ellipses,)

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[Slicer]:
        reason = self.unfit(target)
        require(reason is None, f"elliptical_slice: {reason}")
        tuning.own["mean"] = aligned(starts.positions.mean(axis=(0, 1)))
        tuning.own["before"] = 0.0, 0.0
        if not self.fitted:
            prior: GaussianPrior = target.gaussian_prior  # type: ignore[assignment]  # or it is unfit
            tuning.own["mean"] = aligned(prior.mean)
            tuning.scale = dense_scale(prior.scale) if np.ndim(prior.scale) == 2 else diagonal_scale(prior.scale)
        return self.learner.begin(target, rngs, starts, counters, tuning)

    def advance(self, segment: Segment) -> None:
        if self.fitted and segment.adapting:
            self.learner.advance(segment)
            return
        data, rng, chain, *rest = segment.inputs
        ellipses(*self.sources(segment.target), data, rng, orbit(chain.position), *rest, segment.tuning.own["mean"])

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        """Fit the Gaussian to the draws of all chains; of a scale that is kept, the mean alone."""
        if not self.fitted:
            return
        self.learner.learn(seen, tuning)
        tuning.own["mean"] = aligned(seen.values.mean(axis=(0, 1)))
        tuning.own["before"] = spent(seen.counters)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:
        """Of the rows since something was learned."""
        rows, evaluations = np.subtract(spent(counters), tuning.own["before"])
        if rows > 0:
            return float(evaluations / rows)
        return self.learner.cost(target, counters, tuning) if self.fitted else FIRST_COST


def spent(counters: Tally) -> tuple[float, float]:
    """Rows and evaluations so far."""
    return float(counters["iterations"].sum()), float(counters["evaluations"].sum())


def elliptical_slice(*, gaussian: str = "prior", num_warmup: int | None = None, num_chains: int = 4) -> MCMC:
    """Elliptical slice sampling; `gaussian` is the target's `prior`, or is `fitted` to the draws of warm-up."""
    require(
        gaussian in GAUSSIANS,
        f"elliptical_slice: gaussian={gaussian!r} is not accepted; it takes {' or '.join(GAUSSIANS)}",
    )
    return MCMC("elliptical_slice", Elliptical(gaussian == "fitted"), num_chains, num_warmup)
