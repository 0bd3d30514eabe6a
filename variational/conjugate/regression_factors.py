"""The factors of q for a linear regression, and the bound after each sweep: Bishop 2006, 10.3, with unknown noise.

Every sweep sets q(coef), and then q(noise precision) and q(precision), each to its optimum. The gamma factors being
optimal, the digammas of the bound cancel, and what is left of a gamma factor is

    a0 log b0 - log Gamma(a0) + log Gamma(a) - a log b                                                     (evidence)
"""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import lapack, solve_triangular
from scipy.special import gammaln

from targets.conjugate.least_squares import Spectrum, Triangle, spectrum
from targets.conjugate.regression import RegressionPrior
from targets.kernel import Matrix, Vector
from variational.conjugate.extrapolation import Path
from variational.conjugate.regression_spread import Along, Dense

LARGEST = 300.0  # logarithm of a precision that an ascent may start from
WELL = 1e-4  # the least share of a pivot, or of a variance, that a difference may leave
_LOG_2PI = math.log(2 * math.pi)


def gamma_evidence(shape: float, rate: float, posterior_shape: float, posterior_rate: Vector | float) -> float:
    """What optimal gamma factors bring to a bound, summed over their rates; see the module."""
    rates = np.atleast_1d(posterior_rate)
    each = shape * math.log(rate) - gammaln(shape) + gammaln(posterior_shape)
    return float(len(rates) * each - posterior_shape * np.log(rates).sum())


@dataclass(eq=False)
class Joint:
    """The normal-gamma prior: q(coef, noise precision) is the posterior itself, and the bound the log evidence.

    The sweep still computes the bound, as E log p - E log q, from what q is; see `bound`.
    """

    data: Triangle
    prior: RegressionPrior
    parts: Spectrum = field(init=False)

    def __post_init__(self) -> None:
        self.parts = spectrum(self.data)

    def sweep(self) -> float:
        """The posterior, and the bound."""
        prior, parts = self.prior, self.parts
        inverse = 1.0 / (prior.ratio + parts.singular**2)
        along = parts.singular * parts.response * inverse
        self.coef: Vector = along @ parts.basis
        self.spread = Along(parts.basis, inverse, 1.0 / prior.ratio)  # times the variance of the noise
        residual = parts.rest + float(((parts.response - parts.singular * along) ** 2).sum())
        self.noise_shape = prior.noise_shape + 0.5 * self.data.free
        self.noise_rate = prior.noise_rate + 0.5 * (residual + prior.ratio * float(along @ along))
        return self.bound()

    def bound(self) -> float:
        """E log p(y, coef, precision) - E log q(coef, precision).

        Given the noise precision, the divergence of q(coef | precision) from its prior and the expected log likelihood
        are averaged over their own variances, and the gamma factor is what is left.
        """
        prior, parts = self.prior, self.parts
        shrunk = prior.ratio * self.spread.within  # the variance's share of the prior's
        spent = float((parts.singular**2 * self.spread.within).sum() + (shrunk - 1.0).sum())  # zero but for rounding
        level = -0.5 * self.data.free * _LOG_2PI + 0.5 * float(np.log(shrunk).sum()) - 0.5 * spent
        of_noise = gamma_evidence(prior.noise_shape, prior.noise_rate, self.noise_shape, self.noise_rate)
        return float(level + _flat(self.data) + of_noise)


