"""Bayesian linear regression with known noise: a Gaussian posterior, with evidence, bound and divergence known apart.

y = X w + noise, noise ~ N(0, noise_sd^2), w ~ N(0, prior_sd^2) (Bishop 2006, 3.3 and 3.5).
"""

import math
from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix, Vector, data_matrix, kernel
from targets.target import GaussianStructure, Target
from targets.truth import Certificate, Moments, Truth
from variational.gaussian import LOG_TWO_PI, Gaussian


@kernel
def joint(x, gradient, data):  # type: ignore[no-untyped-def]
    """Log joint density of y and w. A row an observation, inputs then y; the last row starts with both precisions."""
    dim, n = x.shape[0], data.shape[0] - 1
    noise, prior = data[n, 0], data[n, 1]
    total = 0.5 * (n * math.log(noise) + dim * math.log(prior) - (n + dim) * math.log(2.0 * math.pi))
    for j in range(dim):
        gradient[j] = -prior * x[j]
        total -= 0.5 * prior * x[j] * x[j]
    for i in range(n):
        residual = data[i, dim]
        for j in range(dim):
            residual -= data[i, j] * x[j]
        total -= 0.5 * noise * residual * residual
        for j in range(dim):
            gradient[j] += noise * residual * data[i, j]
    return total


@dataclass(frozen=True)
class Regression:
    """The model with its data: inputs (n, dim) and outputs (n,)."""

    inputs: Matrix
    outputs: Vector
    noise_sd: float
    prior_sd: float

    @property
    def precision(self) -> Matrix:
        """(dim, dim) of the posterior."""
        dim = self.inputs.shape[1]
        return np.asarray(self.inputs.T @ self.inputs / self.noise_sd**2 + np.eye(dim) / self.prior_sd**2)

    @property
    def mean(self) -> Vector:
        """(dim,) of the posterior."""
        return np.asarray(np.linalg.solve(self.precision, self.inputs.T @ self.outputs / self.noise_sd**2))

    @property
    def log_evidence(self) -> float:
        """Log density of y under N(0, noise_sd^2 I + prior_sd^2 X X^T): it knows nothing of the posterior."""
        n = len(self.outputs)
        covariance = self.noise_sd**2 * np.eye(n) + self.prior_sd**2 * self.inputs @ self.inputs.T
        quadratic = float(self.outputs @ np.linalg.solve(covariance, self.outputs))
        return -0.5 * (n * LOG_TWO_PI + float(np.linalg.slogdet(covariance)[1]) + quadratic)

    def elbo(self, q: Gaussian) -> float:
        """E_q log p(y, w) + entropy of q, term by term: no evidence and no divergence enters."""
        n, dim = self.inputs.shape
        residual = self.outputs - self.inputs @ q.mean
        misfit = float(residual @ residual + np.einsum("ni,ij,nj->", self.inputs, q.covariance, self.inputs))
        size = float(q.mean @ q.mean + q.variance.sum())
        likelihood = -0.5 * (n * (LOG_TWO_PI + 2 * math.log(self.noise_sd)) + misfit / self.noise_sd**2)
        prior = -0.5 * (dim * (LOG_TWO_PI + 2 * math.log(self.prior_sd)) + size / self.prior_sd**2)
        return float(likelihood + prior + q.entropy)

    def target(self) -> Target:
        """The posterior, known up to its evidence."""
        n, dim = self.inputs.shape
        rows = np.zeros((n + 1, max(dim + 1, 2)))
        rows[:n, :dim], rows[:n, dim] = self.inputs, self.outputs
        rows[n, :2] = self.noise_sd**-2, self.prior_sd**-2
        covariance = np.asarray(np.linalg.inv(self.precision), dtype=np.float64)
        return Target(
            name="linear_regression",
            dim=dim,
            log_density_and_gradient=joint,
            data=data_matrix(rows),
            truth=Truth(
                Moments.gaussian(self.mean, covariance), Certificate("closed form"), log_normaliser=self.log_evidence
            ),
            gaussian=GaussianStructure(self.mean, self.precision),
        )


def simulate(n: int, dim: int, correlation: float, seed: int) -> Regression:
    """Inputs from an equicorrelated Gaussian, coefficients from the prior, unit noise."""
    rng = np.random.default_rng(seed)
    factor = np.linalg.cholesky(np.full((dim, dim), correlation) + (1 - correlation) * np.eye(dim))
    inputs = rng.standard_normal((n, dim)) @ factor.T
    outputs = inputs @ rng.standard_normal(dim) + rng.standard_normal(n)
    return Regression(inputs, outputs, noise_sd=1.0, prior_sd=1.0)
