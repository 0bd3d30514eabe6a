"""Microcanonical Langevin Monte Carlo: isokinetic motion with a noisy direction; unadjusted, its steps bias it."""

import math
from dataclasses import dataclass

import numpy as np

from samplers import microcanonical
from samplers.autocorrelation import autocorrelation_times
from samplers.chain import Tally
from samplers.mams import INTEGRATORS, ONE_DIMENSION, check_integrator
from samplers.method import MCMC
from samplers.metric import adapt, quarter_period, standard_deviations
from samplers.microcanonical import SQUARES, STEPS, Particle, particle_at
from samplers.pointer import pointer
from samplers.transition import Plain, Seen, Segment, Starts, Tuning
from samplers.warmup import restart
from targets.kernel import compiled
from targets.options import require
from targets.target import Target

FIRST_STEP, FIRST_LENGTH = 0.25, 1.0  # in units of the scale and root dim
EVERY = 0.5  # of the decoherence length that a draw is apart from the next; with less a gradient buys hardly more
FIRST_MOST, MOST = 1, 1000  # steps a draw, in the first window and later
SHARE = 0.4  # of the mean autocorrelation length, as decoherence length (arXiv:2212.08549)
ENOUGH = 50  # draws a chain, for an autocorrelation length
CHANGE = 4.0  # the largest factor by which a window changes the decoherence length


@dataclass(frozen=True)
class MCLMC(Plain):
    """Draws lie half a decoherence length apart: several steps, where these are short, for one refreshment."""

    energy_variance: float
    decoherence: float | None
    integrator: str
    reports = ("lp", "acceptance_rate", "step_size", "n_steps", "diverging")

    def unfit(self, target: Target) -> str | None:
        return ONE_DIMENSION if target.dim == 1 else None

    def usual_warmup(self, kept: bool) -> int:
        return 100 if kept else 400

    def compile(self, target: Target) -> None:
        compiled(target.log_density_and_gradient)
        _ = microcanonical.wander.compiled

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[Particle]:
        tuning.path = FIRST_LENGTH if self.decoherence is None else self.decoherence
        tuning.most = FIRST_MOST
        counters["log_step"] = math.log(FIRST_STEP)
        counters["log_density"] = starts.log_densities[:, 0]
        restart(counters)
        velocities = [rng.standard_normal(target.dim) for rng in rngs]
        return [
            particle_at(x[0], g[0], u / np.linalg.norm(u))
            for x, g, u in zip(starts.positions, starts.gradients, velocities, strict=True)
        ]

    def advance(self, segment: Segment) -> None:
        tuning = segment.tuning
        microcanonical.wander(
            pointer(segment.target.log_density_and_gradient),
            *segment.inputs,
            tuning.path,
            EVERY,
            tuning.most,
            INTEGRATORS[self.integrator],
            self.energy_variance if segment.adapting else 0.0,
        )

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        """Learn scale and decoherence length.

        The length is a share of that over which the draws forget each other, averaged over coordinates, but never more
        than a quarter of the period of the widest direction, which draws of a slow target would exceed without end.
        """
        values = seen.values
        step = math.exp(float(np.mean(seen.counters["log_step"])))
        apart = step * _steps(tuning, step)
        adapt(tuning, standard_deviations, values)
        tuning.most = MOST
        if self.decoherence is None and values.shape[1] >= ENOUGH:
            length = SHARE * apart * float(np.mean(autocorrelation_times(values)))
            length = min(length, quarter_period(values, tuning.scale))
            tuning.path = min(max(length, tuning.path / CHANGE), tuning.path * CHANGE)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        return INTEGRATORS[self.integrator] * _steps(tuning, math.exp(float(np.mean(counters["log_step"]))))

    def says(self, chains: list[Particle], counters: Tally, tuning: Tuning) -> dict[str, float]:  # noqa: ARG002
        """The variance of the energy error, a step and dimension, since warm-up: what the bias hangs on."""
        squares, steps = (sum(float(chain.memory[k]) for chain in chains) for k in (SQUARES, STEPS))
        return {"energy_variance": squares / (steps * len(chains[0].position))} if steps else {}


def _steps(tuning: Tuning, step: float) -> float:
    """Steps a draw, about."""
    return min(max(EVERY * tuning.path / step, 1.0), float(tuning.most))


def mclmc(
    *,
    energy_variance: float = 5e-4,
    decoherence: float | None = None,
    integrator: str = "minimal_norm",
    num_warmup: int | None = None,
    num_chains: int = 4,
) -> MCMC:
    """MCLMC; `decoherence`, in units of the adapted scale and root dim, is learned if none.

    `energy_variance`, of the error that a step makes, a dimension, sets the step size and with it the bias.
    """
    require(
        0.0 < energy_variance < math.inf,
        f"mclmc: energy_variance={energy_variance:g} is not accepted; it takes a positive, finite number",
    )
    require(
        decoherence is None or 0.0 < decoherence < math.inf,
        f"mclmc: decoherence={decoherence} is not accepted; it takes a positive, finite length, or none",
    )
    check_integrator("mclmc", integrator)
    return MCMC("mclmc", MCLMC(energy_variance, decoherence, integrator), num_chains, num_warmup)
