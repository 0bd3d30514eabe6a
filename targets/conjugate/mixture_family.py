"""Dirichlet weights and independent normal-Wishart components, as a density over the coordinates of a mixture.

With one component it is the posterior itself; with more it is what coordinate ascent ends in. In the coordinates of
`targets.conjugate.mixture_coordinates` weights are Dirichlet, and the sum of the g_k is Gamma(amount, 1) beside them.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from targets.conjugate.mixture import MixturePrior
from targets.conjugate.mixture_coordinates import Array, Parts, joined, parts, size
from targets.conjugate.sums import gamma_nodes, of_sum
from targets.kernel import Matrix, Vector


@dataclass(frozen=True, eq=False)
class MixtureFamily:
    """An approximation over the coordinates of a mixture; see `targets.protocols.Approximation`.

    Attributes:
        amount: the shape of the gamma variable that the sum of the g_k is.
        concentration: (K,) of the Dirichlet weights.
        centres, mean_precision, degrees_of_freedom, scale: (K, d), (K,), (K,) and (K, d, d), as in
            `MixturePrior`, where the centres are the mean.
    """

    amount: float
    concentration: Vector
    centres: Matrix
    mean_precision: Vector
    degrees_of_freedom: Vector
    scale: Array

    @classmethod
    def of_prior(cls, prior: MixturePrior, components: int) -> "MixtureFamily":
        """The prior itself."""
        return cls(
            components * prior.weight_concentration,
            np.full(components, prior.weight_concentration),
            np.tile(prior.mean, (components, 1)),
            np.full(components, prior.mean_precision),
            np.full(components, prior.degrees_of_freedom),
            np.tile(prior.scale, (components, 1, 1)),
        )

    def given(self, counts: Vector, means: Matrix, scatters: Array) -> "MixtureFamily":
        """Updated by observations of each component: numbers (K,), means (K, d) and scatters (K, d, d) about these.

        Bishop 2006, equations 10.58 to 10.63.
        """
        precision = self.mean_precision + counts
        off = means - self.centres
        shrunk = self.mean_precision * counts / precision
        return MixtureFamily(
            self.amount,
            self.concentration + counts,
            self.centres + (counts / precision)[:, None] * off,
            precision,
            self.degrees_of_freedom + counts,
            self.scale + scatters + shrunk[:, None, None] * off[:, :, None] * off[:, None, :],
        )

    @property
    def components(self) -> int:
        return len(self.concentration)

    @property
    def d(self) -> int:
        """Features."""
        return int(self.centres.shape[1])

    @property
    def log_normaliser(self) -> float:
        """Of the normal-Wishart and Dirichlet factors, without the gamma variable: ratios of these are evidences.

        log of the integral of prod w_k^(concentration_k - 1) and, for each component, of
        |P|^((degrees - d) / 2) exp(-tr(scale P) / 2 - mean_precision (m - mean)' P (m - mean) / 2).
        """
        d, degrees = self.d, self.degrees_of_freedom
        log_determinant = np.linalg.slogdet(self.scale)[1]
        gamma = special.gammaln(0.5 * self.shapes).sum(axis=1) + 0.25 * d * (d - 1) * math.log(math.pi)
        wishart = 0.5 * degrees * (d * math.log(2) - log_determinant) + gamma
        normal = 0.5 * d * (math.log(2 * math.pi) - np.log(self.mean_precision))
        dirichlet = special.gammaln(self.concentration).sum() - special.gammaln(self.concentration.sum())
        return float(dirichlet + wishart.sum() + normal.sum())

    @cached_property
    def log_determinant(self) -> Vector:
        """(K,) expected log determinants of the precisions."""
        return np.asarray(
            special.digamma(0.5 * self.shapes).sum(axis=1) + self.d * math.log(2) - np.linalg.slogdet(self.scale)[1]
        )

    def divergence(self, other: "MixtureFamily") -> float:
        """KL(self, other) in nats, of weights, means and precisions."""
        d, log_weights = self.d, special.digamma(self.concentration) - special.digamma(self.concentration.sum())
        value = other.log_normaliser - self.log_normaliser + (self.concentration - other.concentration) @ log_weights
        value += 0.5 * (self.degrees_of_freedom - other.degrees_of_freedom) @ self.log_determinant
        precisions = self.degrees_of_freedom[:, None, None] * np.linalg.inv(self.scale)
        off = self.centres - other.centres
        value += 0.5 * (np.einsum("kab,kab->", other.scale, precisions) - d * self.degrees_of_freedom.sum())
        value += 0.5 * np.einsum("k,ka,kab,kb->", other.mean_precision, off, precisions, off)
        return float(value + 0.5 * d * np.sum(other.mean_precision / self.mean_precision - 1.0))

    @property
    def entropy(self) -> float:
        """Differential, in nats, in these coordinates."""
        d, total = self.d, self.concentration.sum()
        log_diagonal = self.mean.reshape(self.components, -1)[:, 1 + d :][:, [a * (a + 3) // 2 for a in range(d)]]
        log_weights = special.digamma(self.concentration) - special.digamma(total)
        expected = self.concentration @ log_weights + self.amount * (special.digamma(self.amount) - 1.0)
        expected += np.sum(log_diagonal * self._powers) + self.components * d * (math.log(2) - 0.5)
        expected -= 0.5 * d * self.degrees_of_freedom.sum() + self.log_normaliser + special.gammaln(self.amount)
        return -float(expected)

    @property
    def _powers(self) -> Matrix:
        """(K, d) of the diagonals of the factors: |P|^((degrees - d) / 2), and the Jacobians.

        These are 2^d prod_a L_aa^(d - a), a from 0, for the precision, and L_aa for its logarithm.
        """
        return self.degrees_of_freedom[:, None] - np.arange(self.d) + 1.0

    @cached_property
    def roots(self) -> Array:
        """(K, d, d) lower factors of the inverse scales: a precision's factor is this times Bartlett's."""
        return np.asarray(np.linalg.cholesky(np.linalg.inv(self.scale)))

    @cached_property
    def shapes(self) -> Matrix:
        """(K, d) degrees of freedom of the chi variables on the diagonals of Bartlett's factors."""
        return np.asarray(self.degrees_of_freedom[:, None] - np.arange(self.d))

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, dim) independent draws."""
        components, d = self.components, self.d
        log_amounts = np.log(rng.standard_gamma(self.concentration + 1.0, (n, components)))
        log_amounts -= rng.standard_exponential((n, components)) / self.concentration  # no underflow where it is small
        log_total = np.log(rng.standard_gamma(self.amount + 1.0, n)) - rng.standard_exponential(n) / self.amount
        log_g = log_amounts - special.logsumexp(log_amounts, axis=1, keepdims=True) + log_total[:, None]
        bartlett = np.tril(rng.standard_normal((n, components, d, d)), -1)
        diagonal = np.arange(d)
        bartlett[:, :, diagonal, diagonal] = np.sqrt(rng.chisquare(self.shapes, (n, components, d)))
        factors = self.roots @ bartlett
        normal = rng.standard_normal((n, components, d, 1)) / np.sqrt(self.mean_precision)[:, None, None]
        means = self.centres + np.linalg.solve(factors.swapaxes(-1, -2), normal)[..., 0]
        return joined(Parts(log_g, means, factors))

    def log_density(self, x: Matrix) -> Vector:
        """(n,) normalised, at the coordinates (n, dim)."""
        d, found = self.d, parts(np.atleast_2d(x), self.components, self.d)
        log_total = special.logsumexp(found.log_g, axis=1)
        log_weights = found.log_g - log_total[:, None]
        value = log_weights @ self.concentration + self.amount * log_total - np.exp(log_total)
        log_diagonal = np.log(np.diagonal(found.factors, axis1=2, axis2=3))
        value += np.einsum("nka,ka->n", log_diagonal, self._powers) + self.components * d * math.log(2)
        off = np.einsum("nkba,nkb->nka", found.factors, found.means - self.centres)
        value -= 0.5 * np.einsum("nka,nka,k->n", off, off, self.mean_precision)
        value -= 0.5 * np.einsum("kab,nkac,nkbc->n", self.scale, found.factors, found.factors, optimize=True)
        return np.asarray(value - self.log_normaliser - special.gammaln(self.amount))

    @cached_property
    def _chi(self) -> Array:
        """Raw moments of the chi variables, of orders 0 to 4: (5, K, d)."""
        order = np.arange(5.0)[:, None, None]
        half = 0.5 * self.shapes
        return np.asarray(
            np.exp(0.5 * order * math.log(2) + special.gammaln(half + 0.5 * order) - special.gammaln(half))
        )

    @cached_property
    def mean(self) -> Vector:
        """(dim,)."""
        d, total = self.d, self.concentration.sum()
        log_g = special.digamma(self.concentration) - special.digamma(total) + special.digamma(self.amount)
        factors = self.roots * self._chi[1][:, None, :]
        log_diagonal = np.log(np.diagonal(self.roots, axis1=1, axis2=2))
        log_diagonal = log_diagonal + 0.5 * (math.log(2) + special.digamma(0.5 * self.shapes))
        factors[:, np.arange(d), np.arange(d)] = np.exp(log_diagonal)  # `joined` takes the logarithm
        return np.asarray(joined(Parts(log_g[None], self.centres[None], factors[None]))[0])

    @property
    def covariance(self) -> Matrix:
        """(dim, dim), in closed form; infinite where degrees of freedom are too few."""
        return self._covariance.copy()

    @cached_property
    def _covariance(self) -> Matrix:
        components, d, step = self.components, self.d, size(self.d)
        covariance = np.zeros((components * step, components * step))
        at = np.arange(components) * step
        shared = special.polygamma(1, self.amount) - special.polygamma(1, self.concentration.sum())
        covariance[np.ix_(at, at)] = shared + np.diag(special.polygamma(1, self.concentration))
        for k in range(components):
            spare = self.degrees_of_freedom[k] - d - 1
            means = slice(at[k] + 1, at[k] + 1 + d)
            covariance[means, means] = self.scale[k] / (self.mean_precision[k] * spare) if spare > 0 else np.inf
            for b in range(d):
                column = at[k] + 1 + d + np.array([a * (a + 1) // 2 + b for a in range(b, d)])
                covariance[np.ix_(column, column)] = self._of_column(k, b)
        return covariance

    def _of_column(self, k: int, b: int) -> Matrix:
        """Covariance of log L_bb and of L_ab, a > b: a multiple of the chi variable, and a normal part."""
        root, shape, chi = self.roots[k], self.shapes[k, b], self._chi[:, k, b]
        below, rest = root[b + 1 :, b], root[b + 1 :, b + 1 :]
        found = np.empty((self.d - b, self.d - b))
        found[0, 0] = 0.25 * special.polygamma(1, 0.5 * shape)
        with_log = 0.5 * chi[1] * (special.digamma(0.5 * shape + 0.5) - special.digamma(0.5 * shape))
        found[0, 1:] = found[1:, 0] = below * with_log
        found[1:, 1:] = np.outer(below, below) * (chi[2] - chi[1] ** 2) + rest @ rest.T
        return found

    def third_and_fourth(self) -> tuple[Vector, Vector]:
        """(dim,) marginal central moments, NaN where there are none."""
        d, variance = self.d, np.diagonal(self._covariance)
        third, excess = np.zeros((self.components, size(d))), np.zeros((self.components, size(d)))
        total = self.concentration.sum()
        for found, order in ((third, 2), (excess, 3)):
            found[:, 0] = special.polygamma(order, self.concentration)
            found[:, 0] += special.polygamma(order, self.amount) - special.polygamma(order, total)
        tails = self.degrees_of_freedom - d + 1 - 4.0
        spread = variance.reshape(self.components, -1)[:, 1 : 1 + d]
        excess[:, 1 : 1 + d] = np.where(tails > 0, 6.0 / tails, np.nan)[:, None] * spread**2
        chi = self._chi
        of_third = chi[3] - 3 * chi[2] * chi[1] + 2 * chi[1] ** 3
        of_fourth = chi[4] - 4 * chi[3] * chi[1] - 3 * chi[2] ** 2 + 12 * chi[2] * chi[1] ** 2 - 6 * chi[1] ** 4
        for column, (a, b) in enumerate(zip(*np.tril_indices(d), strict=True)):
            if a == b:
                third[:, 1 + d + column] = 0.125 * special.polygamma(2, 0.5 * self.shapes[:, b])
                excess[:, 1 + d + column] = 0.0625 * special.polygamma(3, 0.5 * self.shapes[:, b])
            else:
                third[:, 1 + d + column] = self.roots[:, a, b] ** 3 * of_third[:, b]
                excess[:, 1 + d + column] = self.roots[:, a, b] ** 4 * of_fourth[:, b]
        return third.ravel(), excess.ravel() + 3 * variance**2

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim), by quadrature where there is no closed form."""
        p, d = np.asarray(probabilities, dtype=np.float64)[:, None], self.d
        found = np.empty((len(p), self.components, size(d)))
        found[:, :, 0] = self._quantiles_of_log_g(p)
        df = self.degrees_of_freedom - d + 1
        scales = np.sqrt(np.diagonal(self.scale, axis1=1, axis2=2) / (self.mean_precision * df)[:, None])
        found[:, :, 1 : 1 + d] = self.centres + scales * special.stdtrit(df, p)[:, :, None]
        for column, (a, b) in enumerate(zip(*np.tril_indices(d), strict=True)):
            half = 0.5 * self.shapes[:, b]
            if a == b:
                value = np.log(self.roots[:, a, a]) + 0.5 * np.log(2 * special.gammaincinv(half, p))
            else:
                sd = np.linalg.norm(self.roots[:, a, b + 1 : a + 1], axis=1)
                multiple = self.roots[:, a, b] * np.sqrt(2 * gamma_nodes(half))
                value = of_sum(p, multiple, lambda y, sd=sd: special.ndtr(y / sd))  # type: ignore[misc]
            found[:, :, 1 + d + column] = value
        return found.reshape(len(p), -1)

    def _quantiles_of_log_g(self, p: Matrix) -> Matrix:
        """Those of log weight + log gamma variable."""
        if self.components == 1:
            return np.asarray(np.log(special.gammaincinv(self.amount, p)))
        nodes = np.log(np.maximum(gamma_nodes(np.full(self.components, self.amount)), 1e-300))
        rest = self.concentration.sum() - self.concentration
        first = self.concentration
        return of_sum(p, nodes, lambda y: np.asarray(special.betainc(first, rest, np.exp(np.minimum(y, 0.0)))))
