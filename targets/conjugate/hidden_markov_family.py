"""Dirichlet rows and independent normal-gamma emissions, as a density over the coordinates of a hidden Markov posterior.

It is what VB-EM ends in, in the coordinates of `targets.hidden_markov`: of each row the logarithms of gamma variables,
row after row; then the means of all states, and the logarithms of their standard deviations. A row's probabilities are
Dirichlet, and the sum of its gamma variables is Gamma(amount, 1) beside them, as the prior has it.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from targets.conjugate.sums import gamma_nodes, of_sum
from targets.kernel import Matrix, Vector


@dataclass(frozen=True, eq=False)
class Row:
    """One row; see the module.

    Attributes:
        amount: the shape of the sum of the gamma variables.
        concentration: (m,) of the Dirichlet probabilities.
    """

    amount: float
    concentration: Vector

    @property
    def mean(self) -> Vector:
        """(m,)."""
        away = special.digamma(self.amount) - special.digamma(self.concentration.sum())
        return np.asarray(special.digamma(self.concentration) + away)

    @property
    def covariance(self) -> Matrix:
        """(m, m)."""
        shared = special.polygamma(1, self.amount) - special.polygamma(1, self.concentration.sum())
        return np.asarray(shared + np.diag(special.polygamma(1, self.concentration)))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, m); no underflow where shapes are small."""
        amounts = _log_gammas(rng, np.tile(self.concentration, (n, 1)))
        total = _log_gammas(rng, np.full((n, 1), self.amount))
        return np.asarray(amounts - special.logsumexp(amounts, axis=1, keepdims=True) + total)

    def log_density(self, x: Matrix) -> Vector:
        """(n,) at log gamma variables (n, m)."""
        total = special.logsumexp(x, axis=1)
        constant = special.gammaln(self.concentration.sum()) - special.gammaln(self.concentration).sum()
        constant -= special.gammaln(self.amount)
        return np.asarray((x - total[:, None]) @ self.concentration + self.amount * total - np.exp(total) + constant)

    def quantiles(self, p: Matrix) -> Matrix:
        """(k, m) at p (k, 1), by quadrature where there is no closed form."""
        m = len(self.concentration)
        if m == 1:
            return np.asarray(np.log(special.gammaincinv(self.amount, p)))
        nodes = np.log(np.maximum(gamma_nodes(np.full(m, self.amount)), 1e-300))
        rest = self.concentration.sum() - self.concentration
        return of_sum(
            p, nodes, lambda y: np.asarray(special.betainc(self.concentration, rest, np.exp(np.minimum(y, 0.0))))
        )


@dataclass(frozen=True, eq=False)
class Normals:
    """Means and log standard deviations of K states, in this order.

    Attributes:
        centres, mean_precision, degrees_of_freedom, scale: (K,) each: 1 / sd^2 is Gamma(degrees_of_freedom / 2,
            scale / 2), and mean given it N(centre, sd / sqrt(mean_precision)).
    """

    centres: Vector
    mean_precision: Vector
    degrees_of_freedom: Vector
    scale: Vector

    @property
    def mean(self) -> Vector:
        """(2 K,)."""
        log_precision = special.digamma(0.5 * self.degrees_of_freedom) - np.log(0.5 * self.scale)
        return np.concatenate([self.centres, -0.5 * log_precision])

    @property
    def covariance(self) -> Matrix:
        """(2 K, 2 K): diagonal; infinite where degrees of freedom are too few."""
        spare = self.degrees_of_freedom - 2.0
        means = np.where(spare > 0, self.scale / (self.mean_precision * np.where(spare > 0, spare, 1.0)), np.inf)
        return np.diag(np.concatenate([means, 0.25 * special.polygamma(1, 0.5 * self.degrees_of_freedom)]))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, 2 K)."""
        logs = _log_gammas(rng, np.tile(0.5 * self.degrees_of_freedom, (n, 1))) - np.log(0.5 * self.scale)
        sd = np.exp(-0.5 * logs)
        means = self.centres + sd * rng.standard_normal(sd.shape) / np.sqrt(self.mean_precision)
        return np.hstack([means, -0.5 * logs])

    def log_density(self, x: Matrix) -> Vector:
        """(n,) at means and log standard deviations (n, 2 K)."""
        k, half = len(self.centres), 0.5 * self.degrees_of_freedom
        means, log_sd = x[:, :k], x[:, k:]
        rates = self.scale + self.mean_precision * (means - self.centres) ** 2
        constant = half * np.log(0.5 * self.scale) - special.gammaln(half) + math.log(2.0)
        constant += 0.5 * np.log(self.mean_precision / (2.0 * math.pi))
        logs = constant - (self.degrees_of_freedom + 1.0) * log_sd - 0.5 * np.exp(-2.0 * log_sd) * rates
        return np.asarray(logs.sum(axis=1))

    def quantiles(self, p: Matrix) -> Matrix:
        """(m, 2 K) at p (m, 1)."""
        width = np.sqrt(self.scale / (self.mean_precision * self.degrees_of_freedom))
        precisions = 2.0 * special.gammainccinv(0.5 * self.degrees_of_freedom, p) / self.scale
        return np.hstack(
            [self.centres + width * special.stdtrit(self.degrees_of_freedom, p), -0.5 * np.log(precisions)]
        )


@dataclass(frozen=True, eq=False)
class HiddenMarkovFamily:
    """An approximation over those coordinates; see `targets.protocols.Approximation`. Its parts are independent."""

    parts: tuple[Row | Normals, ...]

    @cached_property
    def _ends(self) -> list[int]:
        return list(np.cumsum([len(part.mean) for part in self.parts])[:-1])

    @property
    def mean(self) -> Vector:
        """(dim,)."""
        return np.concatenate([part.mean for part in self.parts])

    @property
    def covariance(self) -> Matrix:
        """(dim, dim)."""
        blocks = [part.covariance for part in self.parts]
        ends = np.cumsum([len(block) for block in blocks])
        whole = np.zeros((ends[-1], ends[-1]))
        for end, block in zip(ends, blocks, strict=True):
            whole[end - len(block) : end, end - len(block) : end] = block
        return whole

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, dim) independent draws."""
        return np.hstack([part.sample(rng, n) for part in self.parts])

    def log_density(self, x: Matrix) -> Vector:
        """(n,) normalised, at coordinates (n, dim)."""
        pieces = np.split(np.atleast_2d(x), self._ends, axis=1)
        return np.asarray(sum(part.log_density(piece) for part, piece in zip(self.parts, pieces, strict=True)))

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim)."""
        p = np.asarray(probabilities, dtype=np.float64)[:, None]
        return np.hstack([part.quantiles(p) for part in self.parts])


def _log_gammas(rng: np.random.Generator, shapes: Matrix) -> Matrix:
    return np.asarray(np.log(rng.standard_gamma(shapes + 1.0)) - rng.standard_exponential(shapes.shape) / shapes)
