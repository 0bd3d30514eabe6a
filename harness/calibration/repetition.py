"""One repetition: a draw of the prior, data that it explains, a method on these, and the draw's ranks in the answer."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness import plugins, provenance
from harness.budget import Budget
from harness.calibration.quantities import Ranked
from harness.cell import race
from harness.clock import one_thread
from reports.records import repetitions
from samplers.draws import Draws
from targets.kernel import Matrix, Vector
from targets.options import UsageError
from targets.protocols import Approximation, Method, Status
from targets.target import Target
from targets.uniformity import ranks

MOST = 99  # draws that a prior draw is ranked among
LEAST = 9
LOOKED_AT = 1000  # draws a chain, evenly spaced
SPARING = 2.0  # effective draws for each of them, so that what is left of their dependence does not count


@dataclass(frozen=True)
class Repetition:
    """What to compute: SPECs of a target and a method, the seed of the calibration, a number, a budget."""

    target: str
    method: str
    seed: int
    repetition: int
    budget: Budget

    @property
    def columns(self) -> dict[str, Any]:
        """What names it in the records."""
        return {
            "target": self.target,
            "method": self.method,
            "seed": self.seed,
            "repetition": self.repetition,
            "max_gradients": self.budget.max_gradients,
            "max_seconds": self.budget.max_seconds,
        }

    @property
    def key(self) -> str:
        """The name of its file."""
        return repetitions.identity(self.columns, " ".join(map(plugins.digest, (self.target, self.method))))

    def stream(self, *words: int) -> np.random.Generator:
        """Random numbers of this repetition, the same for all methods."""
        return np.random.default_rng([self.seed, self.repetition, *words, *self.target.encode()])


@dataclass(frozen=True)
class Result:
    """What became of one: its columns in the records, and its ranks (k,), None where the fit failed."""

    columns: dict[str, Any]
    ranks: list[float] | None


def compute(of: Repetition, target: Target, method: Method, ranked: Ranked) -> Result:
    """One repetition. What the method raises is the failure of this repetition alone."""
    x, posterior = simulated(target, of.stream(0))
    with one_thread():
        outcome = race(posterior, method, int(of.stream(1).integers(2**62)), of.budget)
    status, reason, u, answer = outcome.status, outcome.reason, None, None
    if status is not Status.FAILED:
        said = [point.approximation for point in outcome.checkpoints if point.approximation is not None]
        answer = spaced(ranked, posterior, said[-1], of.stream(2)) if said else "there was no answer within its budget"
        if isinstance(answer, str):
            status, reason = Status.FAILED, answer
        else:
            u = ranks(ranked.values(posterior, x[None])[0], answer.values, of.stream(3)).tolist()
    given = None if isinstance(answer, str) else answer
    columns = {
        **of.columns,
        "status": str(status),
        "reason": reason,
        "draws": given and len(given.values),
        "ess": given and given.ess,
        "evaluations": outcome.work.total,
        "seconds": outcome.ledger.total_seconds,
        "sources": provenance.versions()["sources"],
    }
    return Result(columns, u)


def simulated(target: Target, rng: np.random.Generator) -> tuple[Vector, Target]:
    """A draw of the prior (dim,), and the posterior given data that are simulated from it.

    Raises:
        UsageError: the target's model cannot be simulated.
    """
    if target.generative is None:
        raise UsageError(f"{target.name} has no generative model")
    x = np.asarray(target.generative.prior(rng), dtype=np.float64)
    return x, target.given(target.generative.simulate(rng, x))


class Answer(NamedTuple):
    """What a prior draw is ranked among: values (L, k), and how many effective draws there were, None for a density."""

    values: Matrix
    ess: float | None


def spaced(ranked: Ranked, posterior: Target, said: Approximation, rng: np.random.Generator) -> Answer | str:
    """Nearly independent draws of an approximation, as ranked; or why there are none.

    Of chains as many evenly spaced draws as are worth `SPARING` effective ones each; `MOST` of a density.
    """
    chains = getattr(said, "values", None)
    x = said.sample(rng, MOST) if chains is None else chains[:, :: -(-chains.shape[1] // LOOKED_AT)]
    if not np.isfinite(x).all():
        return "its answer is not finite"
    values = ranked.values(posterior, x.reshape(-1, posterior.dim))
    if chains is None:
        return Answer(values, None)
    ess = Draws(np.where(np.isfinite(values), values, 0.0).reshape(*x.shape[:2], -1)).worst().ess
    count = int(np.clip(ess / SPARING, LEAST, MOST)) if math.isfinite(ess) else LEAST
    return Answer(values[np.linspace(0, len(values) - 1, count).astype(np.intp)], ess)
