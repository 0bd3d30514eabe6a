"""The Metropolis-adjusted microcanonical sampler: HMC whose trajectories move at constant speed."""

import math
from dataclasses import dataclass

import numpy as np
from numba import float64, int64, void

from samplers.chain import CHAIN, RNG, STATS, TALLY, Chain, Tally, metropolis, record
from samplers.hmc import FIRST_MOST, find_steps, steps_expected, stretch
from samplers.initial import single_chains
from samplers.isokinetic import refresh, trajectory
from samplers.leapfrog import DIVERGENCE, dual_average, steps_of
from samplers.method import MCMC
from samplers.metric import adapt, quarter_period, standard_deviations
from samplers.pointer import pointer
from samplers.scale import SCALE
from samplers.transition import Plain, Seen, Segment, Starts, Tuning
from targets.kernel import DATA, KERNEL, MATRIX, compiled, loop
from targets.options import require
from targets.target import Target

INTEGRATORS = {"leapfrog": 1, "minimal_norm": 2}  # evaluations a step

STEP_JITTER = 0.2  # with HMC's 0.8 a draw costs half as much again, since errors of the energy do not grow as steeply

# A path of two thirds of the quarter period of the widest direction: draws remember half of it where the target is
# Gaussian, and cost less by a third than with all of it. Where they remember more than that, the path is stretched.
PORTION = 2.0 / 3.0
LONG_MEMORY = 0.7  # autocorrelation at lag one

ONE_DIMENSION = "motion at constant speed has no direction to turn to in one dimension; take hmc or nuts"


@loop(void(KERNEL, DATA, RNG, CHAIN, TALLY, SCALE, MATRIX, STATS, float64, float64, int64, int64, float64))
def advance(  # type: ignore[no-untyped-def]
    kernel, data, rng, chain, tally, scale, draws, stats, path, jitter, most, stages, target
):
    """Advance one chain by as many trajectories as `draws` has rows, and write each end there.

    `path` and `jitter` give the length, at most `most` steps of `stages` evaluations; the velocity is drawn afresh for
    each. An end is accepted with probability min(1, p(end) / p(start) exp(-change of K)), which is exact for any path
    and step that do not depend on the state (arXiv:2503.01707). With `target` > 0 the step size adapts to that
    acceptance; otherwise it is fixed.
    """
    position, gradient = chain.position, chain.gradient
    proposal, proposal_gradient, velocity = chain.proposal, chain.proposal_gradient, chain.momentum
    dim = position.shape[0]
    log_density = tally[0].log_density
    widest = math.exp(tally[0].log_step)
    evaluations = 0
    for row in range(draws.shape[0]):
        step = widest * (1.0 - STEP_JITTER * rng.random())
        steps = steps_of(path * (1.0 + jitter * (2.0 * rng.random() - 1.0)), step, most)
        refresh(rng, velocity, np.inf)
        for i in range(dim):
            proposal[i] = position[i]
            proposal_gradient[i] = gradient[i]
        end, kinetic, made = trajectory(
            kernel, data, proposal, proposal_gradient, velocity, scale, step, steps, stages, chain.force, chain.spare
        )
        evaluations += made
        change = end - log_density - kinetic
        probability = metropolis(change)
        stats[row].diverging = 0 if -DIVERGENCE < change < np.inf else 1
        stats[row].acceptance_rate = probability
        stats[row].step_size = step
        stats[row].n_steps = made
        if rng.random() < probability:
            log_density = end
            for i in range(dim):
                position[i] = proposal[i]
                gradient[i] = proposal_gradient[i]
        stats[row].lp = log_density
        for i in range(dim):
            draws[row, i] = position[i]
        if target > 0.0:
            tally[0].adaptations += 1
            tally[0].error, tally[0].log_step, tally[0].log_step_mean = dual_average(
                tally[0].error, tally[0].log_step_mean, tally[0].centre, probability, target, tally[0].adaptations
            )
            widest = math.exp(tally[0].log_step)
    record(tally, log_density, draws.shape[0], evaluations)


@dataclass(frozen=True)
class MAMS(Plain):
    """Isokinetic trajectories of length path x U(1 - jitter, 1 + jitter), path as given or learned: see `learn`."""

    target_accept: float
    path: float | None
    jitter: float
    max_steps: int
    integrator: str

    reports = ("lp", "acceptance_rate", "step_size", "n_steps", "diverging")

    def unfit(self, target: Target) -> str | None:
        return ONE_DIMENSION if target.dim == 1 else None

    def usual_warmup(self, kept: bool) -> int:
        return 100 if kept else 400

    def compile(self, target: Target) -> None:
        compiled(target.log_density_and_gradient)
        _ = advance.compiled

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[Chain]:
        """The first step size is HMC's: see `samplers.isokinetic` on units."""
        tuning.path = PORTION * 0.5 * math.pi if self.path is None else self.path
        tuning.most = min(FIRST_MOST, self.max_steps)
        chains = single_chains(starts, counters)
        find_steps(target, rngs, chains, counters, tuning.scale)
        return chains

    def advance(self, segment: Segment) -> None:
        tuning = segment.tuning
        advance(
            pointer(segment.target.log_density_and_gradient),
            *segment.inputs,
            tuning.path,
            self.jitter,
            tuning.most,
            INTEGRATORS[self.integrator],
            self.target_accept if segment.adapting else 0.0,
        )

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        """Learn scale and path, as HMC does, the path with other constants."""
        values = seen.values
        adapt(tuning, standard_deviations, values)
        tuning.most = self.max_steps
        if self.path is None:
            stretch(tuning, values, LONG_MEMORY)
            tuning.path = PORTION * tuning.stretch * quarter_period(values, tuning.scale)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        return INTEGRATORS[self.integrator] * steps_expected(tuning, counters, STEP_JITTER)


def check_integrator(name: str, integrator: str) -> None:
    """Raise `UsageError` if there is none of that name."""
    accepted = integrator in INTEGRATORS
    require(accepted, f"{name}: integrator={integrator} is not accepted; it takes {', '.join(INTEGRATORS)}")


def mams(
    *,
    target_accept: float = 0.9,
    path: float | None = None,
    jitter: float = 0.75,
    max_steps: int = 1000,
    integrator: str = "leapfrog",
    num_warmup: int | None = None,
    num_chains: int = 4,
) -> MCMC:
    """MAMS; `path` is the mean length of a trajectory in units of the adapted scale and root dim, learned if none."""
    require(
        0.0 < target_accept < 1.0, f"mams: target_accept={target_accept:g} is not accepted; it lies between 0 and 1"
    )
    require(
        path is None or 0.0 < path < math.inf,
        f"mams: path={path} is not accepted; it takes a positive, finite length, or none",
    )
    require(0.0 <= jitter <= 1.0, f"mams: jitter={jitter:g} is not accepted; it lies between 0 and 1")
    require(max_steps >= 1, f"mams: max_steps={max_steps} is not accepted; it takes 1 or more")
    check_integrator("mams", integrator)
    return MCMC("mams", MAMS(target_accept, path, jitter, max_steps, integrator), num_chains, num_warmup)
