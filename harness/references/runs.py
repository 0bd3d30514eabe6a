"""Long runs of one sampler: draws taken off in blocks until they suffice, thinned where they would fill the memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from harness import registry
from harness.references.plan import LARGEST_R_HAT, LEAST_ESS, Plan
from harness.references.whitened import NAME as WHITENED
from harness.references.whitened import Whitened
from harness.spec import Spec, parse
from samplers.chain import Values
from samplers.draws import Draws, suspects
from samplers.registry import names
from targets.long_run import Estimates, Relabellings, ess, estimates, r_hat
from targets.options import UsageError, require
from targets.protocols import Phase, Status
from targets.target import Target

CHAINS = 8
FIRST = 1000  # draws a chain, before they are looked at
BLOCK = 100
MOST_VALUES = 40_000_000  # numbers kept of a run; beyond, every second draw is dropped
LEAST_GROWTH, MOST_GROWTH = 1.25, 4.0  # of the draws from one look to the next


class Uncertified(Exception):  # noqa: N818  (an outcome, which ends in one line)
    """No reference comes of this; the message says why and how to go on."""


class Source(Protocol):
    """Whatever chains draws."""

    @property
    def label(self) -> str: ...

    @property
    def evaluations(self) -> int: ...

    @property
    def divergences(self) -> int: ...

    def draws(self, n: int) -> Values: ...  # the next n or more of each chain

    def said(self) -> dict[str, float]: ...

    def shorten(self) -> bool: ...  # after divergences, go on more carefully, if that can be: all draws are made anew


class Racing:
    """A sampler that races. `afresh` says that draws come all anew each time, as those of populations do."""

    def __init__(self, target: Target, spec: str, seed: int, plan: Plan) -> None:
        wanted = parse(spec)
        require(wanted.name in names(), f"{spec} is not a sampler; there are {', '.join([*names(), WHITENED])}")
        options: dict[str, Any] = {"num_chains": CHAINS, **wanted.options}
        sampler: Any = registry.method(Spec(wanted.name, options))
        require(
            not sampler.tags & {"unadjusted", "oracle"},
            f"{spec} is not accepted: it is biased, or uses the answer; a reference is made by exact samplers",
        )
        unfit = sampler.unfit(target)
        if unfit is not None:
            raise UsageError(f"{spec} cannot run on {target.label}: {unfit}")
        sampler.compile(target)
        self.label, self.divergences = spec, 0
        self.run = sampler.start(target, seed, threads=plan.threads)
        self.afresh = not hasattr(self.run, "forget")
        begun = time.monotonic()
        while self.run.phase is Phase.WARMUP and self.run.status is Status.RUNNING:
            if time.monotonic() - begun > plan.max_seconds:
                raise Uncertified(f"{spec} is still warming up after {plan.max_seconds:g} s (--max-seconds)")
            self.run.advance(1)
        self._alive()

    def _alive(self) -> None:
        if self.run.status is Status.FAILED:
            raise Uncertified(f"{self.label} failed: {self.run.reason}")

    @property
    def evaluations(self) -> int:
        """Evaluations of the density or its gradient, those of warm-up among them."""
        return int(self.run.work.total)

    def draws(self, n: int) -> Values:
        """The next n or more of each chain; all of them where they come afresh."""
        goal = self.run.done + 1 if self.afresh else n
        while self.run.done < goal:
            self.run.advance(1)
            self._alive()
        drawn: Draws = self.run.approximation()
        if self.afresh:
            return drawn.values
        self.divergences += drawn.divergences
        self.run.forget()
        return drawn.values

    def shorten(self) -> bool:
        """No: the options say how careful it is."""
        return False

    def said(self) -> dict[str, float]:
        """Nothing beyond what the draws say."""
        return {}


@dataclass
class LongRun:
    """What came of a run.

    Attributes:
        values: (chains, n, dim): the draws kept.
        found: what they say.
        about: what is told of the run: sampler, chains, draws and how many of them were kept, evaluations, divergences,
            seconds, R-hat, ESS.
    """

    values: Values
    found: Estimates
    about: dict[str, Any]


class Kept:
    """Draws in blocks, each `stride`-th of them."""

    def __init__(self) -> None:
        self.blocks: list[Values] = []
        self.stride, self.skip, self.drawn = 1, 0, 0

    def add(self, block: Values, afresh: bool) -> None:
        if afresh:
            self.blocks, self.drawn = [block], block.shape[1]
            return
        self.drawn += block.shape[1]
        self.blocks.append(block[:, self.skip :: self.stride].copy())
        self.skip = (self.skip - block.shape[1]) % self.stride
        if sum(block.size for block in self.blocks) > MOST_VALUES:
            whole = self.values
            n = whole.shape[1]
            self.blocks = [whole[:, ::2].copy()]
            self.skip += self.stride if n % 2 else 0
            self.stride *= 2

    @property
    def values(self) -> Values:
        if len(self.blocks) > 1:
            self.blocks = [np.concatenate(self.blocks, axis=1)]
        return self.blocks[0]


def start(target: Target, spec: str, seed: int, plan: Plan, guide: Estimates | None) -> Source:
    """The chains of a SPEC, after warm-up; those of `WHITENED` about the moments of the run before.

    Raises:
        UsageError: the SPEC is not accepted, or cannot run on this target.
        Uncertified: warm-up failed, or did not end in time.
    """
    if spec != WHITENED:
        return Racing(target, spec, seed, plan)
    if guide is None:
        raise UsageError(f"{WHITENED} cannot be the only sampler: it takes its metric from another's draws")
    rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(CHAINS)]
    try:
        return Whitened(target, guide.moments.mean, guide.moments.covariance, rngs)
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        raise Uncertified(f"{WHITENED} did not start: {error}") from error


def long_run(
    source: Source, plan: Plan, relabellings: Relabellings = (), tell: Callable[[str], None] = print
) -> LongRun:
    """Draws until R-hat and ESS suffice or the time is over; whether they do is for `insufficient` to say.

    Raises:
        Uncertified: a trajectory diverged, or the chains failed.
    """
    begun, kept, look = time.monotonic(), Kept(), FIRST
    while True:
        while kept.drawn < look and time.monotonic() - begun < plan.max_seconds:
            kept.add(source.draws(min(BLOCK, look)), getattr(source, "afresh", False))
        if source.divergences:
            if not source.shorten():
                raise Uncertified(_diverged(source))
            kept, look = Kept(), FIRST
            continue
        over = time.monotonic() - begun >= plan.max_seconds
        goal = max(LEAST_ESS, min(plan.ess, MOST_VALUES / (4 * kept.values.shape[2])))  # what fits in the memory
        found, reached = _look(kept.values, goal, relabellings, over)
        if found is not None and (over or (reached >= goal and found.r_hat < LARGEST_R_HAT)):
            break
        tell(f"{source.label}: {kept.drawn} draws a chain, ESS at least {reached:,.0f} of {goal:,.0f}")
        growth = 1.1 * goal / max(reached, 1.0)
        look = int(kept.drawn * float(np.clip(growth, LEAST_GROWTH, MOST_GROWTH))) + 1
    chains, n, _ = kept.values.shape
    about = {
        "sampler": source.label,
        "chains": chains,
        "draws": chains * kept.drawn,
        "kept": chains * n,
        "evaluations": source.evaluations,
        "divergences": source.divergences,
        "seconds": round(time.monotonic() - begun, 1),
        "r_hat_max": found.r_hat,
        "ess_min": found.ess,
        "ess_square_min": found.ess_square,
        **source.said(),
    }
    return LongRun(kept.values, found, about)


def _look(values: Values, goal: float, relabellings: Relabellings, over: bool) -> tuple[Estimates | None, float]:
    """The estimates, where the coordinates that mix worst let them suffice, or the last; and the smallest ESS seen."""
    if not over and not len(relabellings):
        few = [values[:, :, i] for i in suspects(values)]
        least = min(*map(ess, few), *(ess(values[:, :, i] ** 2) for i in suspects(values, squared=True)))
        if least < goal or max(map(r_hat, few)) >= LARGEST_R_HAT:
            return None, least
    found = estimates(values, relabellings)
    return found, min(found.ess, found.ess_square)


def insufficient(run: LongRun, coordinates: tuple[str, ...]) -> str | None:
    """Why a run does not suffice, and how to go on; or None."""
    found, name = run.found, run.about["sampler"]
    onward = "give it longer (--max-seconds) or other samplers (-m SPEC -m SPEC)"
    if not found.r_hat < LARGEST_R_HAT:
        where = coordinates[found.r_hat_at]
        return f"{name} has R-hat {found.r_hat:.4f} at {where}, not below {LARGEST_R_HAT}; {onward}"
    for value, at, of in ((found.ess, found.ess_at, ""), (found.ess_square, found.ess_square_at, " squared")):
        if not value >= LEAST_ESS:
            return f"{name} has ESS {value:,.0f} at {coordinates[at]}{of}, not {LEAST_ESS:,.0f}; {onward}"
    return None


def _diverged(source: Source) -> str:
    onward = "shorter steps may help (-m 'nuts[target_accept=0.99]'), or other coordinates"
    return (
        f"{source.label} has divergent trajectories ({source.divergences}), so that a region may be left out; {onward}"
    )
