"""Stochastic-gradient Langevin dynamics and stochastic-gradient Hamiltonian Monte Carlo, by mini-batches of rows."""

import math
from dataclasses import dataclass

import numpy as np

from samplers import stochastic
from samplers.chain import Tally
from samplers.method import MCMC
from samplers.modal import find_mode
from samplers.pointer import pointer
from samplers.schedule import Lesson, last_lesson
from samplers.stochastic import Walker, walker_at
from samplers.transition import Plain, Seen, Segment, Starts, Tuning
from samplers.warmup import restart
from targets.blocks import anchored, shuffled
from targets.kernel import compiled
from targets.options import UsageError, require
from targets.target import Rows, Target

WARMUP = 40  # draws, for which a chain loses half a nat of its distance from the mode or more, one after the other
LANGEVIN_STEP, HAMILTONIAN_STEP = 0.1, 0.2  # in units of the scale
EPOCH_TIME = 0.5  # in an epoch at most, without control variates: noise that cancels within an epoch is not seen
SLACK = 100.0  # draws over which a decaying step size stays about the first
LEAST_BATCH, ROWS_A_COORDINATE = 64, 4  # in a block: then the noise of a control variate is below that of the dynamics

NO_ROWS = "its log density is not given as a prior and a sum over rows of data"


def rows_of(target: Target) -> Rows:
    """The prior and the likelihood of a target.

    Raises:
        UsageError: it does not give them apart.
    """
    if target.rows is None:
        raise UsageError(f"{target.name} is not accepted: {NO_ROWS}")
    return target.rows


@dataclass(frozen=True)
class StochasticGradient(Plain):
    """The dynamics of `samplers.stochastic` over blocks of rows; `friction` zero for Langevin.

    A block has about `batch_size` rows. `step_size` is in units of the scale at the mode; `stride` is the time between
    draws. Both are chosen in `begin` where they are none.
    """

    batch_size: int | None
    step_size: float | None
    friction: float
    control_variates: bool
    stride: float | None
    decay: float
    reports = ("step_size", "n_steps", "diverging")

    def unfit(self, target: Target) -> str | None:
        return NO_ROWS if target.rows is None else None

    def usual_warmup(self, kept: bool) -> int:  # noqa: ARG002
        return WARMUP

    def schedule(self, length: int, kept: bool) -> list[Lesson]:  # noqa: ARG002
        return last_lesson(length)  # chains travel to the mode, and there is nothing to learn from their draws

    def compile(self, target: Target) -> None:
        rows = rows_of(target)
        for kernel in (target.log_density_and_gradient, rows.prior, rows.likelihood):
            compiled(kernel)
        _ = stochastic.advance.compiled

    def begin(
        self, target: Target, rngs: list[np.random.Generator], starts: Starts, counters: Tally, tuning: Tuning
    ) -> list[Walker]:
        """Shuffle a copy of the rows, find the mode and the scale there, and fix step size and stride."""
        rows = rows_of(target)
        blocks = shuffled(target, rngs[0], self.rows_a_block(target))
        mode = find_mode(rows, blocks.data, starts.positions[0, 0], tuning.scale, tuning.kept, rngs[0])
        counters["rows"] = counters["evaluations"] * len(blocks.data)  # where chains could start was asked of all rows
        counters["rows"][0] += mode.rows
        if self.control_variates:
            blocks = anchored(rows, blocks, mode.position)
            counters["rows"][0] += len(blocks.data)
        counters["evaluations"] = counters["rows"] // len(blocks.data)
        tuning.scale = mode.scale
        tuning.own["blocks"] = blocks
        step = self.step_size or self.usual_step(blocks.count) / max(1.0, self.sharpness(mode.steepest))
        tuning.own["stride"] = self.stride or self.usual_stride(step, blocks.count)
        counters["log_step"] = math.log(step)
        restart(counters)
        return [walker_at(points[0], blocks.count) for points in starts.positions]

    def advance(self, segment: Segment) -> None:
        rows, own, adapting = rows_of(segment.target), segment.tuning.own, segment.adapting
        blocks = own["blocks"]
        _, *inputs = segment.inputs
        stochastic.advance(
            pointer(rows.prior),
            pointer(rows.likelihood),
            blocks.data,
            blocks.bounds,
            blocks.corrections,
            *inputs,
            max(1.0, own["stride"]) if adapting else own["stride"],
            self.friction,
            self.decay,
            SLACK,
            self.decay > 0.0 and not adapting,
        )

    def learn(self, seen: Seen, tuning: Tuning) -> None:
        """Nothing: scale and step size were found at the mode."""

    def cost(self, target: Target, counters: Tally, tuning: Tuning) -> float:  # noqa: ARG002
        steps = max(1.0, tuning.own["stride"]) / math.exp(float(np.mean(counters["log_step"])))
        return float(max(1.0, steps) / tuning.own["blocks"].count)

    def rows_a_block(self, target: Target) -> int:
        return self.batch_size or max(LEAST_BATCH, ROWS_A_COORDINATE * target.dim)

    def usual_step(self, blocks: int) -> float:
        """In units of the scale, where the curvature is one; see docs/methods.md for what it costs in bias."""
        step = HAMILTONIAN_STEP if self.friction else LANGEVIN_STEP
        return step if self.control_variates else min(step, EPOCH_TIME / blocks)

    def sharpness(self, curvature: float) -> float:
        """What a curvature shortens the step by."""
        return math.sqrt(curvature) if self.friction else curvature

    def usual_stride(self, step: float, blocks: int) -> float:
        """One, in which a chain all but forgets; or a quarter of an epoch, if that is less."""
        return max(step, min(1.0, 0.25 * blocks * step))


