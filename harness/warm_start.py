"""A sampler that starts from what a VI method found, with the fit on the clock. What is taken: `harness.handover`."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from harness.handover import Handover, Start
from harness.spec import parse
from samplers.method import Sampler
from targets.options import require, spec
from targets.protocols import Approximation, Method, Phase, Run, Status, Work
from targets.target import Target
from variational.evaluation import compile_log_densities

TAKEN = tuple(field.name for field in fields(Handover))
OPTIONS = ("warm_start", *TAKEN, "fit_budget")
FIT_BUDGET = 50_000


@dataclass
class WarmStart:
    """The composition of a VI method, what is taken from it, and a sampler.

    Attributes:
        fit_budget: evaluations after which the fit is used as it is, if it has not converged before.
    """

    sampler: Sampler
    fit: Method
    handover: Handover
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
        if self.handover.psis:
            compile_log_densities(target)

    def start(self, target: Target, seed: int) -> "WarmStartRun":
        """Begin with the fit. The sampler gets `seed`, so that a cold run of the same seed is its pair."""
        apart = int(np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        return WarmStartRun(self, target, seed, self.fit.start(target, apart))


class WarmStartRun:
    """First the fit, a phase of its own; then the sampler."""

    def __init__(self, method: WarmStart, target: Target, seed: int, fit: Run) -> None:
        self.method = method
        self.target = target
        self.seed = seed
        self.fit = fit
        self.handed: Start | None = None  # once the fit is over
        self.sampler: Run | None = None
        self.trouble = ""

    @property
    def work(self) -> Work:
        work = Work() + self.fit.work
        for part in (self.handed, self.sampler):
            work = work if part is None else work + part.work
        return work

    @property
    def phase(self) -> Phase:
        if self.handed is None:
            return Phase.FIT
        return Phase.WARMUP if self.sampler is None else self.sampler.phase

    @property
    def status(self) -> Status:
        if self.sampler is not None:
            return self.sampler.status
        return Status.FAILED if self.trouble else Status.RUNNING

    @property
    def reason(self) -> str:
        if self.sampler is None or self.handed is None:
            return self.trouble
        return "; ".join(filter(None, (self.sampler.reason, self.handed.note)))

    def advance(self, work: int) -> None:
        """Advance the fit until it ends, then the sampler, whose own start is work of its own phase."""
        if self.sampler is not None:
            self.sampler.advance(work)
        elif self.handed is not None:
            self.sampler = self.method.sampler.start(self.target, self.seed, self.handed.initial)
        else:
            self._fit(work)

    def _fit(self, work: int) -> None:
        left = self.method.fit_budget - self.fit.work.total
        if self.fit.status is Status.RUNNING and left > 0:
            self.fit.advance(min(work, left))
        if self.fit.status is Status.FAILED:
            self.trouble = f"the fit to start from failed: {self.fit.reason}"
        elif self.fit.status is Status.CONVERGED or self.fit.work.total >= self.method.fit_budget:
            self._hand_over()

    def approximation(self) -> Approximation | None:
        """What the sampler believes; nothing while the fit goes on."""
        return None if self.sampler is None else self.sampler.approximation()

    def diagnostics(self) -> dict[str, float]:
        """Those of the sampler, and of its start."""
        if self.sampler is None or self.handed is None:
            return {}
        return self.sampler.diagnostics() | self.handed.diagnostics

    def _hand_over(self) -> None:
        approximation = self.fit.approximation()
        if approximation is None:
            self.trouble = "the fit to start from has nothing to say"
            return
        points = self.method.sampler.starts(self.target)
        self.handed = self.method.handover.begin(approximation, self.target, points, self.seed)


def wrap(
    sampler: Method,
    make: Callable[[str], Method],
    warm_start: object = None,
    fit_budget: object = FIT_BUDGET,
    **taken: object,
) -> WarmStart:
    """Put a VI method in front of a sampler; `make` turns the SPEC `warm_start` into a method.

    Raises:
        UsageError: the VI method is none, or `fit_budget` or what is `taken` is not accepted.
    """
    require(isinstance(warm_start, str), f"{sampler.name}: warm_start takes the SPEC of a VI method")
    require(
        isinstance(fit_budget, int) and not isinstance(fit_budget, bool) and fit_budget >= 1,
        f"{sampler.name}: fit_budget={fit_budget} is not accepted; it takes a whole number of evaluations",
    )
    handover = Handover(**taken)  # type: ignore[arg-type]  # it looks at the types itself
    fit = make(str(warm_start))
    require("vi" in fit.tags, f"{sampler.name}: warm_start={warm_start} is not a VI method")
    options: dict[str, object] = {"warm_start": getattr(fit, "label", fit.name), "take": handover.take}
    options |= {key: getattr(handover, key) for key in TAKEN if getattr(handover, key) != getattr(Handover, key)}
    if fit_budget != FIT_BUDGET:
        options["fit_budget"] = fit_budget
    own = parse(str(getattr(sampler, "label", sampler.name))).options
    tags = sampler.tags | {"warm-start"} | (fit.tags & {"oracle"})
    label = spec(sampler.name, options | own)
    return WarmStart(sampler, fit, handover, int(fit_budget), sampler.name, label, tags)  # type: ignore[arg-type, call-overload]
