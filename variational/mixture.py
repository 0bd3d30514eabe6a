"""Mixtures of Gaussians as approximations: exact moments and density, quantiles by safeguarded Newton steps."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri

from targets.kernel import Matrix, Vector
from variational.gaussian import LOG_TWO_PI, Gaussian

STEPS = 100  # of root finding; half of them would do by bisection alone
ROUNDING = 1e-12  # sd


@dataclass(frozen=True, eq=False)
class MixtureOfGaussians:
    """sum_k weights_k N(mean_k, factor_k factor_k^T).

    Attributes:
        parts: the Gaussians, all with a diagonal or all with a dense covariance.
        weights: (k,) positive, of sum one.
    """

    parts: tuple[Gaussian, ...]
    weights: Vector

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.parts[0].dim

    @cached_property
    def means(self) -> Matrix:
        """(k, dim)."""
        return np.array([part.mean for part in self.parts])

    @cached_property
    def sds(self) -> Matrix:
        """(k, dim)."""
        return np.array([part.sd for part in self.parts])

    @cached_property
    def mean(self) -> Vector:
        """(dim,)."""
        return np.asarray(self.weights @ self.means)

    @cached_property
    def variance(self) -> Vector:
        """(dim,) marginal variances."""
        return np.asarray(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2))

    @property
    def sd(self) -> Vector:
        """(dim,) marginal standard deviations."""
        return np.sqrt(self.variance)

    @cached_property
    def covariance(self) -> Matrix:
        """(dim, dim): within the components and between them."""
        away = self.means - self.mean
        between = (away * self.weights[:, None]).T @ away
        parts = zip(self.weights, self.parts, strict=True)
        return np.asarray(0.5 * (between + between.T) + sum(w * part.covariance for w, part in parts))

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim) marginal quantiles, by Newton steps that bisection keeps within a bracket."""
        p = np.asarray(probabilities, dtype=np.float64)[:, None]
        each = self.means + ndtri(p)[..., None] * self.sds  # (probabilities, k, dim), of the components
        low, high = each.min(axis=1), each.max(axis=1)
        x = 0.5 * (low + high)
        for _ in range(STEPS):
            z = (x[:, None] - self.means) / self.sds
            above = np.einsum("k,pki->pi", self.weights, ndtr(z)) - p
            low, high = np.where(above < 0, x, low), np.where(above > 0, x, high)
            slope = np.einsum("k,pki->pi", self.weights, np.exp(-0.5 * z**2 - 0.5 * LOG_TWO_PI) / self.sds)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = x - above / slope
            before, x = x, np.where((step >= low) & (step <= high), step, 0.5 * (low + high))
            if np.all(np.abs(x - before) <= ROUNDING * self.sd):
                break
        return np.asarray(np.where(np.isfinite(each[:, 0]), x, each[:, 0]))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """Independent draws (n, dim), in no order."""
        which = rng.choice(len(self.parts), size=n, p=self.weights)
        drawn = rng.standard_normal((n, self.dim))
        for k, part in enumerate(self.parts):
            mine = which == k
            drawn[mine] = part.colour(drawn[mine])
        return drawn

    def log_parts(self, x: Matrix) -> Matrix:
        """(k, n) log weights plus log densities of the components at the points x (n, dim)."""
        weighted = zip(np.log(self.weights), self.parts, strict=True)
        return np.array([height + part.log_density(x) for height, part in weighted])

    def log_density(self, x: Matrix) -> Vector:
        """(n,) normalised log densities at the points x (n, dim)."""
        return np.asarray(logsumexp(self.log_parts(x), axis=0))


def discrepancy(a: MixtureOfGaussians, b: MixtureOfGaussians, rng: np.random.Generator, n: int = 512) -> float:
    """KL(a || b) + KL(b || a) from n draws of each: a small shift of one coordinate by t sd is worth t^2."""
    from_a, from_b = a.sample(rng, n), b.sample(rng, n)
    forth = np.mean(a.log_density(from_a) - b.log_density(from_a))
    back = np.mean(b.log_density(from_b) - a.log_density(from_b))
    return float(forth + back)
