"""What a method of inference is, on one screen. No base class: whatever has these attributes can race.

A method starts a run on a target; the run advances by work; what it believes at any moment is an approximation.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from targets.kernel import Matrix, Vector
from targets.target import Target


class Status(StrEnum):
    """How a run stands, or ended. SPENT is said by the harness alone: the run could have gone on."""

    RUNNING = "running"
    CONVERGED = "converged"
    SPENT = "budget spent"
    CAPPED = "time cap"
    FAILED = "failed"
    SKIPPED = "skipped"


class Phase(StrEnum):
    """What the work of a run is for now: the columns of the ledger."""

    FIT = "fit"  # that a warm start begins with
    WARMUP = "warmup"  # adaptation
    RUN = "run"


@dataclass
class Work:
    """Evaluations so far. `row_evaluations` counts rows of data touched by likelihoods taken in part."""

    gradient_evaluations: int = 0
    density_evaluations: int = 0
    row_evaluations: int = 0
    sweeps: int = 0

    @property
    def total(self) -> int:
        """What a budget limits: every gradient, density or sweep counts one."""
        return self.gradient_evaluations + self.density_evaluations + self.sweeps

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.gradient_evaluations + other.gradient_evaluations,
            self.density_evaluations + other.density_evaluations,
            self.row_evaluations + other.row_evaluations,
            self.sweeps + other.sweeps,
        )

    def __sub__(self, other: "Work") -> "Work":
        return Work(
            self.gradient_evaluations - other.gradient_evaluations,
            self.density_evaluations - other.density_evaluations,
            self.row_evaluations - other.row_evaluations,
            self.sweeps - other.sweeps,
        )


class Approximation(Protocol):
    """What a method believes: draws, or a density that can be sampled and evaluated."""

    @property
    def mean(self) -> Vector: ...  # (dim,)

    @property
    def covariance(self) -> Matrix: ...  # (dim, dim)

    def quantiles(self, probabilities: Vector) -> Matrix: ...  # (len(probabilities), dim), marginal

    def sample(self, rng: np.random.Generator, n: int) -> Matrix: ...  # (n, dim)

    def log_density(self, x: Matrix) -> Vector | None: ...  # (n,), or None for draws


class Run(Protocol):
    """One method on one target with one seed. Results do not depend on how the work is cut into calls."""

    @property
    def work(self) -> Work: ...

    @property
    def status(self) -> Status: ...

    @property
    def reason(self) -> str: ...  # why it failed, or what made it converge

    @property
    def phase(self) -> Phase: ...

    def advance(self, work: int) -> None: ...  # about that much more work; stops where the phase or status changes

    def approximation(self) -> Approximation | None: ...  # None while there is nothing to say

    def diagnostics(self) -> dict[str, float]: ...  # by name; those that have a column: `harness.cell.DIAGNOSTICS`


class Method(Protocol):
    """A composition with its options fixed."""

    @property
    def name(self) -> str: ...

    @property
    def tags(self) -> frozenset[str]: ...  # 'mcmc' or 'vi'; 'oracle' where it uses the answer

    def unfit(self, target: Target) -> str | None: ...  # why it cannot run on this target, or None

    def compile(self, target: Target) -> None: ...  # load or compile everything; the harness calls it off the clock

    def start(self, target: Target, seed: int) -> Run: ...
