"""Proposals of adaptive importance sampling: multivariate t, and mixtures of them."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from targets.kernel import Matrix, Vector
from variational.gaussian import Gaussian

DEGREES = 5.0  # heavy enough for targets a little wider than the proposal, with a finite variance


@dataclass(frozen=True)
class StudentT:
    """A multivariate t with `DEGREES` degrees of freedom and the location and scale of `shape`."""

    shape: Gaussian

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Independent draws (n, dim)."""
        standard = rng.standard_normal((n, self.shape.dim))
        return self.shape.colour(standard * np.sqrt(DEGREES / rng.chisquare(DEGREES, n))[:, None])

    def log_density(self, x: Matrix) -> Vector:
        """(n,) log densities at x (n, dim)."""
        dim = self.shape.dim
        squared = np.sum(self.shape.standardise(x) ** 2, axis=1)
        constant = gammaln(0.5 * (DEGREES + dim)) - gammaln(0.5 * DEGREES) - 0.5 * dim * np.log(np.pi * DEGREES)
        return np.asarray(
            constant - self.shape.half_log_determinant - 0.5 * (DEGREES + dim) * np.log1p(squared / DEGREES)
        )


@dataclass(frozen=True)
class Mixture:
    """Proposals with their shares of the draws, weighted against the whole mixture (Owen and Zhou 2000)."""

    parts: tuple[StudentT, ...]
    shares: tuple[float, ...]

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """About n draws, each part's share of them exactly, at least one each."""
        counts = [max(1, round(share * n)) for share in self.shares]
        return np.concatenate([part.sample(rng, count) for part, count in zip(self.parts, counts, strict=True)])

    def log_density(self, x: Matrix) -> Vector:
        """(n,) log densities at x (n, dim)."""
        each = np.array([part.log_density(x) for part in self.parts])
        return np.asarray(logsumexp(each + np.log(self.shares)[:, None], axis=0))