def sgld(
    *,
    batch_size: int | None = None,
    step_size: float | None = None,
    control_variates: bool = True,
    stride: float | None = None,
    decay: float = 0.0,
    num_warmup: int | None = None,
    num_chains: int = 4,
) -> MCMC:
    """Stochastic-gradient Langevin dynamics (Welling & Teh 2011), with control variates (Baker et al. 2019).

    A step is x += step_size / 2 A A' g + sqrt(step_size) A z, with A the scale found at the mode.
    """
    dynamics = _dynamics("sgld", batch_size, step_size, 0.0, control_variates, stride, decay)
    return MCMC("sgld", dynamics, num_chains, num_warmup)


def sghmc(
    *,
    batch_size: int | None = None,
    step_size: float | None = None,
    friction: float = 2.0,
    control_variates: bool = True,
    stride: float | None = None,
    decay: float = 0.0,
    num_warmup: int | None = None,
    num_chains: int = 4,
) -> MCMC:
    """Stochastic-gradient Hamiltonian Monte Carlo (Chen, Fox & Guestrin 2014), with control variates as `sgld`.

    In their eq. 15 eta is step_size^2 and alpha is friction x step_size. A friction of 2 is critical where the scale
    fits.
    """
    require(
        0.0 < friction < math.inf, f"sghmc: friction={friction:g} is not accepted; it takes a positive, finite number"
    )
    dynamics = _dynamics("sghmc", batch_size, step_size, friction, control_variates, stride, decay)
    return MCMC("sghmc", dynamics, num_chains, num_warmup)


def _dynamics(
    name: str,
    batch_size: int | None,
    step_size: float | None,
    friction: float,
    control_variates: bool,
    stride: float | None,
    decay: float,
) -> StochasticGradient:
    require(
        batch_size is None or batch_size >= 1,
        f"{name}: batch_size={batch_size} is not accepted; it takes 1 or more, or none",
    )
    for option, value in (("step_size", step_size), ("stride", stride)):
        require(
            value is None or 0.0 < value < math.inf,
            f"{name}: {option}={value} is not accepted; it takes a positive, finite number, or none",
        )
    require(0.0 <= decay < 1.0, f"{name}: decay={decay:g} is not accepted; it lies between 0 and 1")
    return StochasticGradient(batch_size, step_size, friction, control_variates, stride, decay)
