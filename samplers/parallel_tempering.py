"""Non-reversible parallel tempering between a Gaussian reference and the target, with a ladder learned in warm-up."""

import math
from dataclasses import dataclass

import numpy as np

from samplers import tempered_scan
from samplers.chain import Tally
from samplers.method import MCMC
from samplers.pointer import pointer
from samplers.scale import diagonal_scale
from samplers.schedule import Lesson, last_lesson
from samplers.tempered_ladder import REFERENCE_BARRIER, between, first_ladder, fitted, improved, log_normaliser, pooled
from samplers.tempered_replicas import COUNTED, FROZEN, TRIPS, Replicas, forget, freeze, move_to, replicas_at
from samplers.tempering import Reference, scratch_for
from samplers.transition import Plain, Seen, Segment, Starts, Tuning
from targets.kernel import Vector, aligned, compiled
from targets.options import require
from targets.target import Target

# Rounds of warm-up, which double; after each the ladder is learned afresh, after all but the last the reference as
# well, from the last two rounds' draws. The last part is for the step sizes alone.
ROUNDS = (0.05, 0.1, 0.2, 0.4, 0.85)
WIDTHS = (4.0, 2.0, 1.0, REFERENCE_BARRIER)  # of the references learned: narrower as more is known
GIVEN_WIDER = 3.0  # the first reference over a scale that is given
MOST_LEVELS = 200
FIRST_STEP = 1.0  # x dim^(-1/4), in units of the scale (Beskos et al. 2013)
FIRST_LEAPFROGS = 2.0


