"""Adaptive tempered sequential Monte Carlo: passes of populations, each with twice the particles of the last.

Passes are independent given the reference, which is learned from the one before; estimates stay unbiased given it. How
they combine is in `samplers.smc_passes`, how references are learned in `samplers.smc_reference`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from samplers import smc_loop
from samplers.draws import Draws
from samplers.initial import Initial, StartError
from samplers.method import check_chains
from samplers.mixture import Mixture, mixture
from samplers.pointer import pointer
from samplers.population import Population, Settings
from samplers.rounds import most_evaluations
from samplers.smc_passes import Pass, ancestors, combined, log_normaliser
from samplers.smc_reference import WIDER, learned
from samplers.smc_weights import largest_change
from samplers.workers import Workers
from targets.kernel import empty
from targets.options import require, spec
from targets.protocols import Phase, Status, Work
from targets.target import Target

GROWTH = 2
FEWEST = 20  # particles
MOST_PARTICLES = 10_000_000
PILOTS = (0.1, 0.2)  # of the particles of the first pass, in the pilots, which find the reference for it
LEAST_PILOT = 100
EXPLORING = 10  # least moves of a pilot's particles at the target: they are few, and look for what there is
STARTS = 100  # starting points that a target of its own way to start is centred by


class SMCRun:
    """Passes of tempered SMC on one target. See `targets.protocols.Run`.

    Warm-up are the pilots, which only find a reference, and the first pass, which is one more pilot where it found what
    its reference had not covered. The approximation is that of all finished passes and changes where one ends. A round
    advances every population that is not finished by one compiled call, in `threads` threads; each has its own random
    numbers, so that results do not depend on these.

    Attributes:
        pace: as that of `samplers.chains.ChainsRun`.
    """

    pace = 0.0

    def __init__(
        self,
        target: Target,
        seed: int,
        num_chains: int,
        particles: int,
        scale: float,
        settings: Settings,
        initial: Initial,
        threads: int = 1,
    ) -> None:
        initial.check(num_chains, target.dim)
        self.target = target
        self.settings = settings
        self.particles = particles
        self.status = Status.RUNNING
        self.reason = ""
        self.phase = Phase.WARMUP
        self.workers = Workers(min(threads, num_chains))
        self.spent = 0  # evaluations of populations that are gone
        *children, own = np.random.SeedSequence(seed).spawn(num_chains + 1)
        self.rngs = [np.random.default_rng(child) for child in children]
        self.own = np.random.default_rng(own)
        self.passes: list[Pass] = []
        self.draws = empty(num_chains, 0, target.dim)  # (chains, n, dim): all draws so far, of equal weight
        self.populations: list[Population] = []
        try:
            reference = first_reference(target, scale, initial, self.own)
        except StartError as error:
            self.status, self.reason = Status.FAILED, str(error)
            return
        self.pilots = [max(LEAST_PILOT, round(particles * share)) for share in PILOTS]
        self._begin(reference)

    def _begin(self, reference: Mixture) -> None:
        """The next pilot or pass."""
        particles, sweeps = self.particles * GROWTH ** len(self.passes), 1
        if self.pilots:
            particles, sweeps = self.pilots[0], EXPLORING
        self.populations = [
            Population(self.target, rng, reference, particles, self.settings, sweeps) for rng in self.rngs
        ]

    @property
    def done(self) -> int:
        """Draws a chain."""
        return int(self.draws.shape[1])

    @property
    def work(self) -> Work:
        """Every evaluation is one of the gradient."""
        return Work(gradient_evaluations=self.spent + sum(each.evaluations for each in self.populations))

    def advance(self, work: int) -> None:
        """Run compiled calls until that much work was done, or the phase or the status changes."""
        goal, phase = self.work.total + work, self.phase
        while self.status is Status.RUNNING and self.phase is phase and self.work.total < goal:
            self._round()

    def _round(self) -> None:
        """One compiled call of each population that is not finished."""
        open_ones = [population for population in self.populations if not population.finished]
        evaluations = most_evaluations(self.target, self.pace, len(self.populations))
        self.workers.each(len(open_ones), lambda k: open_ones[k].advance(evaluations))
        for c, population in enumerate(self.populations):
            if population.reason:
                self.status, self.reason = Status.FAILED, f"population {c}: {population.reason}"
                return
        if all(population.finished for population in self.populations):
            self._end_pass()

    def _end_pass(self) -> None:
        self.spent = self.work.total
        particles = [population.particles for population in self.populations]
        reference, evaluations = learned(self.target, particles)
        self.spent += evaluations
        if self.pilots:
            del self.pilots[0]
        elif self.passes or len(reference.heights) <= len(self.populations[0].reference.heights):
            self._keep()
            self.phase = Phase.RUN
        # otherwise it found what the pilots had not seen, and has too little of it: one more pilot, and a large one
        self._begin(reference)

    def _keep(self) -> None:
        each = self.populations
        self.passes.append(
            Pass(
                np.stack([population.particles.points for population in each]),
                np.array([population.log_normaliser for population in each]),
                np.array([population.variance for population in each]),
                float(np.mean([population.temperatures for population in each])),
                sum(population.acceptance for population in each) / sum(population.proposals for population in each),
                max(population.remembered for population in each),
            )
        )
        self.draws = combined(self.passes, self.own)

    def approximation(self) -> Draws | None:
        """The draws of the finished passes, or None before the first. They stay what they are while the run goes on."""
        if not self.passes:
            return None
        accept = np.full(self.draws.shape[:2], self.passes[-1].accept)
        return Draws(self.draws, self.target.coordinates, {"acceptance_rate": accept})

    def warmup(self) -> Draws | None:
        """None: what comes before the first pass are no draws from the target."""
        return None

    def diagnostics(self) -> dict[str, float]:
        """What `Draws.diagnostics` says, where R-hat compares populations, and what only populations know.

        Draws lie in their ancestors' order, so that the ESS sees shared ancestors too.

        - `log_normaliser`, `log_normaliser_error`: see `samplers.smc_passes.log_normaliser`.
        - `temperatures`: of the last pass, mean over populations.
        - `ancestors`: effective number of first particles that those of a population descend from, the fewest of the
          last pass; below a hundred or so its errors are not to be trusted.
        - `remembered`: the largest correlation that moves at some temperature of the last pass left with where
          particles were. It is large where they stick, and also where modes lie apart and all is well.
        """
        draws = self.approximation()
        if draws is None:
            return {}
        value, error = log_normaliser(self.passes)
        return draws.diagnostics() | {
            "log_normaliser": value,
            "log_normaliser_error": error,
            "temperatures": self.passes[-1].temperatures,
            "ancestors": ancestors(self.passes[-1]),
            "remembered": self.passes[-1].remembered,
        }


def first_reference(target: Target, scale: float, initial: Initial, rng: np.random.Generator) -> Mixture:
    """What the first pilot starts from: around zero, or the mean of the starting points, wide.

    A metric that is given sets the width to `WIDER` times its standard deviations; particles are never placed at the
    positions given, which would not be draws from a known density.

    Raises:
        StartError: positions are not finite, or the metric is not positive definite.
    """
    if initial.positions is not None:
        centre = np.mean(initial.positions, axis=0)
        if not np.all(np.isfinite(centre)):
            raise StartError("the starting points given are not finite")
    elif target.initial is not None:
        centre = np.mean([target.start(rng) for _ in range(STARTS)], axis=0)
    else:
        centre = np.zeros(target.dim)
    given = initial.scale()
    sd = np.full(target.dim, scale) if given is None else WIDER * given.deviations
    return mixture(np.ones(1), centre, sd)


@dataclass(frozen=True)
class SMC:
    """The method with its options fixed; see `smc`."""

    name: str
    num_chains: int
    num_particles: int
    reference_scale: float
    settings: Settings
    options: Mapping[str, object] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset({"mcmc", "smc"})

    @property
    def label(self) -> str:
        """The name with the options that differ from their defaults."""
        return spec(self.name, {key: self.options[key] for key in self.changed})

    def unfit(self, target: Target) -> str | None:
        """Why it cannot run on this target: without a gradient; or None."""
        return None if target.differentiable else f"{self.name} needs a gradient"

    def starts(self, target: Target) -> int:  # noqa: ARG002
        """How many points a warm start gives: one a population, whose mean is what is taken of them."""
        return self.num_chains

    def compile(self, target: Target) -> None:
        """Load or compile the loops and the target's kernel."""
        pointer(target.log_density_and_gradient)
        _ = smc_loop.evaluate.compiled, smc_loop.move.compiled, largest_change.compiled

    def start(
        self,
        target: Target,
        seed: int,
        initial: Initial | None = None,
        threads: int = 1,
    ) -> SMCRun:
        """A run whose pilot is still to come.

        Raises:
            UsageError: the shapes in `initial` do not fit.
        """
        return SMCRun(
            *(target, seed, self.num_chains, self.num_particles, self.reference_scale, self.settings),
            *(initial or Initial(), threads),
        )


