"""Draws of several chains: the approximation that a sampler offers."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from targets.kernel import Matrix, Vector


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of several chains, with what can be said of them.

    Attributes:
        values: (chains, n, dim).
        coordinates: names of the coordinates.
        divergences: how many trajectories left their level set.
        acceptance: mean acceptance probability, NaN where unknown.
    """

    values: npt.NDArray[np.float64]
    coordinates: tuple[str, ...] = ()
    divergences: int = 0
    acceptance: float = field(default=float("nan"))

    @cached_property
    def flat(self) -> Matrix:
        """(chains x n, dim): the draws of all chains, one chain after the other."""
        chains, n, dim = self.values.shape
        return self.values.reshape(chains * n, dim)

    @cached_property
    def mean(self) -> Vector:
        """(dim,)."""
        return np.asarray(self.flat.mean(axis=0))

    @cached_property
    def covariance(self) -> Matrix:
        """(dim, dim), divided by the number of draws."""
        centred = self.flat - self.mean
        return np.asarray(centred.T @ centred / len(centred))

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim) marginal quantiles."""
        return np.asarray(np.quantile(self.flat, probabilities, axis=0))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, dim) of the draws, picked with replacement."""
        return np.asarray(self.flat[rng.integers(len(self.flat), size=n)])

    def log_density(self, x: Matrix) -> Vector | None:  # noqa: ARG002  (the protocol's argument)
        """None: draws have no density."""
        return None

    @cached_property
    def r_hat(self) -> Vector:
        """(dim,) rank-normalised split R-hat, NaN below four draws a chain (Vehtari et al. 2021)."""
        return self._statistic("rhat", "rank")

    @cached_property
    def ess_bulk(self) -> Vector:
        """(dim,) bulk effective sample size, NaN below four draws a chain (Vehtari et al. 2021)."""
        return self._statistic("ess", "bulk")

    @cached_property
    def ess_tail(self) -> Vector:
        """(dim,) tail effective sample size, NaN below four draws a chain (Vehtari et al. 2021)."""
        return self._statistic("ess", "tail")

    def _statistic(self, name: str, method: str) -> Vector:
        if self.values.shape[1] < 4:
            return np.full(self.values.shape[2], np.nan)
        from arviz_stats.base.array import array_stats

        options = {"chain_axis": 0, "draw_axis": 1, "method": method}
        if method == "tail":
            options["prob"] = (0.05, 0.95)
        with np.errstate(divide="ignore", invalid="ignore"):  # a chain that never moved has no variance
            return np.asarray(getattr(array_stats, name)(self.values, **options), dtype=np.float64)

    def __repr__(self) -> str:
        chains, n, dim = self.values.shape
        return (
            f"Draws({chains} chains x {n} draws x {dim} coordinates, r_hat <= {np.max(self.r_hat):.3f}, "
            f"ess_bulk >= {np.min(self.ess_bulk):.0f}, ess_tail >= {np.min(self.ess_tail):.0f}, "
            f"{self.divergences} divergences)"
        )
