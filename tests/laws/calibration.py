"""Simulation-based calibration of samplers on a conjugate model (Talts et al. 2018, arXiv:1804.06788).

Draw theta from the prior and data given theta; sample the posterior; rank theta among L draws of it, thinned to near
independence. If the sampler is right, ranks are uniform: `targets.uniformity` has the tests. The quantities are each
parameter and the log likelihood, which sees the data (Modrak et al. 2023, arXiv:2211.02383).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from targets.kernel import data_matrix, density, kernel
from targets.target import Generative, Rows, Target
from targets.uniformity import ranks

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def prior_sd(dim: int) -> np.ndarray:
    """(dim,) 1, 2, 3, ...: what the kernels below assume."""
    return 1.0 + np.arange(dim)


@kernel
def prior(x, gradient, data):
    """N(0, (1 + i)^2) for coordinate i; reads no data."""
    total = 0.0
    for i in range(x.shape[0]):
        scaled = x[i] / (1.0 + i)
        gradient[i] = -scaled / (1.0 + i)
        total += 0.5 * scaled * scaled + math.log(1.0 + i)
    return -total - x.shape[0] * _HALF_LOG_2PI


@kernel
def likelihood(x, gradient, data):
    """Columns: covariates, then the response, all divided by the sd of the noise; constants are left out."""
    dim = x.shape[0]
    total = 0.0
    for i in range(dim):
        gradient[i] = 0.0
    for row in range(data.shape[0]):
        residual = data[row, dim]
        for i in range(dim):
            residual -= data[row, i] * x[i]
        total += residual * residual
        for i in range(dim):
            gradient[i] += residual * data[row, i]
    return -0.5 * total


@kernel
def posterior(x, gradient, data):
    """Columns: as `likelihood`."""
    value = likelihood(x, gradient, data)
    for i in range(x.shape[0]):
        scaled = x[i] / (1.0 + i)
        gradient[i] -= scaled / (1.0 + i)
        value -= 0.5 * scaled * scaled + math.log(1.0 + i) + _HALF_LOG_2PI
    return value


@density
def posterior_density(x, data):
    """As `posterior`, without gradient."""
    value = 0.0
    for row in range(data.shape[0]):
        residual = data[row, x.shape[0]]
        for i in range(x.shape[0]):
            residual -= data[row, i] * x[i]
        value -= 0.5 * residual * residual
    for i in range(x.shape[0]):
        scaled = x[i] / (1.0 + i)
        value -= 0.5 * scaled * scaled + math.log(1.0 + i) + _HALF_LOG_2PI
    return value


@dataclass(frozen=True)
class Regression:
    """theta_i ~ N(0, (1 + i)^2), y ~ N(design theta, noise^2): the answer is a Gaussian.

    Attributes:
        design: (n, dim).
        noise: sd.
    """

    design: np.ndarray
    noise: float

    @property
    def dim(self) -> int:
        return self.design.shape[1]

    def simulate(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Parameters (dim,) from the prior, and data (n,) given them."""
        theta = prior_sd(self.dim) * rng.standard_normal(self.dim)
        return theta, self.design @ theta + self.noise * rng.standard_normal(len(self.design))

    def target(self, y: np.ndarray) -> Target:
        """The posterior given data (n,)."""

        def rows(y: np.ndarray) -> np.ndarray:
            return data_matrix(np.column_stack([self.design, y]) / self.noise)

        return Target(
            "regression",
            self.dim,
            posterior,
            rows(y),
            log_density=posterior_density,
            rows=Rows(prior, likelihood),
            generative=Generative(
                lambda rng: prior_sd(self.dim) * rng.standard_normal(self.dim),
                lambda rng, x: rows(self.design @ x + self.noise * rng.standard_normal(len(self.design))),
                rows(y)[:0],
            ),
        )

    def answer(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (dim,) and covariance (dim, dim) of the posterior given data (n,)."""
        precision = self.design.T @ self.design / self.noise**2 + np.diag(prior_sd(self.dim) ** -2)
        covariance = np.linalg.inv(precision)
        return covariance @ self.design.T @ y / self.noise**2, covariance

    def quantities(self, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Parameters and log likelihood at theta (..., dim): (..., dim + 1)."""
        fit = -0.5 * np.sum((y - theta @ self.design.T) ** 2, axis=-1) / self.noise**2
        return np.concatenate([theta, fit[..., None]], axis=-1)


Sampler = Callable[[Regression, np.ndarray, int], np.ndarray]  # model, data (n,), seed -> draws (L, dim)


def calibrate(model: Regression, sampler: Sampler, replications: int, seed: int) -> np.ndarray:
    """(replications, dim + 1) ranks of prior draws among posterior draws, as numbers in (0, 1)."""
    found = np.empty((replications, model.dim + 1))
    for r in range(replications):
        rng = np.random.default_rng([seed, r])
        theta, y = model.simulate(rng)
        draws = sampler(model, y, int(rng.integers(2**31)))
        found[r] = ranks(model.quantities(theta, y), model.quantities(draws, y), rng)
    return found
