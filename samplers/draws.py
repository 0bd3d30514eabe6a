"""Draws of several chains: the approximation that a sampler offers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from samplers.chain import Values
from samplers.variables import variables
from targets.kernel import Matrix, Vector
from targets.target import Named

if TYPE_CHECKING:
    import pandas as pd
    import xarray

SUSPECTS = 16  # coordinates
ENOUGH = 10_000  # draws a chain
BATCHES = 20  # a chain
LEAST = 4  # draws a chain, for any diagnostic
BLOCK = 64  # coordinates looked at together: bounds what is copied


class Worst(NamedTuple):
    """The worst of what can be said of the coordinates.

    Attributes:
        r_hat: largest rank-normalised split R-hat.
        ess: smallest bulk effective sample size.
        ess_square: the same of the squares x², about zero.
        ess_tail: smallest tail effective sample size.
    """

    r_hat: float
    ess: float
    ess_square: float
    ess_tail: float


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of several chains, with what can be said of them.

    Attributes:
        values: (chains, n, dim).
        coordinates: names of the coordinates.
        stats: what is known of each draw, (chains, n) each, under the names of `samplers.chain.STATS_DTYPE`. The chains
            of an ensemble share one row among its members.
        warmup: the draws of warm-up, where they were kept.
        named: the target's named quantities and the map to them, if it has one.
        about: what is said of the run that made them, under the names of ArviZ's schema.
    """

    values: Values
    coordinates: tuple[str, ...] = ()
    stats: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    warmup: "Draws | None" = None
    named: Named | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def divergences(self) -> int:
        """How many trajectories left their level set."""
        return int(self.stats["diverging"].sum()) if "diverging" in self.stats else 0

    @property
    def acceptance(self) -> float:
        """Mean acceptance probability, NaN where unknown."""
        return float(self.stats["acceptance_rate"].mean()) if "acceptance_rate" in self.stats else math.nan

    @cached_property
    def e_bfmi(self) -> Vector:
        """(chains,) E[(E_n - E_n-1)^2] / Var E of the energies, NaN where unknown (Betancourt 2016)."""
        if "energy" not in self.stats or self.stats["energy"].shape[1] < LEAST:
            return np.full(len(self.values), np.nan)
        from arviz_stats.base.array import array_stats

        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(array_stats.bfmi(self.stats["energy"], chain_axis=0, draw_axis=1))

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
        return _statistic(self.values, "rhat", "rank")

    @cached_property
    def ess_bulk(self) -> Vector:
        """(dim,) bulk effective sample size, NaN below four draws a chain (Vehtari et al. 2021)."""
        return _statistic(self.values, "ess", "bulk")

    @cached_property
    def ess_tail(self) -> Vector:
        """(dim,) tail effective sample size, NaN below four draws a chain (Vehtari et al. 2021)."""
        return _statistic(self.values, "ess", "tail")

    @cached_property
    def mcse_mean(self) -> Vector:
        """(dim,) Monte Carlo standard error of the means, NaN below four draws a chain."""
        return _statistic(self.values, "mcse", "mean")

    @cached_property
    def mcse_sd(self) -> Vector:
        """(dim,) Monte Carlo standard error of the standard deviations, NaN below four draws a chain.

        That of the mean square about the mean, over twice the sd: squares have an effective sample size of their own,
        which is smaller than that of the draws where trajectories leave each other antithetic.
        """
        sd = np.sqrt(self.values.var(axis=(0, 1)))
        squares = (self.values - self.values.mean(axis=(0, 1))) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(_statistic(squares, "mcse", "mean") / (2.0 * sd))

    @cached_property
    def named_values(self) -> Values:
        """(chains, n, names): the named quantities, or the coordinates where the target names none."""
        if self.named is None:
            return self.values
        return np.asarray(self.named.values(self.flat)).reshape(*self.values.shape[:2], len(self.named.names))

    def __getitem__(self, name: str) -> Values:
        """(chains, n, ...): a quantity by name, as in `draws["tau"]`; theta[1], theta[2], ... are `draws["theta"]`.

        Raises:
            KeyError: there is none of that name, neither named nor a coordinate.
        """
        known: list[str] = []
        named = () if self.named is None else self.named.names
        for names, values in ((named, "named_values"), (self.coordinates, "values")):
            for variable in variables(names):
                if variable.name == name:
                    return variable.of(getattr(self, values))
            if name in names:
                return np.asarray(getattr(self, values)[..., names.index(name)])
            known += [variable.name for variable in variables(names)]
        raise KeyError(f"no quantity is called {name!r}; there are {', '.join(dict.fromkeys(known))}")

    def summary(
        self, *, unconstrained: bool = False, probabilities: Sequence[float] = (0.05, 0.5, 0.95)
    ) -> "pd.DataFrame":
        """A table of the named quantities; of the coordinates where the target names none, or with `unconstrained`.

        Columns: mean, sd, mcse_mean, mcse_sd (Monte Carlo standard errors), a quantile for each of the probabilities
        (q5, q50, q95), ess_bulk, ess_tail, r_hat.

        Raises:
            UsageError: a probability is not between 0 and 1.
        """
        from samplers.summary import summary

        if unconstrained or self.named is None:
            return summary(self, self.coordinates, probabilities)
        return summary(Draws(self.named_values), self.named.names, probabilities)

    def to_arviz(self, *, save_warmup: bool = True) -> "xarray.DataTree":
        """An xarray DataTree in ArviZ's schema. Needs the extra `arviz`.

        `posterior` holds the named quantities, and `unconstrained_posterior` the coordinates; the coordinates are the
        posterior where the target names nothing else. theta[1], theta[2], ... become one variable `theta` with the
        dimension `theta_dim_0`, labelled 1, 2, .... `sample_stats` holds the statistics of draws. Draws of warm-up are
        in groups of the same names behind `warmup_`, unless `save_warmup` is false.

        Raises:
            UsageError: arviz-base or xarray is not installed.
        """
        from samplers.arviz import to_arviz

        return to_arviz(self, save_warmup)

    def worst(self) -> Worst:
        """Largest R-hat, and smallest bulk ESS of x and of x² and tail ESS of x, at a bounded cost.

        They are looked for among the `SUSPECTS` coordinates whose means (for x² those of the squares) wander most,
        within and between chains, in at most `ENOUGH` evenly spaced draws a chain, which is also where the ESS of a
        chain is capped.
        """
        spaced = self.values[:, :: -(-self.values.shape[1] // ENOUGH)]
        few = spaced[:, :, suspects(spaced)]
        with np.errstate(over="ignore"):
            squares = np.square(spaced[:, :, suspects(spaced, squared=True)])
        return Worst(
            float(np.max(_statistic(few, "rhat", "rank"))),
            float(np.min(_statistic(few, "ess", "bulk"))),
            float(np.min(_statistic(squares, "ess", "bulk"))),
            float(np.min(_statistic(few, "ess", "tail"))),
        )

    def diagnostics(self) -> dict[str, float]:
        """Largest R-hat, smallest ESS (see `worst`), number of draws, divergences and mean acceptance.

        Of chains that keep account of their energies, also the mean depth of their trees and the smallest E-BFMI of a
        chain, below 0.3 where momenta are resampled too little.
        """
        worst = self.worst()
        found = {
            "r_hat": worst.r_hat,
            "ess_min": worst.ess,
            "ess_square_min": worst.ess_square,
            "ess_tail_min": worst.ess_tail,
            "draws": float(len(self.flat)),
            "accept": self.acceptance,
        }
        if "diverging" in self.stats:
            found["divergences"] = float(self.divergences)
        if "energy" in self.stats:
            found["e_bfmi"] = float(np.min(self.e_bfmi))
        if "tree_depth" in self.stats:
            found["tree_depth"] = float(self.stats["tree_depth"].mean())
        return found

    def __getstate__(self) -> dict[str, Any]:
        """What pickle keeps: of the named quantities the values, since the map to them may be any function."""
        if self.named is None:
            return dict(self.__dict__)
        return {**self.__dict__, "named_values": self.named_values, "named": Named(self.named.names, _unmapped)}

    def __repr__(self) -> str:
        chains, n, dim = self.values.shape
        return (
            f"Draws({chains} chains x {n} draws x {dim} coordinates, r_hat <= {np.max(self.r_hat):.3f}, "
            f"ess_bulk >= {np.min(self.ess_bulk):.0f}, ess_tail >= {np.min(self.ess_tail):.0f}, "
            f"{self.divergences} divergences)"
        )


def _unmapped(x: Matrix) -> Matrix:
    raise RuntimeError(
        f"the map of these draws to named quantities was not kept when they were pickled, for {len(x)} points"
    )


def suspects(values: Values, squared: bool = False) -> npt.NDArray[np.intp]:
    """Up to `SUSPECTS` coordinates of (chains, n, dim) whose batch means vary most, relative to their variance.

    With `squared`, the means and the variance are those of the squares.
    """
    blocks = (values[:, :, begin : begin + BLOCK] for begin in range(0, values.shape[2], BLOCK))
    with np.errstate(over="ignore", invalid="ignore"):  # squares of far draws
        wander = np.concatenate([_wander(np.square(block) if squared else block) for block in blocks])
    return np.argsort(-wander, kind="stable")[:SUSPECTS]


def _wander(values: Values) -> Vector:
    """(dim,) variance of batch means over variance, infinite where there is none to divide by."""
    chains, n, dim = values.shape
    size = max(1, n // BATCHES)
    variance = values.var(axis=(0, 1))
    known = (variance > 0.0) & np.isfinite(variance)
    batches = values[:, : n // size * size].reshape(chains, -1, size, dim).mean(axis=2)
    return np.where(known, batches.var(axis=(0, 1)) / np.where(known, variance, 1.0), np.inf)


def _statistic(values: Values, name: str, method: str) -> Vector:
    if values.shape[1] < LEAST:
        return np.full(values.shape[2], np.nan)
    from arviz_stats.base.array import array_stats

    options = {"chain_axis": 0, "draw_axis": 1, "method": method}
    if method == "tail":
        options["prob"] = (0.05, 0.95)
    with np.errstate(divide="ignore", invalid="ignore"):  # a chain that never moved has no variance
        return np.asarray(getattr(array_stats, name)(values, **options), dtype=np.float64)
