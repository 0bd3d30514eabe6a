"""Coordinate ascent over factorised distributions of discrete sites, with exact expectations by enumeration.

The optimum of one site given the others is log p_ik = E_q [log joint | z_i = k] + constant (Bishop 2006, eq. 10.9).
Each update maximises the ELBO in one site, so that it never falls. It needs the log joint of every state: as many
evaluations as the exact posterior does. It is here for its optimum, which every estimator is held against.
"""

from dataclasses import dataclass, field

import numpy as np
from numba import float64, int64, types

from targets.discrete import DiscreteModel
from targets.kernel import MATRIX, VECTOR, Matrix, loop
from targets.options import require
from targets.protocols import Phase, Status, Work
from variational.discrete.exact import condition, exact
from variational.discrete.family import Factorised

SAME = 1e-6  # nats, by which the ELBOs of distinct optima differ at least


@loop(types.Tuple((float64, float64, int64))(VECTOR, MATRIX, float64, float64, int64))
def sweep(log_joint, log_p, change, tolerance, sweeps):  # type: ignore[no-untyped-def]
    """Up to `sweeps` sweeps; stops where what is left to go is below `tolerance`. Returns change, left, sweeps made.

    The change is the largest of a probability in a sweep, and sweeps contract linearly: what is left is change * r /
    (1 - r), r the ratio of successive changes. `change` may be infinite before the first sweep.
    """
    sites, categories = log_p.shape
    means, state = np.empty((sites, categories)), np.zeros(sites, np.int64)
    made, left = 0, np.inf
    while made < sweeps:
        previous = change
        change = 0.0
        for i in range(sites):
            condition(log_joint, log_p, i, i + 1, state, means)
            top, total = means[i, 0], 0.0
            for k in range(categories):
                top = max(top, means[i, k])
            for k in range(categories):
                total += np.exp(means[i, k] - top)
            for k in range(categories):
                updated = means[i, k] - top - np.log(total)
                change = max(change, abs(np.exp(updated) - np.exp(log_p[i, k])))
                log_p[i, k] = updated
        made += 1
        if change == 0.0:
            left = 0.0
        elif change < previous and previous < np.inf:
            ratio = change / previous
            left = change * ratio / (1.0 - ratio)
        if left <= tolerance:
            break
    return change, left, made


@dataclass
class Cavi:
    """One ascent from `log_p` (sites, categories). `advance(n)` makes n sweeps, so that every single one can be read.

    It has converged where the probabilities are within `tolerance` of the fixed point.
    """

    model: DiscreteModel
    log_p: Matrix
    tolerance: float = 1e-9
    change: float = float("inf")
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def __post_init__(self) -> None:
        require(self.tolerance > 0, f"cavi: tolerance={self.tolerance:g} is not accepted; it takes a positive number")
        shape = (self.model.sites, self.model.categories)
        require(self.log_p.shape == shape, f"cavi: a start of shape {self.log_p.shape}; it takes {shape}")
        self.log_p = Factorised(self.log_p).log_probabilities

    def advance(self, work: int) -> None:
        if self.status is not Status.RUNNING:
            return
        table = self.model.enumeration.log_joint.ravel()
        self.work.density_evaluations = table.size
        if not np.all(np.isfinite(table)):
            self.status, self.reason = Status.FAILED, "the log joint of some state is not finite"
            return
        self.change, left, made = sweep(table, self.log_p, self.change, self.tolerance, work)
        self.work.sweeps += made
        if left <= self.tolerance:
            self.status = Status.CONVERGED
            self.reason = f"the probabilities are within {self.tolerance:g} of the fixed point"

    def approximation(self) -> Factorised:
        return Factorised(self.log_p.copy())

    def diagnostics(self) -> dict[str, float]:
        return {"elbo": exact(self.model.enumeration, self.approximation()).elbo}


@dataclass(frozen=True, eq=False)
class Optimum:
    """A local optimum of the ELBO, and how many of the starts led there."""

    q: Factorised
    elbo: float
    starts: int


def optima(model: DiscreteModel, *, starts: int = 50, seed: int = 0, sweeps: int = 10_000) -> list[Optimum]:
    """The distinct local optima that ascents from random starts find, the best first.

    Starts are logits of independent normals with standard deviations from 0.1 to 4, evenly in the logarithm.

    Raises:
        UsageError: the model has too many states, or an ascent did not converge within `sweeps`.
    """
    require(starts >= 1, f"optima: starts={starts} is not accepted; it takes 1 or more")
    rng = np.random.default_rng(seed)
    found: list[Optimum] = []
    for spread in np.geomspace(0.1, 4.0, starts):
        ascent = Cavi(model, rng.normal(scale=spread, size=(model.sites, model.categories)))
        ascent.advance(sweeps)
        require(ascent.status is Status.CONVERGED, f"optima: an ascent did not converge: {ascent.reason or 'too slow'}")
        q, elbo = ascent.approximation(), ascent.diagnostics()["elbo"]
        same = [n for n, known in enumerate(found) if abs(known.elbo - elbo) < SAME]
        if same:
            found[same[0]] = Optimum(found[same[0]].q, found[same[0]].elbo, found[same[0]].starts + 1)
        else:
            found.append(Optimum(q, elbo, 1))
    return sorted(found, key=lambda optimum: -optimum.elbo)
