"""VB-EM as a method of the race, on any target that offers the conjugate model behind its density."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from targets.conjugate.hidden_markov import HiddenMarkov
from targets.conjugate.mixture_model import GaussianMixture
from targets.conjugate.regression import LinearRegression
from targets.options import require
from targets.protocols import Approximation, Phase, Status, Work
from targets.target import Target
from variational.method import Recipe


class Updates(Protocol):
    """A fit of one model, from a start of its own. It can be pickled."""

    def sweep(self) -> float: ...  # updates every factor, and returns the bound

    def approximation(self) -> Approximation: ...  # q in the target's coordinates, which later sweeps leave as it is


# The fit of each model: 'module:function:compiler', where function(model, data, rng) gives `Updates`, and compiler()
# loads or compiles their loops. A new model is a line here.
MODELS: dict[type, str] = {
    LinearRegression: "variational.conjugate.vbem_regression:RegressionUpdates:compile_sweeps",
    GaussianMixture: "variational.conjugate.vbem_mixture:MixtureUpdates:compile_sweeps",
    HiddenMarkov: "variational.conjugate.vbem_hidden_markov:HiddenMarkovUpdates:compile_sweeps",
}


def _of(model: object) -> tuple[Callable[[Any, Any, np.random.Generator], Updates], Callable[[], None]]:
    module, function, compiler = MODELS[type(model)].split(":")
    found = import_module(module)
    return getattr(found, function), getattr(found, compiler)


@dataclass
class VbemRun:
    """One fit; see `targets.protocols.Run`. A sweep, which passes over all data once, is one unit of work."""

    updates: Updates
    rows: int
    tolerance: float
    bound: float = -np.inf
    work: Work = field(default_factory=Work)
    status: Status = Status.RUNNING
    reason: str = ""
    phase: Phase = Phase.RUN

    def advance(self, work: int) -> None:
        for _ in range(work):
            if self.status is not Status.RUNNING:
                return
            self._sweep()

    def _sweep(self) -> None:
        bound = self.updates.sweep()
        self.work.sweeps += 1
        if not np.isfinite(bound):
            self.status, self.reason = Status.FAILED, "the bound is not finite"
        elif bound - self.bound < self.tolerance * self.rows:
            self.status = Status.CONVERGED
            self.reason = f"a sweep gained less than {self.tolerance:g} nats a row"
        self.bound = bound

    def approximation(self) -> Approximation:
        return self.updates.approximation()

    def diagnostics(self) -> dict[str, float]:
        """Its bound, which is that of the joint of assignments and parameters.

        The bound of the parameters alone, E_q (log p(X, parameters) - log q), lies above it: as `elbo` it is measured.
        """
        return {"bound": self.bound} if np.isfinite(self.bound) else {}


def _refuse(target: Target) -> str | None:
    if target.conjugate is None:
        return "it needs a target that offers its conjugate model"
    if type(target.conjugate.model) not in MODELS:
        return f"it has no updates of {type(target.conjugate.model).__name__}"
    return None


def vbem(*, tolerance: float = 1e-8) -> Recipe:
    """Exact updates of the factors of a conjugate model's posterior, until a sweep gains less than that a row."""
    require(tolerance > 0, f"vbem: tolerance={tolerance:g} is not accepted; it takes a positive number")

    def begin(target: Target, seed: int) -> VbemRun:
        refused = _refuse(target)
        require(refused is None, f"vbem: {target.name} is not accepted: {refused}")
        assert target.conjugate is not None  # noqa: S101
        start, _ = _of(target.conjugate.model)
        updates = start(target.conjugate.model, target.conjugate.data, np.random.default_rng(seed))
        return VbemRun(updates, max(1, len(target.conjugate.data)), tolerance)

    def prepare(target: Target) -> None:
        if target.conjugate is not None:
            _of(target.conjugate.model)[1]()

    return Recipe(begin, prepare, _refuse)
