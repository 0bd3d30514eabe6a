"""Stochastic ascent of the ELBO in the logits, with any estimator of its gradient."""

import math
from dataclasses import dataclass, field

import numpy as np
from numba import float64, int64, void

from targets.discrete import DiscreteModel
from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, VECTOR, Matrix, Vector, compiled, loop
from targets.options import require
from targets.protocols import Phase, Status, Work
from variational import registry
from variational.discrete.estimator import (
    COLDEST,
    COOLING,
    COUNTS,
    ESTIMATE,
    RNG,
    ROWS,
    TEMPERATURE,
    Estimator,
    normalise,
)
from variational.discrete.family import Factorised

HEAVY, SLOW, TINY = 0.9, 0.999, 1e-8  # of Adam (Kingma and Ba 2015)
SLOWING = 500.0  # steps, after which the rate falls as their root
EMPHASIS = 8.0  # of later iterates in the average (Shamir and Zhang 2013, polynomial decay)
SPREAD = 0.1  # sd of the logits at the start
FRESH = 0.01  # weight of the newest estimate in the running mean of the ELBO's, once there are a hundred
TAKEN, BOUND = 0, 1  # places in `record`: steps of all calls, and that mean
SLICE = 20_000  # evaluations a call


@loop(
    void(
        ESTIMATE, KERNEL, DENSITY, DATA, RNG, MATRIX, MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, int64, float64, int64,
        COUNTS, VECTOR,
    )
)  # fmt: skip
def ascend(  # type: ignore[no-untyped-def]
    estimate, kernel, density, data, rng, logits, first, second, average, tuning, control, samples, rate, steps, spent,
    record,
):  # fmt: skip
    """Up to `steps` steps of Adam; ends early, with a NaN for the bound in `record`, where an estimate is not finite.

    All matrices are (sites, categories): the iterate, Adam's moments, and the average of the iterates, in which the
    last of t has weight 9 / (t + 8).
    """
    sites, categories = logits.shape
    p, log_p, gradient = np.empty_like(logits), np.empty_like(logits), np.empty_like(logits)
    space = np.empty((ROWS, sites * categories))
    for _ in range(steps):
        normalise(logits, p, log_p)
        for i in range(sites):
            for k in range(categories):
                gradient[i, k] = 0.0
        value = estimate(kernel, density, data, rng, p, log_p, tuning, control, space, samples, gradient, spent)
        size = abs(value)
        for i in range(sites):
            for k in range(categories):
                size += abs(gradient[i, k])
        if not size < np.inf:
            record[BOUND] = np.nan
            return
        record[TAKEN] += 1.0
        t = record[TAKEN]
        record[BOUND] += max(1.0 / t, FRESH) * (value - record[BOUND])
        step = rate / math.sqrt(1.0 + t / SLOWING)
        share = (EMPHASIS + 1.0) / (EMPHASIS + t)
        for i in range(sites):
            for k in range(categories):
                first[i, k] += (1.0 - HEAVY) * (gradient[i, k] - first[i, k])
                second[i, k] += (1.0 - SLOW) * (gradient[i, k] ** 2 - second[i, k])
                root = math.sqrt(second[i, k] / (1.0 - SLOW**t)) + TINY
                logits[i, k] += step * first[i, k] / (1.0 - HEAVY**t) / root
                average[i, k] += share * (logits[i, k] - average[i, k])
        tuning[TEMPERATURE] = max(tuning[TEMPERATURE] * tuning[COOLING], tuning[COLDEST])


@dataclass
class Descent:
    """One ascent from logits near zero (q near uniform). What it believes is the average of its iterates.

    It goes on as long as it is asked to: in the noise of discrete estimators no test of the iterates tells a floor from
    a plateau. `advance(work)` makes as many whole steps as begin within that much work.
    """

    model: DiscreteModel
    estimator: Estimator
    seed: int
    rate: float = 0.05
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def __post_init__(self) -> None:
        require(self.rate > 0, f"descent: rate={self.rate:g} is not accepted; it takes a positive number")
        self.rng = np.random.default_rng(self.seed)
        shape = (self.model.sites, self.model.categories)
        self.logits: Matrix = self.rng.normal(scale=SPREAD, size=shape)
        self.moments: tuple[Matrix, Matrix] = (np.zeros(shape), np.zeros(shape))
        self.average: Matrix = self.logits.copy()
        self.tuning, self.control = self.estimator.tuning, self.estimator.control(self.model, self.rng)
        self.record: Vector = np.zeros(2)
        self.owed = (
            0  # work asked for and not done: what is left when no whole step fits, below zero where one went over
        )

    def advance(self, work: int) -> None:
        """Go on by about so much work; whole steps are made, and the difference is made up for in the next call."""
        self.owed += work
        while self.owed > 0 and self.status is Status.RUNNING:
            self._take(max(1, self.owed // self.cost) if self.steps else 1)

    @property
    def cost(self) -> int:
        """Evaluations a step, as they were so far."""
        return self.work.total // self.steps if self.steps else 1

    @property
    def steps(self) -> int:
        """Made so far."""
        return int(self.record[TAKEN])

    def _take(self, steps: int) -> None:
        spent = np.zeros(2, np.int64)
        fixed = (compiled(self.estimator.estimate), self.model.kernel, self.model.density, self.model.data, self.rng)
        state = (self.logits, *self.moments, self.average, self.tuning, self.control)
        ascend(*fixed, *state, self.estimator.samples, self.rate, steps, spent, self.record)
        self.work.density_evaluations += int(spent[0])
        self.work.gradient_evaluations += int(spent[1])
        self.owed -= int(spent.sum())
        if math.isnan(self.record[BOUND]):
            self.status, self.reason = Status.FAILED, f"the gradient is not finite at step {self.steps + 1}"

    def approximation(self) -> Factorised:
        return Factorised(self.average.copy())

    def diagnostics(self) -> dict[str, float]:
        """A running mean of the ELBO's estimates: noisy, and of the relaxation where the estimator relaxes."""
        return {"elbo": float(self.record[BOUND]) if self.steps else math.nan}


def fit(
    model: DiscreteModel, name: str = "rloo", *, seed: int, max_evaluations: int = 100_000, rate: float = 0.05,
    **options: object,
) -> Descent:  # fmt: skip
    """Fit a factorised q to a model with the estimator of that name and its options, until the budget is spent.

    Raises:
        UsageError: a name or an option is not accepted.
    """
    require(max_evaluations > 0, f"fit: max_evaluations={max_evaluations} is not accepted; it takes 1 or more")
    model.compile()
    run = Descent(model, registry.estimator(name, **options), seed, rate)
    while run.status is Status.RUNNING and run.work.total < max_evaluations:
        run.advance(min(SLICE, max_evaluations - run.work.total))
    if run.status is Status.RUNNING:
        run.status = Status.SPENT
    return run
