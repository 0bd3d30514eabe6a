"""Coordinate ascent with exact updates (CAVI) for Gaussian targets: Bishop 2006, section 10.1.2."""

from dataclasses import dataclass, field

import numpy as np
from numba import float64, int64, types

from targets.kernel import MATRIX, VECTOR, Vector, loop
from targets.options import require
from targets.protocols import Phase, Status, Work
from targets.target import GaussianStructure, Target
from variational.gaussian import Gaussian
from variational.method import Recipe
from variational.objectives import elbo


@loop(types.Tuple((float64, float64, int64))(MATRIX, VECTOR, VECTOR, VECTOR, float64, float64, int64))
def sweep(precision, centre, mean, sd, change, tolerance, sweeps):  # type: ignore[no-untyped-def]
    """Up to `sweeps` sweeps; stops where the error is below `tolerance`. Returns last change, error, sweeps made.

    The change is the largest move of a mean in a sweep, in units of q's sd. Sweeps contract linearly, so what is left
    to go is change * r / (1 - r), with r the ratio of successive changes.
    """
    dim = mean.shape[0]
    made = 0
    left = np.inf
    while made < sweeps:
        previous = change
        change = 0.0
        for i in range(dim):
            pull = 0.0
            for j in range(dim):
                pull += precision[i, j] * (mean[j] - centre[j])
            pull -= precision[i, i] * (mean[i] - centre[i])
            sd[i] = 1.0 / np.sqrt(precision[i, i])
            new = centre[i] - pull / precision[i, i]
            change = max(change, abs(new - mean[i]) / sd[i])
            mean[i] = new
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
class CaviRun:
    """One CAVI fit. `advance(n)` makes n sweeps, so that the state after every single one can be read."""

    target: Target
    structure: GaussianStructure
    mean: Vector
    sd: Vector
    tolerance: float
    change: float = float("inf")
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        if self.status is not Status.RUNNING:
            return
        self.change, left, made = sweep(
            np.ascontiguousarray(self.structure.precision),
            np.ascontiguousarray(self.structure.mean),
            self.mean,
            self.sd,
            self.change,
            self.tolerance,
            work,
        )
        self.work.sweeps += made
        if left <= self.tolerance:
            self.status = Status.CONVERGED
            self.reason = f"the means are within {self.tolerance:g} sd of the fixed point"

    def approximation(self) -> Gaussian:
        return Gaussian(self.mean.copy(), self.sd.copy())

    def diagnostics(self) -> dict[str, float]:
        return {"elbo": elbo(self.approximation(), self.target).value}


def cavi(*, tolerance: float = 1e-6, start_sd: float = 1.0, start: tuple | None = None) -> Recipe:
    """CAVI from a mean drawn at random, or from `start` (one number for each coordinate), with sd `start_sd`.

    `tolerance` is the error of the means at which it stops, in units of the approximation's sd.
    """
    require(tolerance > 0, f"cavi: tolerance={tolerance:g} is not accepted; it takes a positive number")
    require(start_sd > 0, f"cavi: start_sd={start_sd:g} is not accepted; it takes a positive number")

    def refuse(target: Target) -> str | None:
        return None if target.gaussian else "it needs a Gaussian target"

    def begin(target: Target, seed: int) -> CaviRun:
        require(target.gaussian is not None, f"cavi: {target.name} is not accepted; it takes a Gaussian target")
        assert target.gaussian is not None  # noqa: S101
        mean = target.start(np.random.default_rng(seed)) if start is None else np.array(start, dtype=np.float64)
        require(mean.shape == (target.dim,), f"cavi: start has {mean.size} numbers; it takes {target.dim}")
        return CaviRun(target, target.gaussian, mean, np.full(target.dim, start_sd), tolerance)

    def prepare(_: Target) -> None:
        _ = sweep.compiled

    return Recipe(begin, prepare, refuse)