@dataclass(eq=False)
class Shared:
    """One precision of all coefficients, q(coef) q(noise precision) q(precision): a sweep is linear in the columns."""

    data: Triangle
    prior: RegressionPrior
    parts: Spectrum = field(init=False)
    spread: Along = field(init=False)

    def __post_init__(self) -> None:
        self.parts = spectrum(self.data)
        self.noise, self.precision = start(self.data)
        self.path, self.reached = Path(), -math.inf
        self.squares = self.parts.singular**2
        self.pulls = self.parts.singular * self.parts.response

    def sweep(self) -> float:
        """Set every factor; the bound. Every third sweep starts further along, where that raises the bound."""
        here = self.noise, self.precision
        there = self.path.further(np.log(here))
        if there is not None:
            self.noise, self.precision = np.exp(np.clip(there, -LARGEST, LARGEST)).tolist()
            if (bound := self._swept()) > self.reached:
                self.reached = bound
                return bound
            self.noise, self.precision = here
        self.reached = self._swept()
        return self.reached

    def _swept(self) -> float:
        prior, parts = self.prior, self.parts
        n, p = self.data.free, parts.basis.shape[1]
        left = p - len(parts.singular)  # directions in which no row differs
        variance = 1.0 / (self.precision + self.noise * self.squares)
        self.along = self.noise * self.pulls * variance
        residuals = parts.response - parts.singular * self.along
        error = parts.rest + float(residuals @ residuals + self.squares @ variance)
        size = float(self.along @ self.along + variance.sum()) + left / self.precision
        self.spread = Along(parts.basis, variance, 1.0 / self.precision)
        level = 0.5 * float(np.log(variance).sum()) - 0.5 * left * math.log(self.precision)
        self.noise_shape, self.noise_rate = prior.noise_shape + 0.5 * n, prior.noise_rate + 0.5 * error
        self.shape, self.rate = prior.shape + 0.5 * p, prior.rate + 0.5 * size
        self.noise, self.precision = self.noise_shape / self.noise_rate, self.shape / self.rate
        return float(
            _flat(self.data) - 0.5 * n * _LOG_2PI + 0.5 * p + level
            + gamma_evidence(prior.noise_shape, prior.noise_rate, self.noise_shape, self.noise_rate)
            + gamma_evidence(prior.shape, prior.rate, self.shape, self.rate)
        )  # fmt: skip

    @property
    def coef(self) -> Vector:
        """(p,) means."""
        return np.asarray(self.along @ self.parts.basis)


