"""Static Hamiltonian Monte Carlo with dual averaging, an adapted metric and an adapted, jittered path."""

import math
from dataclasses import dataclass

import numpy as np

from samplers import leapfrog
from samplers.chain import Chain, Tally, Values
from samplers.initial import evaluate, single_chains
from samplers.method import MCMC, check_thin
from samplers.metric import adapt, quarter_period, standard_deviations
from samplers.pointer import pointer
from samplers.scale import Scale
from samplers.transition import Plain, Seen, Segment, Starts, Tuning
from samplers.warmup import memory, restart
from targets.kernel import compiled
from targets.options import require
from targets.target import Target

STRETCH, LONG_MEMORY, SHORT_MEMORY = 1.5, 0.5, 0.2  # factor of the path, and autocorrelations at lag one
FIRST_MOST = 10  # leapfrog steps a trajectory in the first window, while the path is a guess
DOUBLINGS = 60
KEPT = 50  # numbers an evaluation, of methods with one step a trajectory, whose draws would otherwise fill the memory


@dataclass(frozen=True)
class HMC(Plain):
    """Trajectories of length path x U(1 - jitter, 1 + jitter), path as given or learned: see `learn`."""

    target_accept: float
    path: float | None
    jitter: float
    max_leapfrogs: int
    thin: int | None = 1  # trajectories a draw; if None, as many as let an evaluation keep `KEPT` numbers
    reports = ("lp", "energy", "acceptance_rate", "step_size", "n_steps", "diverging")

    def usual_warmup(self, kept: bool) -> int:
        return 100 if kept else 400

    def compile(self, target: Target) -> None:
        compiled(target.log_density_and_gradient)
        _ = leapfrog.advance.compiled

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[Chain]:
        tuning.path = 0.5 * math.pi if self.path is None else self.path
        tuning.most = min(FIRST_MOST, self.max_leapfrogs)
        chains = single_chains(starts, counters)
        find_steps(target, rngs, chains, counters, tuning.scale)
        return chains

    def advance(self, segment: Segment) -> None:
        tuning = segment.tuning
        leapfrog.advance(
            pointer(segment.target.log_density_and_gradient),
            *segment.inputs,
            tuning.path,
            self.jitter,
            tuning.most,
            self.stride(segment.target),
            self.target_accept if segment.adapting else 0.0,
        )

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        """Learn scale and path.

        The path is a quarter of the period of the widest direction left after scaling, with which draws of a Gaussian
        forget each other; as long as the draws show that they do not, it is stretched.
        """
        values = seen.values
        adapt(tuning, standard_deviations, values)
        tuning.most = self.max_leapfrogs
        if self.path is None:
            stretch(tuning, values, LONG_MEMORY)
            tuning.path = tuning.stretch * quarter_period(values, tuning.scale)

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:
        return self.stride(target) * steps_expected(tuning, counters, leapfrog.STEP_JITTER)

    def stride(self, target: Target) -> int:
        """Trajectories a draw."""
        return max(1, target.dim // KEPT) if self.thin is None else self.thin


def stretch(tuning: Tuning, values: Values, long_memory: float) -> None:
    """Stretch the path where the draws (chains, n, dim) remember each other for long, and take some of it back."""
    remembered = memory(values)
    if remembered > long_memory:
        tuning.stretch *= STRETCH
    elif remembered < SHORT_MEMORY:
        tuning.stretch = max(1.0, tuning.stretch / STRETCH)


def steps_expected(tuning: Tuning, counters: Tally, jitter: float) -> float:
    """Steps of a trajectory whose step size is the chain's x U(1 - jitter, 1)."""
    steps = tuning.path / math.exp(float(np.mean(counters["log_step"])))
    return min(max(steps * leapfrog.mean_slowdown(jitter), 1.0), float(tuning.most))


def find_steps(
    target: Target, rngs: list[np.random.Generator], chains: list[Chain], counters: Tally, scale: Scale
) -> None:
    """Find a first step size for each chain, and begin to adapt it from there."""
    for c, (rng, chain) in enumerate(zip(rngs, chains, strict=True)):
        find_step(target, rng, chain, counters[c : c + 1], scale)
    restart(counters)


def find_step(target: Target, rng: np.random.Generator, chain: Chain, tally: Tally, scale: Scale) -> None:
    """Double or halve the step until the acceptance of one leapfrog crosses 0.8 (Hoffman & Gelman 2014, alg. 4)."""
    step = math.exp(tally["log_step"][0])
    proposal, gradient = chain.proposal, chain.proposal_gradient
    up = None
    for _ in range(DOUBLINGS):
        r = rng.standard_normal(target.dim)
        start = tally["log_density"][0] - 0.5 * (r @ r)
        r += 0.5 * step * scale.transposed(chain.gradient)
        proposal[:] = chain.position + step * scale.times(r)
        end = evaluate(target, proposal, gradient)
        tally["evaluations"] += 1
        r += 0.5 * step * scale.transposed(gradient)
        change = end - 0.5 * (r @ r) - start
        good = bool(change > math.log(0.8))
        if up is None:
            up = good
        if good is not up:
            break
        step *= 2.0 if up else 0.5
    tally["log_step"] = math.log(step)


def hmc(
    *,
    target_accept: float = 0.9,
    path: float | None = None,
    jitter: float = 0.75,
    max_leapfrogs: int = 1000,
    thin: int = 1,
    num_warmup: int | None = None,
    num_chains: int = 4,
) -> MCMC:
    """Static HMC; `path` is the mean length of a trajectory in units of the adapted scale, learned if none.

    Every `thin`-th trajectory gives a draw, in warm-up too.
    """
    require(0.0 < target_accept < 1.0, f"hmc: target_accept={target_accept:g} is not accepted; it lies between 0 and 1")
    require(
        path is None or 0.0 < path < math.inf,
        f"hmc: path={path} is not accepted; it takes a positive, finite length, or none",
    )
    require(0.0 <= jitter <= 1.0, f"hmc: jitter={jitter:g} is not accepted; it lies between 0 and 1")
    require(max_leapfrogs >= 1, f"hmc: max_leapfrogs={max_leapfrogs} is not accepted; it takes 1 or more")
    check_thin("hmc", thin)
    return MCMC("hmc", HMC(target_accept, path, jitter, max_leapfrogs, thin), num_chains, num_warmup)


def mala(
    *, target_accept: float = 0.574, thin: int | None = None, num_warmup: int | None = None, num_chains: int = 4
) -> MCMC:
    """Metropolis-adjusted Langevin algorithm (Roberts & Tweedie 1996): HMC with one leapfrog step, draw for draw.

    Every `thin`-th state is kept, by default every one below 100 dimensions, and every dim / 50th beyond.
    """
    require(
        0.0 < target_accept < 1.0, f"mala: target_accept={target_accept:g} is not accepted; it lies between 0 and 1"
    )
    check_thin("mala", thin)
    return MCMC("mala", HMC(target_accept, None, 0.75, 1, thin), num_chains, num_warmup)
