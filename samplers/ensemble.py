"""The affine-invariant ensemble sampler (Goodman & Weare 2010), as emcee made it known."""

import math
from dataclasses import dataclass

import numpy as np

from samplers.chain import Tally
from samplers.gradient_free import GradientFree, usual_thin
from samplers.initial import evaluate
from samplers.method import MCMC, check_thin
from samplers.scale import Scale
from samplers.schedule import Lesson, last_lesson
from samplers.stretches import Ensemble, ensemble_at, stretches
from samplers.transition import Seen, Segment, Starts, Tuning
from samplers.warmup import restart
from targets.kernel import Loop, aligned, zeros
from targets.options import require
from targets.target import Target

FEWEST = 32  # walkers, unless told
MOST_WALKERS = 1_000_000
CLOSER = 60  # times that a walker is brought closer where there is no density


@dataclass(frozen=True)
class Stretch(GradientFree):
    """A chain is an ensemble, and a row of draws the states of all its walkers. Nothing is adapted."""

    num_walkers: int | None
    stretch: float
    thin: int | None
    reports = ("lp", "acceptance_rate", "n_steps")

    def walkers(self, target: Target) -> int:
        """Twice the dimension, and at least `FEWEST`, unless the number was given."""
        return max(2 * target.dim, FEWEST) if self.num_walkers is None else self.num_walkers

    def unfit(self, target: Target) -> str | None:
        walkers = self.walkers(target)
        if walkers > target.dim:
            return None
        return (
            f"{walkers} walkers do not span {target.dim} dimensions; it takes more than that, and twice that is usual"
        )

    def points(self, target: Target) -> int:
        return self.walkers(target)

    def members(self, target: Target) -> int:
        return self.walkers(target)

    def usual_warmup(self, kept: bool) -> int:  # noqa: ARG002
        return 200

    def schedule(self, length: int, kept: bool) -> list[Lesson]:  # noqa: ARG002
        half = length // 2
        return [Lesson(half, half), *last_lesson(length)] if half else last_lesson(length)

    def loops(self) -> tuple[Loop, ...]:
        return (stretches,)

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[Ensemble]:
        reason = self.unfit(target)
        require(reason is None, f"ensemble: {reason}")
        restart(counters)
        ensembles = []
        for c, rng in enumerate(rngs):
            ensemble = ensemble_at(starts.positions[c], starts.log_densities[c])
            if np.linalg.matrix_rank(ensemble.positions - ensemble.positions.mean(axis=0)) < target.dim:
                counters["evaluations"][c] += scatter(ensemble, target, self.uses_density(target), rng, tuning.scale)
            ensembles.append(ensemble)
        return ensembles

    def advance(self, segment: Segment) -> None:
        data, rng, chain, tally, _, *rows = segment.inputs
        everything = (*self.sources(segment.target), data, rng, chain, tally, *rows)
        stretches(*everything, self.stride(segment.target), self.stretch)

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        """Nothing."""

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        return float(self.stride(target) * self.walkers(target))

    def stride(self, target: Target) -> int:
        """Moves of every walker a row."""
        return usual_thin(target.dim) if self.thin is None else self.thin


def scatter(ensemble: Ensemble, target: Target, gradient_free: bool, rng: np.random.Generator, scale: Scale) -> int:
    """Move walkers apart that span too little, such as those that all start at one point; how many evaluations it took.

    Each goes to a draw of the scale's Gaussian about its place, or half as far until the density is finite.
    """
    evaluations = 0
    gradient = None if gradient_free else zeros(target.dim)
    for k, position in enumerate(ensemble.positions):
        shift = scale.times(rng.standard_normal(target.dim))
        for _ in range(CLOSER):
            proposal = aligned(position + shift)
            value = evaluate(target, proposal, gradient)
            evaluations += 1
            if np.isfinite(value):
                position[:] = proposal
                ensemble.log_densities[k] = value
                break
            shift *= 0.5
    return evaluations


def ensemble(
    *,
    num_walkers: int | None = None,
    stretch: float = 2.0,
    thin: int | None = None,
    num_warmup: int | None = None,
    num_chains: int = 2,
) -> MCMC:
    """Ensembles of `num_walkers`, each a chain; every `thin`-th state of all walkers is kept."""
    require(
        num_walkers is None or (4 <= num_walkers <= MOST_WALKERS and num_walkers % 2 == 0),
        f"ensemble: num_walkers={num_walkers} is not accepted; it takes an even number from 4 to {MOST_WALKERS}, or "
        "none",
    )
    require(
        1.0 < stretch < math.inf, f"ensemble: stretch={stretch:g} is not accepted; it takes a finite number above 1"
    )
    check_thin("ensemble", thin)
    return MCMC("ensemble", Stretch(num_walkers, stretch, thin), num_chains, num_warmup)
