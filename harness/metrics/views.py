"""Quantities beside the coordinates that errors are measured of: named, label-invariant, and predicted ones."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.metrics.marginals import Marginals
from harness.metrics.moments import MomentLaws, independent_draws
from harness.metrics.sliced import Sliced
from harness.metrics.standard import evenly
from targets.kernel import Matrix
from targets.target import Named, Target
from targets.truth import Moments, Truth

MAPPED_VALUES, LEAST_MAPPED = 2_000_000, 2000  # draws x quantities behind moments that come from draws; draws
SEED = 20_240_614  # of the law of distances


@dataclass(frozen=True)
class View:
    """Functions of the coordinates, and the truth about them.

    Attributes:
        values: maps draws (n, dim) to (n, k).
        moments: the truth's, of the k quantities.
        known: (M, k) values at reference draws, or None.
        laws: floors of the errors of moments.
        worth: how many independent draws the moments are worth; infinite where they are exact.
    """

    values: Callable[[Matrix], Matrix]
    moments: Moments
    known: Matrix | None
    laws: MomentLaws
    worth: float

    def moment_floors(self, n: float) -> dict[str, float]:
        """The 95 % quantile of each error of moments for n independent draws, the reference's own noise included."""
        return self.laws.sampling_floors(1 / (1 / n + 1 / self.worth))

    @cached_property
    def marginals(self) -> Marginals | None:
        """For coverage and tail quantiles."""
        if self.known is None:
            return None
        return Marginals.of(self.moments.mean, self.moments.sd, self.known, False, self.worth)

    @cached_property
    def wasserstein(self) -> Sliced | None:
        """For the Wasserstein distance of the marginals."""
        if self.known is None:
            return None
        return marginal_distance(self.moments, self.known, None, np.random.default_rng(SEED), self.worth)


def named(target: Target, truth: Truth, draws: Matrix | None, rng: np.random.Generator) -> View | None:
    """The named quantities, whose moments the truth has; None where it has none."""
    if truth.named is None or target.named is None:
        return None
    values = None if draws is None else target.named.values(draws)
    laws = MomentLaws.of(truth.named, values, False, rng)
    return View(target.named.values, truth.named, values, laws, independent_draws(truth.named))


def mapped(quantities: Named | None, draws: Matrix | None, independent: float, rng: np.random.Generator) -> View | None:
    """Quantities whose moments come from reference draws (n, dim), worth at most `independent` ones."""
    if quantities is None or draws is None:
        return None
    values = quantities.values(evenly(draws, max(MAPPED_VALUES // len(quantities.names), LEAST_MAPPED)))
    worth = min(float(len(values)), independent)
    moments = Moments.from_draws(values, worth)
    return View(quantities.values, moments, None, MomentLaws.of(moments, values, False, rng), worth)


def marginal_distance(
    moments: Moments, draws: Matrix, correlation: Matrix | None, rng: np.random.Generator, independent: float
) -> Sliced | None:
    """What measures the Wasserstein distance of the marginals; None where a standard deviation is undefined."""
    if not np.all(np.isfinite(moments.sd) & np.isfinite(moments.mean) & (moments.sd > 0)):
        return None
    return Sliced.of(moments.mean, moments.sd, draws, None, correlation, rng, independent)
