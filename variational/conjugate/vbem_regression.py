"""VB-EM of a linear regression in a target's coordinates: log noise precision, coefficients, log precisions."""

import copy
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv, gammaln, ndtri, polygamma, psi, stdtrit

from targets.conjugate.least_squares import triangle
from targets.conjugate.regression import LinearRegression
from targets.kernel import Matrix, Vector
from variational.conjugate.regression_factors import Joint, Relevance, Shared

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class RegressionBelief:
    """q of the coordinates of the module.

    Attributes:
        coef: (p,) means.
        spread: (p, p) the coefficients' covariance, in units of the noise's variance where q is `joint`.
        shapes, rates: (1 + m,) of the gamma laws of the noise precision, and of the m precisions.
        joint: whether the coefficients depend on the noise precision.
    """

    coef: Vector
    spread: Matrix
    shapes: Vector
    rates: Vector
    joint: bool

    @property
    def mean(self) -> Vector:
        """(dim,)."""
        logs = psi(self.shapes) - np.log(self.rates)
        return np.concatenate([logs[:1], self.coef, logs[1:]])

    @property
    def covariance(self) -> Matrix:
        """(dim, dim)."""
        p = len(self.coef)
        full = np.zeros((p + len(self.shapes), p + len(self.shapes)))
        ends = [0, *range(1 + p, len(full))]
        full[ends, ends] = polygamma(1, self.shapes)
        full[1 : 1 + p, 1 : 1 + p] = self.spread
        if self.joint:
            full[1 : 1 + p, 1 : 1 + p] *= self.rates[0] / (self.shapes[0] - 1.0) if self.shapes[0] > 1.0 else math.inf
        return full

    def quantiles(self, probabilities: Vector) -> Matrix:
        """(len(probabilities), dim)."""
        with np.errstate(divide="ignore"):
            logs = np.log(gammaincinv(self.shapes, probabilities[:, None])) - np.log(self.rates)
        sd = np.sqrt(np.diagonal(self.spread))
        if self.joint:
            scale = math.sqrt(self.rates[0] / self.shapes[0])
            coef = self.coef + scale * sd * stdtrit(2.0 * self.shapes[0], probabilities)[:, None]
        else:
            coef = self.coef + sd * ndtri(probabilities)[:, None]
        return np.hstack([logs[:, :1], coef, logs[:, 1:]])

    def sample(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, dim)."""
        drawn = rng.standard_gamma(self.shapes, (n, len(self.shapes))) / self.rates
        deviation = rng.standard_normal((n, len(self.coef))) @ np.linalg.cholesky(self.spread).T
        if self.joint:
            deviation /= np.sqrt(drawn[:, :1])
        logs = np.log(drawn)
        return np.hstack([logs[:, :1], self.coef + deviation, logs[:, 1:]])

    def log_density(self, x: Matrix) -> Vector:
        """(n,)."""
        p = len(self.coef)
        logs = np.hstack([x[:, :1], x[:, 1 + p :]])
        gammas = self.shapes * (np.log(self.rates) + logs) - self.rates * np.exp(logs) - gammaln(self.shapes)
        lower = np.linalg.cholesky(self.spread)
        whitened = np.linalg.solve(lower, (x[:, 1 : 1 + p] - self.coef).T)
        squares = np.square(whitened).sum(axis=0)
        volume = np.full(len(x), 2.0 * float(np.log(np.diagonal(lower)).sum()))
        if self.joint:
            squares, volume = squares * np.exp(x[:, 0]), volume - p * x[:, 0]
        return np.asarray(gammas.sum(axis=1) - 0.5 * (p * _LOG_2PI + volume + squares))


class RegressionUpdates:
    """See `variational.conjugate.vbem.Updates`; the start is the same whatever the generator."""

    def __init__(self, model: LinearRegression, data: Matrix, rng: np.random.Generator) -> None:  # noqa: ARG002
        reduced = triangle(np.asarray(data), centred=model.intercept)
        kinds: dict[str, type[Joint | Shared | Relevance]] = {"ratio": Joint, "shared": Shared, "ard": Relevance}
        self.factors: Joint | Shared | Relevance = kinds[model.prior.kind](reduced, model.prior)
        self.begun = False

    def sweep(self) -> float:
        """Update every factor; the bound."""
        self.begun = True
        return self.factors.sweep()

    def approximation(self) -> RegressionBelief:
        """That of the last sweep; before the first, what that will come to."""
        factors = self.factors
        if not self.begun:
            factors = copy.deepcopy(factors)
            factors.sweep()
        noise = factors.noise_shape, factors.noise_rate
        if isinstance(factors, Joint):
            shapes, rates = np.array(noise[:1]), np.array(noise[1:])
        elif isinstance(factors, Shared):
            shapes, rates = np.array([noise[0], factors.shape]), np.array([noise[1], factors.rate])
        else:
            rates = np.concatenate([[noise[1]], factors.rates])
            shapes = np.concatenate([[noise[0]], np.full(len(factors.rates), factors.shape)])
        return RegressionBelief(
            factors.coef, factors.spread.covariance(), shapes, rates, joint=isinstance(factors, Joint)
        )


def compile_sweeps() -> None:
    """Nothing is compiled."""