@dataclass(eq=False)
class Relevance:
    """A precision for every coefficient: q(coef) dense, q(noise precision), and a factor for each precision.

    A sweep solves for the smaller of columns and rows, k: k^3. Where `most` is given, coefficients whose precision is
    expected above it are left out from then on, and the bound is that of the model without them.
    """

    data: Triangle
    prior: RegressionPrior
    most: float = math.inf

    def __post_init__(self) -> None:
        self.dim = self.data.factor.shape[1] - 1
        self.places = np.arange(self.dim)
        self.mean: Vector = np.zeros(self.dim)
        self.matrix: Matrix = np.empty((0, 0))
        self.noise, level = start(self.data)
        self.precision = np.full(self.dim, level)
        self._keep()

    def _keep(self) -> None:
        self.path, self.reached = Path(), -math.inf
        self.factor = np.ascontiguousarray(self.data.factor[:, self.places])
        self.response = np.ascontiguousarray(self.data.factor[:, -1])
        self.tall = len(self.factor) >= len(self.places)
        self.scatter = self.factor.T @ self.factor if self.tall else np.empty((0, 0))
        self.pulls = self.factor.T @ self.response

    def sweep(self) -> float:
        """Set every factor; the bound. Every third sweep starts further along, where that raises the bound."""
        if (self.precision > self.most).any():
            keep = self.precision <= self.most
            self.places, self.precision = self.places[keep], self.precision[keep]
            self._keep()
        here = self.noise, self.precision
        there = self.path.further(np.log([self.noise, *self.precision]))
        if there is not None:
            there = np.exp(np.clip(there, -LARGEST, LARGEST))
            self.noise, self.precision = float(there[0]), there[1:]
            if (bound := self._swept()) > self.reached:
                self.reached = bound
                return bound
            self.noise, self.precision = here
        self.reached = self._swept()
        return self.reached

    def _swept(self) -> float:
        prior, n, k = self.prior, self.data.free, len(self.places)
        width = 1.0 / np.sqrt(self.precision)
        solved = (self._columns if self.tall else self._rows)(width) or self._spectral(width)
        variance, log_volume, error = solved
        residuals = self.response - self.factor @ self.mean
        error += float(residuals @ residuals)
        self.noise_shape, self.noise_rate = prior.noise_shape + 0.5 * n, prior.noise_rate + 0.5 * error
        self.shape, self.rates = prior.shape + 0.5, prior.rate + 0.5 * (self.mean**2 + variance)
        self.noise, self.precision = self.noise_shape / self.noise_rate, self.shape / self.rates
        return (
            _flat(self.data) - 0.5 * n * _LOG_2PI + 0.5 * k + 0.5 * log_volume
            + gamma_evidence(prior.noise_shape, prior.noise_rate, self.noise_shape, self.noise_rate)
            + (gamma_evidence(prior.shape, prior.rate, self.shape, self.rates) if k else 0.0)
        )  # fmt: skip

    def _columns(self, width: Vector) -> tuple[Vector, float, float] | None:
        """Variances, log volume and the trace of X Sigma X'; None where digits would be lost.

        The precision is written D^-1 (I + noise D X'X D) D^-1, whose middle has no eigenvalue below one.
        """
        if not len(width):  # all were left out
            self.mean, self.matrix = np.empty(0), np.empty((0, 0))
            return np.empty(0), 0.0, 0.0
        middle = self.noise * (self.scatter * width) * width[:, None]
        middle[np.diag_indices_from(middle)] += 1.0
        lower, failed = lapack.dpotrf(middle, lower=1)
        if failed or (np.diagonal(lower) ** 2 < WELL * np.diagonal(middle)).any():
            return None
        inverse, _ = lapack.dpotri(lower, lower=1)
        inverse = np.tril(inverse)
        variances = np.diagonal(inverse) * width**2
        inverse = inverse + np.tril(inverse, -1).T
        self.matrix = inverse * width * width[:, None]
        self.mean = self.noise * (self.matrix @ self.pulls)
        log_volume = 2.0 * float(np.log(width).sum() - np.log(np.diagonal(lower)).sum())
        return variances, log_volume, float(np.einsum("ij,ij->", self.scatter, self.matrix))

    def _rows(self, width: Vector) -> tuple[Vector, float, float] | None:
        """The same for fewer rows than columns, by Woodbury's identity: I + noise X D^2 X' in the middle."""
        scaled = self.factor * width
        middle = self.noise * (scaled @ scaled.T)
        middle[np.diag_indices_from(middle)] += 1.0
        lower, failed = lapack.dpotrf(middle, lower=1)
        if failed or (np.diagonal(lower) ** 2 < WELL * np.diagonal(middle)).any():
            return None
        half = np.asarray(solve_triangular(lower, scaled, lower=True))
        left = 1.0 - self.noise * np.einsum("ij,ij->j", half, half)
        if (left < WELL).any():
            return None
        solved = solve_triangular(lower, self.response, lower=True)
        self.mean = self.noise * width * (half.T @ solved)
        self.matrix = np.empty((0, 0))
        self.reduced = half, width, self.noise
        log_volume = 2.0 * float(np.log(width).sum() - np.log(np.diagonal(lower)).sum())
        inverse = solve_triangular(lower, np.eye(len(lower)), lower=True)
        # trace of X Sigma X' = (k - trace of the middle's inverse) / noise
        return width**2 * left, log_volume, (len(lower) - float(np.square(inverse).sum())) / self.noise

    def _spectral(self, width: Vector) -> tuple[Vector, float, float]:
        """The same by singular values, slower and whatever the columns: collinear ones under a vague prior."""
        left, singular, right = np.linalg.svd(math.sqrt(self.noise) * self.factor * width)
        small, along = len(singular), 1.0 + singular**2
        inverse = np.ones(len(width))
        inverse[:small] = 1.0 / along
        pulls = (singular / along) * (left[:, :small].T @ self.response)
        self.mean = math.sqrt(self.noise) * width * (right[:small].T @ pulls)
        self.matrix = ((right.T * inverse) @ right) * width * width[:, None]
        log_volume = 2.0 * float(np.log(width).sum()) - float(np.log(along).sum())
        return np.diagonal(self.matrix).copy(), log_volume, float((singular**2 / along).sum()) / self.noise

    @property
    def spread(self) -> Dense:
        """The covariance of the coefficients that are kept."""
        if not self.matrix.size and len(self.places):
            half, width, noise = self.reduced
            inner = -noise * (half.T @ half)
            inner[np.diag_indices_from(inner)] += 1.0
            return Dense(self.places, inner * width * width[:, None], self.dim)
        return Dense(self.places, self.matrix, self.dim)

    @property
    def coef(self) -> Vector:
        """(p,) means, zero where a coefficient was left out."""
        full = np.zeros(self.dim)
        full[self.places] = self.mean
        return full


def start(data: Triangle) -> tuple[float, float]:
    """Precisions to start from: noise as wide as the response, coefficients that would make it as wide."""
    squares = np.square(data.factor).sum(axis=0) / max(data.free, 1)
    noise = 1.0 / squares[-1] if squares[-1] > 0 else 1.0
    precision = noise * squares[:-1].sum()
    return float(noise), float(precision) if precision > 0 else 1.0


def _flat(data: Triangle) -> float:
    """Of the intercept, integrated over its flat prior."""
    return 0.0 if data.mean is None else -0.5 * math.log(data.n)
