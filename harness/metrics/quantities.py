"""Errors of the quantities that a target's users ask for: see `targets.quantity`, and `reports.records.QUANTITIES`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.metrics.reference import SEED
from samplers.draws import Draws
from targets.kernel import Matrix, Vector
from targets.protocols import Approximation
from targets.quantity import Answer, Known, Quantity
from targets.target import Target

MOST_VALUES = 2_000_000  # of a functional over all draws looked at: beyond it draws are thinned evenly
REFERENCE_DRAWS = 100_000  # of an exact sampler
DENSITY_DRAWS, MOST_SAMPLED = 40_000, 2_000_000  # of a fit: in number, and times the dimension
Z95 = 1.959963984540054
NAMES = (
    "meaning",
    "estimate",
    "mcse",
    "truth",
    "truth_error",
    "scale",
    "error",
    "reference_floor",
    "sampling_floor",
    "low",
    "high",
    "interval_mass",
    "covered",
)


@dataclass(frozen=True)
class Asked:
    """A quantity with its true answer.

    Attributes:
        known: value, standard error, and scale; NaN where nothing tells.
        ordered: (n,) the functional at true draws, sorted, where intervals of it are of interest.
    """

    quantity: Quantity
    known: Known
    ordered: Vector | None

    @classmethod
    def of(cls, quantity: Quantity, draws: Matrix | None) -> "Asked":
        """From what the target says, and from true draws (n, dim)."""
        known, ordered = quantity.known or Known(math.nan), None
        if draws is not None:
            values = quantity.values(thinned(draws, width(quantity, draws)))
            value, influence = quantity.reduce(values)
            spread = float(influence.std())
            if quantity.known is None:
                known = Known(value, spread / math.sqrt(len(influence)), spread)
            elif math.isnan(known.scale):
                known = known._replace(scale=spread)
            ordered = np.sort(values) if quantity.interval else None
        return cls(quantity, known, ordered)

    def judge(self, answer: Answer, values: Matrix, independent: float) -> dict[str, Any]:
        """What can be said of an answer from `independent` draws with these values of the functional."""
        value, error = self.known.value, self.known.error
        scale = self.known.scale or math.nan  # of a functional that does not vary
        low, high, mass = self._interval(values)
        return {
            "estimate": answer.value,
            "truth": value,
            "truth_error": error,
            "scale": scale,
            "error": abs(answer.value - value) / scale if math.isfinite(answer.value) else math.inf,
            "reference_floor": error / scale,
            "sampling_floor": Z95 / math.sqrt(independent),
            "low": low,
            "high": high,
            "interval_mass": mass,
        }

    def _interval(self, values: Matrix) -> tuple[float, float, float]:
        if not self.quantity.interval:
            return math.nan, math.nan, math.nan
        low, high = (float(end) for end in np.quantile(values, [0.05, 0.95]))
        if self.ordered is None:
            return low, high, math.nan
        below, up_to = np.searchsorted(self.ordered, low, "left"), np.searchsorted(self.ordered, high, "right")
        return low, high, float(up_to - below) / len(self.ordered)


def asked(target: Target) -> list[Asked]:
    """The target's quantities with their truths."""
    truth = target.truth
    draws = None if truth is None or not target.quantities else truth.draws(REFERENCE_DRAWS, SEED)
    return [Asked.of(quantity, draws) for quantity in target.quantities]


def evaluate(
    approximation: Approximation, target: Target, of: list[Asked], seed: int, last: bool
) -> Iterator[dict[str, Any]]:
    """One row a quantity: its name and `NAMES`; the Monte Carlo standard error and the meaning only with `last`."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        own = draws_of(approximation, target.dim, seed) if of else np.empty((0, target.dim))
        for one in of:
            quantity = one.quantity
            draws = thinned(own, width(quantity, own))
            values = quantity.values(draws)
            answer = quantity.reduce(values)
            row = one.judge(answer, values, len(draws))
            mcse = _mcse(quantity, approximation, answer) if last else math.nan
            off = abs(answer.value - one.known.value) - Z95 * math.hypot(mcse, one.known.error)
            covered = None if math.isnan(off) else off <= 0
            meaning = quantity.description if last else None
            yield {"quantity": quantity.name, "meaning": meaning, **row, "mcse": mcse, "covered": covered}


def draws_of(approximation: Approximation, dim: int, seed: int) -> Matrix:
    """(n, dim): all that it holds, or as many of a density as leave little noise; the same ones at every checkpoint."""
    values = getattr(approximation, "values", None)
    if values is not None:
        return np.asarray(values).reshape(-1, dim)
    n = int(np.clip(MOST_SAMPLED // dim, 1000, DENSITY_DRAWS))
    return approximation.sample(np.random.default_rng([seed, dim, 2]), n)


def thinned(draws: Matrix, numbers: int) -> Matrix:
    """Draws (n, dim), or as many evenly spaced ones as give `MOST_VALUES` when each gives so many numbers."""
    most = max(1, MOST_VALUES // numbers)
    if len(draws) <= most:
        return draws
    return np.asarray(draws[np.linspace(0, len(draws) - 1, most).astype(np.intp)])


def width(quantity: Quantity, draws: Matrix) -> int:
    """How many numbers the functional gives for one draw."""
    return max(1, int(np.size(quantity.values(draws[:1]))))


def _mcse(quantity: Quantity, approximation: Approximation, answer: Answer) -> float:
    """The standard error of the estimate: by the chains' autocorrelation, or that of independent draws of a density.

    NaN where the functional is the same at all draws, which says nothing of how far the truth may be.
    """
    values = getattr(approximation, "values", None)
    n = len(answer.influence)
    if not np.ptp(answer.influence) > 0:
        return math.nan
    if values is None:
        return float(answer.influence.std()) / math.sqrt(n)
    chains, length = values.shape[:2]
    if n != chains * length:  # thinned: chain by chain instead, which keeps their order
        step = -(-chains * length // n)
        values = values[:, ::step]
        chains, length = values.shape[:2]
        answer = quantity.answer(values.reshape(chains * length, -1))
    spread = answer.influence.reshape(chains, length, 1)
    return float(Draws(spread).mcse_mean[0])
