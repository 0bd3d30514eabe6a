"""An approximation as the metrics see it."""

import math
from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix, Vector
from targets.protocols import Approximation

MOST_SAMPLED, LEAST_SAMPLED, SAMPLED_VALUES = 4000, 1000, 1_000_000


@dataclass(frozen=True)
class Belief:
    """Moments and draws.

    Attributes:
        mean, covariance: (dim,), (dim, dim).
        draws: (n, dim), its own, or drawn from its density for the metrics that need some.
        own_draws: whether the draws are all that it is, so that its moments have their noise.
    """

    mean: Vector
    covariance: Matrix
    draws: Matrix
    own_draws: bool

    @classmethod
    def of(cls, approximation: Approximation, dim: int, seed: int) -> "Belief":
        """The same seed at every checkpoint gives common random numbers, and smooth curves."""
        values = getattr(approximation, "values", None)
        if values is not None:
            return cls(approximation.mean, approximation.covariance, np.asarray(values).reshape(-1, dim), True)
        n = int(np.clip(SAMPLED_VALUES // dim, LEAST_SAMPLED, MOST_SAMPLED))
        draws = approximation.sample(np.random.default_rng([seed, dim]), n)
        return cls(approximation.mean, approximation.covariance, draws, False)

    @property
    def finite(self) -> bool:
        """Whether its moments and draws are finite."""
        return all(bool(np.all(np.isfinite(part))) for part in (self.mean, self.covariance, self.draws))

    @property
    def independent(self) -> float:
        """How many draws its moments come from: infinitely many for those of a density."""
        return float(len(self.draws)) if self.own_draws else math.inf
