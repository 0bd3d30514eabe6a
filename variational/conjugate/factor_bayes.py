"""Variational Bayesian factor analysis: q(z) q(loadings) q(noise precisions) q(precisions) (Bishop 1999).

Given E precision = diag(D) and the second moment S of z, the covariances of all rows of the loadings have one basis:
with D^-1/2 S D^-1/2 = U diag(values) U' and P = D^-1/2 U, that of row j is P diag(1 / (1 + E noise_precision_j values))
P'. A sweep costs one decomposition of that size, and no row costs one of its own.

A sweep ends with a change of basis of z, z -> R z and loadings -> loadings R^-1, under which the likelihood stays and
only the divergences from the priors change (Luttinen and Ilin 2010). R makes the second moment of z the identity and
that of the loadings diagonal, and is kept where it raises the bound.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve

from targets.conjugate.factor import FactorPrior
from targets.conjugate.least_squares import Triangle
from targets.kernel import Matrix, Vector
from variational.conjugate.regression_factors import gamma_evidence

_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(eq=False)
class BayesianFactors:
    """The factors of q, from loadings (d, K) and variances of noise (d,) to start from.

    Attributes:
        mean: (d, K) of the loadings.
        noise: (d,) expected precisions of the noise, all the same where it is isotropic.
        precision: (K,) expected.
    """

    data: Triangle
    prior: FactorPrior
    mean: Matrix
    noise: Vector
    turn: bool = True

    def __post_init__(self) -> None:
        d, k = self.mean.shape
        self.basis: Matrix = np.zeros((k, k))  # P of the module
        self.values: Vector = np.ones(k)
        self.precision: Vector = d / np.maximum(np.square(self.mean).sum(axis=0), 1e-6 * d * (1.0 / self.noise).mean())
        self.free = self.data.free
        self.shrunk: Matrix = 1.0 / (1.0 + self.noise[:, None] * self.values)

    def sweep(self) -> float:
        """Set every factor; the bound."""
        self._factors()
        self._loadings()
        self._noises()
        self._precisions(self._loadings_moment())
        if self.turn:
            self._turn()
        return self.bound()

    def _factors(self) -> None:
        """q(z): `scores` (k, K) are the means of the rows of the triangle."""
        scaled = self.mean * self.noise[:, None]
        spread = (self.basis * (self.noise @ self.shrunk)) @ self.basis.T
        precision = self.mean.T @ scaled + spread
        precision[np.diag_indices_from(precision)] += 1.0
        lower = np.linalg.cholesky(precision)
        self.covariance: Matrix = cho_solve((lower, True), np.eye(len(lower)))
        self.projection: Matrix = scaled @ self.covariance  # (d, K): rows times it are the means of their z
        self.scores: Matrix = self.data.factor @ self.projection
        self.moment: Matrix = self.scores.T @ self.scores + self.free * self.covariance
        self.log_volume = -2.0 * float(np.log(np.diagonal(lower)).sum())

    def _loadings(self) -> None:
        width = 1.0 / np.sqrt(self.precision)
        values, vectors = np.linalg.eigh(self.moment * width * width[:, None])
        self.values = np.maximum(values, 0.0)
        self.basis = vectors * width[:, None]
        self.shrunk = 1.0 / (1.0 + self.noise[:, None] * self.values)
        along = (self.data.factor.T @ (self.scores @ self.basis)) * self.shrunk * self.noise[:, None]
        self.mean = along @ self.basis.T
        self.log_volumes = float(np.log(self.shrunk).sum() + 2.0 * len(self.mean) * np.log(width).sum())

    def _noises(self) -> None:
        """q(noise precisions), by what each column is expected to be missed by."""
        residual = self.data.factor - self.scores @ self.mean.T
        error = np.square(residual).sum(axis=0) + self.shrunk @ self.values
        error += self.free * np.einsum("ij,ij->i", self.mean @ self.covariance, self.mean)
        prior, columns = self.prior, len(error)
        if prior.noise == "isotropic":
            self.noise_shape = prior.noise_shape + 0.5 * self.free * columns
            self.noise_rates: Vector = prior.noise_rate + 0.5 * error.sum(keepdims=True)
        else:
            self.noise_shape = prior.noise_shape + 0.5 * self.free
            self.noise_rates = prior.noise_rate + 0.5 * error
        self.noise = np.full(columns, self.noise_shape / self.noise_rates)

    def _loadings_moment(self) -> Matrix:
        """(K, K) E loadings' loadings."""
        return np.asarray(self.mean.T @ self.mean + (self.basis * self.shrunk.sum(axis=0)) @ self.basis.T)

    def _precisions(self, moment: Matrix) -> None:
        self.shape = self.prior.shape + 0.5 * len(self.mean)
        self.rates: Vector = self.prior.rate + 0.5 * np.diagonal(moment)
        self.precision = self.shape / self.rates

    def _turn(self) -> None:
        """The change of basis of the module, where it gains."""
        if self.free == 0:
            return
        lower = np.linalg.cholesky(self.moment / self.free)
        loadings = self._loadings_moment()
        values, vectors = np.linalg.eigh(lower.T @ loadings @ lower)
        back = lower @ vectors[:, ::-1]  # R^-1
        turned = np.maximum(values[::-1], 0.0)  # E loadings' loadings behind it, diagonal
        d, log_turn = len(self.mean), -float(np.log(np.diagonal(lower)).sum())
        gain = 0.5 * (float(np.trace(self.moment)) - self.free * len(lower)) + (self.free - d) * log_turn
        gain -= self.shape * float(np.log((self.prior.rate + 0.5 * turned) / self.rates).sum())
        if not gain > 0:
            return
        inverse = np.linalg.inv(back)
        self.mean, self.basis = self.mean @ back, back.T @ self.basis
        self.scores, self.projection = self.scores @ inverse.T, self.projection @ inverse.T
        self.moment = self.free * np.eye(len(lower))
        self.covariance = inverse @ self.covariance @ inverse.T
        self.log_volume += 2.0 * log_turn
        self.log_volumes -= 2.0 * d * log_turn
        self._precisions(np.diag(turned))

    def bound(self) -> float:
        """E log p(data, z, loadings, precisions) - E log q, in nats, with every constant."""
        prior, (d, k) = self.prior, self.mean.shape
        level = -0.5 * self.free * d * _LOG_2PI
        level -= 0.0 if self.data.mean is None else 0.5 * d * float(np.log(self.data.n))
        of_z = 0.5 * (self.free * (k + self.log_volume) - float(np.trace(self.moment)))
        of_loadings = 0.5 * (d * k + self.log_volumes)
        of_noise = gamma_evidence(prior.noise_shape, prior.noise_rate, self.noise_shape, self.noise_rates)
        of_precisions = gamma_evidence(prior.shape, prior.rate, self.shape, self.rates)
        return float(level + of_z + of_loadings + of_noise + of_precisions)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, Matrix, Matrix]:
        """From q: loadings (n, d, K), noise precisions (n, d) and precisions (n, K)."""
        deviation = rng.standard_normal((n, *self.mean.shape)) * np.sqrt(self.shrunk)
        noise = rng.standard_gamma(self.noise_shape, (n, len(self.noise_rates))) / self.noise_rates
        precision = rng.standard_gamma(self.shape, (n, len(self.rates))) / self.rates
        return self.mean + deviation @ self.basis.T, np.broadcast_to(noise, (n, len(self.mean))), precision

    def covariance_of_rows(self) -> Matrix:
        """(d, d) E loadings loadings' + E noise variance, infinite where q has none."""
        within = self.shrunk @ np.square(self.basis).sum(axis=0)
        variance = self.noise_rates / (self.noise_shape - 1.0) if self.noise_shape > 1.0 else np.array([np.inf])
        return np.asarray(self.mean @ self.mean.T + np.diag(within + variance))