@dataclass(frozen=True)
class ParallelTempering(Plain):
    """A chain is a system of replicas; it starts from `levels` points; a draw is the one at beta = 1 after a scan."""

    levels: int
    target_accept: float
    reference_scale: float
    max_leapfrogs: int
    reports = ("lp", "acceptance_rate", "step_size", "n_steps", "diverging")

    def points(self, target: Target) -> int:  # noqa: ARG002
        return self.levels

    def usual_warmup(self, kept: bool) -> int:
        return 100 if kept else 400

    def schedule(self, length: int, kept: bool) -> list[Lesson]:  # noqa: ARG002
        ends = sorted({max(1, round(length * fraction)) for fraction in ROUNDS} - {length})
        return [Lesson(end // 4, end, fresh=False) for end in ends] + last_lesson(length)

    def compile(self, target: Target) -> None:
        compiled(target.log_density_and_gradient)
        _ = tempered_scan.advance.compiled

    def begin(
        self,
        target: Target,
        rngs: list[np.random.Generator],  # noqa: ARG002
        starts: Starts,
        counters: Tally,
        tuning: Tuning,
    ) -> list[Replicas]:
        sd = tuning.scale.deviations
        reference = self.first_reference(target, starts, sd if tuning.kept else None)
        ladder = first_ladder(reference, sd, self.levels, min(FIRST_LEAPFROGS, self.max_leapfrogs))
        tuning.own.update(ladder=ladder, reference=reference, learned=0)
        step = math.log(FIRST_STEP * target.dim**-0.25)
        systems = [replicas_at(*start, reference, step) for start in zip(*starts, strict=True)]
        for c, system in enumerate(systems):
            counters["log_density"][c] = system.log_densities[len(ladder.betas) - 1]
        counters["log_step"] = counters["log_step_mean"] = step
        return systems

    def first_reference(self, target: Target, starts: Starts, sd: Vector | None) -> Reference:
        """About the starting points; as wide as was asked for, and no narrower than they lie or a given scale says.

        A scale that is given never narrows it: it may be that of one mode of several.
        """
        points = starts.positions.reshape(-1, target.dim)
        width = np.maximum(self.reference_scale, points.std(axis=0))
        return Reference(points.mean(axis=0), width if sd is None else np.maximum(width, GIVEN_WIDER * sd))

    def advance(self, segment: Segment) -> None:
        target, chain, tuning = segment.target, segment.chain, segment.tuning
        if not (segment.adapting or chain.counts[FROZEN]):
            freeze(chain, len(tuning.own["ladder"].betas) - 1, float(segment.tally["log_step"][0]))
        *head, draws, stats = segment.inputs
        tempered_scan.advance(
            pointer(target.log_density_and_gradient),
            *head,
            tuning.own["ladder"],
            scratch_for(target.dim),
            draws,
            stats,
            self.target_accept if segment.adapting else 0.0,
        )

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        """Learn levels, their scales, trajectories and step sizes, and in early rounds the reference."""
        systems, ladder, reference = seen.chains, tuning.own["ladder"], tuning.own["reference"]
        counts = pooled(systems, ladder, int(systems[0].counts[COUNTED]))
        found, at = improved(ladder, counts, self.levels, float(self.max_leapfrogs))
        tuning.own["learned"] += 1
        if tuning.own["learned"] <= len(WIDTHS):
            reference = fitted(seen.values, reference, WIDTHS[tuning.own["learned"] - 1])
            found = found._replace(reference=reference.matrix, height=aligned([reference.log_height]))
        if tuning.kept:
            found = found._replace(scales=aligned(between(found.betas, tuning.scale.deviations, reference.sd)))
        else:
            tuning.scale = diagonal_scale(found.scales[-1])
        tuning.own.update(ladder=found, reference=reference)
        move_to(systems, at, len(ladder.betas))
        for system in systems:
            system.references[:] = reference.log_density(system.positions)
            forget(system)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        return 1.0 + float(np.sum(tuning.own["ladder"].leapfrogs[1:]))

    def says(self, chains: list[Replicas], counters: Tally, tuning: Tuning) -> dict[str, float]:  # noqa: ARG002
        """Round trips and levels, barrier and least acceptance of swaps, and the log normaliser.

        - `round_trips`: of all systems since warm-up, from the reference to the target and back; `round_trip_rate`: a
          scan and system.
        - `levels`: in use; `barrier`: the sum of the rejection rates of swaps between neighbours.
        - `log_normaliser` and `log_normaliser_error`: see `samplers.tempered_ladder.log_normaliser`.
        """
        ladder = tuning.own["ladder"]
        pairs = len(ladder.betas) - 1
        scans = sum(float(system.counts[COUNTED]) for system in chains)
        if not scans:
            return {}
        trips = float(sum(system.counts[TRIPS] for system in chains))
        rejections = np.sum([system.rejections[:pairs] for system in chains], axis=0) / scans
        value, error = log_normaliser(chains, ladder)
        return {
            "round_trips": trips,
            "round_trip_rate": trips / scans,
            "levels": float(pairs + 1),
            "barrier": float(np.sum(rejections)),
            "swap_accept_min": 1.0 - float(np.max(rejections)),
            "log_normaliser": value,
            "log_normaliser_error": error,
        }


def parallel_tempering(
    *,
    levels: int = 16,
    target_accept: float = 0.8,
    reference_scale: float = 10.0,
    max_leapfrogs: int = 30,
    num_warmup: int | None = None,
    num_chains: int = 4,
) -> MCMC:
    """Parallel tempering; at most `levels` temperatures, and `num_chains` independent systems of that many replicas."""
    require(
        2 <= levels <= MOST_LEVELS,
        f"parallel_tempering: levels={levels} is not accepted; it takes 2 to {MOST_LEVELS}",
    )
    require(
        0.0 < target_accept < 1.0,
        f"parallel_tempering: target_accept={target_accept:g} is not accepted; it lies between 0 and 1",
    )
    require(
        0.0 < reference_scale < math.inf,
        f"parallel_tempering: reference_scale={reference_scale:g} is not accepted; it takes a positive number",
    )
    require(
        max_leapfrogs >= 1,
        f"parallel_tempering: max_leapfrogs={max_leapfrogs} is not accepted; it takes 1 or more",
    )
    transition = ParallelTempering(levels, target_accept, reference_scale, max_leapfrogs)
    return MCMC("parallel_tempering", transition, num_chains, num_warmup)
