"""The composition of a stochastic fit."""

import math
from dataclasses import dataclass

from targets.options import require
from variational.logistic import VARIANCE
from variational.stochastic.noise import GAUSSIAN, LOGISTIC
from variational.stochastic.parts import (
    RAO_BLACKWELL,
    RELAX,
    REPARAMETERISED,
    SCORE,
    SCORE_CV,
    STICKING_THE_LANDING,
)
from variational.stochastic.shapes import FULLRANK, LOWRANK, MEANFIELD

FAMILIES = {"meanfield": MEANFIELD, "fullrank": FULLRANK, "lowrank": LOWRANK}
NOISES = {"gaussian": GAUSSIAN, "logistic": LOGISTIC}
ESTIMATORS = {
    "reparameterised": REPARAMETERISED,
    "sticking_the_landing": STICKING_THE_LANDING,
    "score": SCORE,
    "score_cv": SCORE_CV,
    "rao_blackwell": RAO_BLACKWELL,
    "relax": RELAX,
}
SEARCH = "search"


@dataclass(frozen=True)
class Plan:
    """Family, base noise, estimator and objective, as the loops take them.

    Attributes:
        rank: of LOWRANK; zero for the others.
        alpha: of the variational Renyi bound: 1 is the ELBO, 0 the importance-weighted bound.
        draws: a step.
        step: the first step size of Adam, or none for a search.
        tolerance: sd, or log sd.
        batch_rows: rows in a mini-batch, or none for all.
    """

    family: int
    rank: int
    noise: int
    estimator: int
    alpha: float
    draws: int
    step: float | None
    tolerance: float
    batch_rows: int | None

    @property
    def by_path(self) -> bool:
        """Whether gradients go through the draws, and need those of the density."""
        return self.estimator in (REPARAMETERISED, STICKING_THE_LANDING)

    @property
    def paired(self) -> bool:
        """Whether draws come in antithetic pairs."""
        return self.by_path and self.alpha == 1.0 and self.draws % 2 == 0

    @property
    def noise_sd(self) -> float:
        """The standard deviation of base noise."""
        return 1.0 if self.noise == GAUSSIAN else math.sqrt(VARIANCE)


def one_of(name: str, option: str, value: str, accepted: dict[str, int]) -> int:
    """The code of a named choice."""
    require(value in accepted, f"{name}: {option}={value} is not accepted; it takes {', '.join(accepted)}")
    return accepted[value]


def plan(
    name: str,
    family: str,
    rank: int,
    noise: str,
    estimator: str,
    alpha: float,
    draws: int,
    step: float | str,
    tolerance: float,
    batch_rows: int | None,
) -> Plan:
    """The checked composition.

    Raises:
        UsageError: an option, or a pair of them, is not accepted.
    """
    shape, base = one_of(name, "family", family, FAMILIES), one_of(name, "noise", noise, NOISES)
    how = one_of(name, "estimator", estimator, ESTIMATORS)
    require(rank >= 1, f"{name}: rank={rank} is not accepted; it takes 1 or more")
    require(draws >= 1, f"{name}: draws={draws} is not accepted; it takes 1 or more")
    require(tolerance > 0, f"{name}: tolerance={tolerance:g} is not accepted; it takes a positive number")
    good = step == SEARCH if isinstance(step, str) else 0 < step < math.inf
    require(good, f"{name}: step={step} is not accepted; it takes a positive number, or {SEARCH}")
    require(
        batch_rows is None or batch_rows >= 1,
        f"{name}: batch_rows={batch_rows} is not accepted; it takes 1 or more, or none",
    )
    require(
        not (shape == LOWRANK and base == LOGISTIC),
        f"{name}: family=lowrank takes noise=gaussian alone: a sum of logistic numbers has no closed density",
    )
    require(how != RAO_BLACKWELL or shape == MEANFIELD, f"{name}: estimator=rao_blackwell takes family=meanfield alone")
    require(how != RELAX or shape != LOWRANK, f"{name}: estimator=relax takes family=meanfield or fullrank")
    require(
        how not in (RAO_BLACKWELL, RELAX) or alpha == 1.0,
        f"{name}: estimator={estimator} takes objective=reverse_kl alone",
    )
    require(how != SCORE_CV or draws >= 2, f"{name}: estimator=score_cv takes draws=2 or more")
    return Plan(
        shape,
        rank if shape == LOWRANK else 0,
        base,
        how,
        alpha,
        draws,
        None if isinstance(step, str) else step,
        tolerance,
        batch_rows,
    )
