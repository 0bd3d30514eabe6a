"""Quantities beside the coordinates that errors are measured of: named, label-invariant, and predicted ones."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.metrics.marginals import Marginals
from harness.metrics.moments import MomentLaws, independent_draws
from harness.metrics.sliced import Sliced
from harness.metrics.standard import evenly
from targets.kernel import Matrix
from targets.target import Named, Target
from targets.truth import Moments, Truth

MAPPED_VALUES, LEAST_MAPPED = 5_000_000, 2000  # draws x quantities behind moments that come from draws; draws


@dataclass(frozen=True)
class View:
    """Functions of the coordinates, and the truth about them.

    Attributes:
        values: maps draws (n, dim) to (n, k).
        moments: the truth's, of the k quantities.
        laws: floors of the errors of moments.
        marginals, wasserstein: for the metrics of the marginals; None where nothing asks for them.
        worth: how many independent draws the moments are worth; infinite where they are exact.
    """

    values: Callable[[Matrix], Matrix]
    moments: Moments
    laws: MomentLaws
    marginals: Marginals | None
    wasserstein: Sliced | None
    worth: float

    def moment_floors(self, n: float) -> dict[str, float]:
        """The 95 % quantile of each error of moments for n independent draws, the reference's own noise included."""
        return self.laws.sampling_floors(1 / (1 / n + 1 / self.worth) if math.isfinite(self.worth) else n)


def named(target: Target, truth: Truth, draws: Matrix | None, rng: np.random.Generator) -> View | None:
    """The named quantities, whose moments the truth has; None where it has none."""
    if truth.named is None or target.named is None:
        return None
    moments, values = truth.named, None if draws is None else target.named.values(draws)
    marginals, wasserstein = None, None
    independent = independent_draws(moments)
    if values is not None:
        marginals = Marginals.of(moments.mean, moments.sd, values, False, independent)
        wasserstein = marginal_distance(moments, values, None, rng, independent)
    return View(
        target.named.values,
        moments,
        MomentLaws.of(moments, values, False, rng),
        marginals,
        wasserstein,
        independent,
    )


def mapped(quantities: Named | None, draws: Matrix | None, independent: float, rng: np.random.Generator) -> View | None:
    """Quantities whose moments come from reference draws (n, dim), worth at most `independent` ones."""
    if quantities is None or draws is None:
        return None
    values = quantities.values(evenly(draws, max(MAPPED_VALUES // len(quantities.names), LEAST_MAPPED)))
    worth = min(float(len(values)), independent)
    moments = Moments.from_draws(values, worth)
    return View(quantities.values, moments, MomentLaws.of(moments, values, False, rng), None, None, worth)


def marginal_distance(
    moments: Moments, draws: Matrix, correlation: Matrix | None, rng: np.random.Generator, independent: float
) -> Sliced | None:
    """What measures the Wasserstein distance of the marginals; None where a standard deviation is undefined."""
    if not np.all(np.isfinite(moments.sd) & np.isfinite(moments.mean) & (moments.sd > 0)):
        return None
    return Sliced.of(moments.mean, moments.sd, draws, None, correlation, rng, independent)
