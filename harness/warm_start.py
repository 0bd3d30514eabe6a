"""A sampler that starts from what a VI method found, with the fit on the clock.

What is taken from the fit:

- `mean`: every chain starts at the mean of the approximation;
- `draws`: every chain starts at its own draw from it;
- `mean+metric`, `draws+metric`: the covariance of the approximation becomes the metric as well. A full covariance is
  kept, and warm-up tunes the step alone; variances of a factorised family are the first metric, and adaptation goes on,
  since freezing them is harmful wherever the posterior is correlated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harness.spec import parse
from samplers import Initial
from targets.options import require, spec
from targets.protocols import Approximation, Method, Phase, Run, Status, Work
from targets.target import Target

OPTIONS = ("warm_start", "take", "fit_budget")
TAKES = ("mean", "draws", "mean+metric", "draws+metric")
FIT_BUDGET = 50_000


class Sampler(Method, Protocol):
    """A sampler as `samplers` makes it: a method that can be told where to start."""

    @property
    def label(self) -> str: ...

    @property
    def num_chains(self) -> int: ...

    def start(self, target: Target, seed: int, initial: Initial | None = None) -> Run: ...


@dataclass
class WarmStart:
    """The composition of a VI method, what is taken from it, and a sampler.

    Attributes:
        fit_budget: evaluations after which the fit is used as it is, if it has not converged before.
    """

    sampler: Sampler
    fit: Method
    take: str
    fit_budget: int
    name: str
    label: str
    tags: frozenset[str]

    def unfit(self, target: Target) -> str | None:
        """The reason of either part."""
        return self.fit.unfit(target) or self.sampler.unfit(target)

    def compile(self, target: Target) -> None:
        """Compile both parts."""
        self.fit.compile(target)
        self.sampler.compile(target)

    def start(self, target: Target, seed: int) -> "WarmStartRun":
        """Begin with the fit. The sampler gets `seed`, so that a cold run of the same seed is its pair."""
        apart = int(np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        return WarmStartRun(self, target, seed, self.fit.start(target, apart))


class WarmStartRun:
    """First the fit, which counts as warm-up; then the sampler."""

    def __init__(self, method: WarmStart, target: Target, seed: int, fit: Run) -> None:
        self.method = method
        self.target = target
        self.seed = seed
        self.fit = fit
        self.sampler: Run | None = None
        self.trouble = ""

    @property
    def work(self) -> Work:
        return self.fit.work if self.sampler is None else self.fit.work + self.sampler.work

    @property
    def phase(self) -> Phase:
        return Phase.WARMUP if self.sampler is None else self.sampler.phase

    @property
    def status(self) -> Status:
        if self.sampler is not None:
            return self.sampler.status
        return Status.FAILED if self.trouble else Status.RUNNING

    @property
    def reason(self) -> str:
        return self.trouble if self.sampler is None else self.sampler.reason

    def advance(self, work: int) -> None:
        """Advance the fit until it ends, then the sampler."""
        if self.sampler is not None:
            self.sampler.advance(work)
            return
        left = self.method.fit_budget - self.fit.work.total
        if self.fit.status is Status.RUNNING and left > 0:
            self.fit.advance(min(work, left))
        if self.fit.status is Status.FAILED:
            self.trouble = f"the fit to start from failed: {self.fit.reason}"
        elif self.fit.status is Status.CONVERGED or self.fit.work.total >= self.method.fit_budget:
            self._begin()

    def approximation(self) -> Approximation | None:
        """What the sampler believes; nothing while the fit goes on."""
        return None if self.sampler is None else self.sampler.approximation()

    def diagnostics(self) -> dict[str, float]:
        """Those of the sampler."""
        return {} if self.sampler is None else self.sampler.diagnostics()

    def _begin(self) -> None:
        approximation = self.fit.approximation()
        if approximation is None:
            self.trouble = "the fit to start from has nothing to say"
            return
        initial = taken(approximation, self.method.take, self.method.sampler.num_chains, self.seed)
        self.sampler = self.method.sampler.start(self.target, self.seed, initial)


def taken(approximation: Approximation, take: str, chains: int, seed: int) -> Initial:
    """What a sampler of so many chains is given of the approximation."""
    if take.startswith("mean"):
        positions = np.tile(approximation.mean, (chains, 1))
    else:
        positions = approximation.sample(np.random.default_rng([seed, 2]), chains)
    metric = None
    if take.endswith("+metric"):
        factorised = bool(getattr(approximation, "diagonal", False))
        covariance = approximation.covariance
        metric = np.diagonal(covariance).copy() if factorised else covariance
    return Initial(positions=np.ascontiguousarray(positions), metric=metric)


def wrap(
    sampler: Method,
    make: Callable[[str], Method],
    warm_start: object = None,
    take: object = "mean",
    fit_budget: object = FIT_BUDGET,
) -> WarmStart:
    """Put a VI method in front of a sampler; `make` turns the SPEC `warm_start` into a method.

    Raises:
        UsageError: the VI method is none, or `take` or `fit_budget` is not accepted.
    """
    require(isinstance(warm_start, str), f"{sampler.name}: warm_start takes the SPEC of a VI method")
    require(take in TAKES, f"{sampler.name}: take={take} is not accepted; it takes {', '.join(TAKES)}")
    require(
        isinstance(fit_budget, int) and not isinstance(fit_budget, bool) and fit_budget >= 1,
        f"{sampler.name}: fit_budget={fit_budget} is not accepted; it takes a whole number of evaluations",
    )
    fit = make(str(warm_start))
    require("vi" in fit.tags, f"{sampler.name}: warm_start={warm_start} is not a VI method")
    own = parse(str(getattr(sampler, "label", sampler.name))).options
    options = {"warm_start": getattr(fit, "label", fit.name), "take": take} | own
    if fit_budget != FIT_BUDGET:
        options["fit_budget"] = fit_budget
    label = spec(sampler.name, options)
    tags = sampler.tags | {"warm-start"} | (fit.tags & {"oracle"})
    return WarmStart(sampler, fit, str(take), int(fit_budget), sampler.name, label, tags)  # type: ignore[arg-type, call-overload]