def smc(
    *,
    num_particles: int = 2000,
    ess_fraction: float = 0.5,
    target_accept: float = 0.8,
    max_moves: int = 10,
    max_leapfrogs: int = 100,
    metric: str = "dense",
    reference_scale: float = 10.0,
    num_chains: int = 4,
) -> SMC:
    """Adaptive tempered SMC; `num_particles` are those of each of `num_chains` populations in the first pass."""
    check_chains("smc", num_chains)
    require(
        FEWEST <= num_particles <= MOST_PARTICLES,
        f"smc: num_particles={num_particles} is not accepted; it takes {FEWEST} or more, to {MOST_PARTICLES}",
    )
    require(0.0 < ess_fraction < 1.0, f"smc: ess_fraction={ess_fraction:g} is not accepted; it lies between 0 and 1")
    require(0.0 < target_accept < 1.0, f"smc: target_accept={target_accept:g} is not accepted; it lies between 0 and 1")
    require(max_moves >= 1, f"smc: max_moves={max_moves} is not accepted; it takes 1 or more")
    require(max_leapfrogs >= 1, f"smc: max_leapfrogs={max_leapfrogs} is not accepted; it takes 1 or more")
    require(metric in ("dense", "diagonal"), f"smc: metric={metric!r} is not accepted; it takes dense or diagonal")
    require(
        0.0 < reference_scale < math.inf,
        f"smc: reference_scale={reference_scale:g} is not accepted; it takes a positive number",
    )
    settings = Settings(ess_fraction, target_accept, max_moves, max_leapfrogs, metric == "dense")
    return SMC("smc", num_chains, num_particles, reference_scale, settings)
