"""Simulation-based calibration on a conjugate model (Talts, Betancourt, Simpson, Vehtari & Gelman 2018).

Draw theta from the prior and data given theta; sample the posterior; rank theta among L draws of it, thinned to near
independence. If the sampler is right, ranks are uniform. `calibrate` does this many times, and `alarms` says which of
its tests reject. (arXiv:1804.06788)

Ranks become u = (rank + U(0, 1)) / (L + 1), which is uniform on (0, 1) exactly where the draws are independent and from
the posterior. Of each quantity three tests are made, each with an exact level:

- mean: the mean of the normal scores Phi^-1(u), against the normal distribution;
- spread: the sum of their squares, against chi-squared;
- shape: the whole distribution of u against a band that it leaves nowhere with probability 1 - level (Saeilynoja,
  Buerkner & Vehtari 2022, section 2.2; the level is found exactly by their recursion, not by simulation).

The quantities are each parameter and the log likelihood, which sees the data (Modrak et al. 2023, arXiv:2211.02383).
With all levels at alpha / (3 x quantities) a right sampler alarms falsely with probability at most alpha.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from targets.kernel import data_matrix, density, kernel
from targets.options import require
from targets.target import Rows, Target

GRID = 40  # points at which the distribution of ranks is held against its band
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
        rows = data_matrix(np.column_stack([self.design, y]) / self.noise)
        return Target(
            "regression", self.dim, posterior, rows, log_density=posterior_density, rows=Rows(prior, likelihood)
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
        ranks = np.sum(model.quantities(draws, y) < model.quantities(theta, y), axis=0)
        found[r] = (ranks + rng.random(model.dim + 1)) / (len(draws) + 1)
    return found


def alarms(u: np.ndarray, alpha: float) -> list[str]:
    """Which tests reject uniformity of the columns of u (replications, quantities), at family-wise level `alpha`."""
    replications, quantities = u.shape
    level = alpha / (3 * quantities)
    scores = stats.norm.ppf(np.clip(u, 1e-15, 1 - 1e-15))
    mean = 2 * stats.norm.sf(np.abs(scores.mean(axis=0)) * math.sqrt(replications))
    squares = np.sum(scores**2, axis=0)
    spread = 2 * np.minimum(stats.chi2.cdf(squares, replications), stats.chi2.sf(squares, replications))
    low, high = band(replications, level)
    points = np.arange(1, GRID) / GRID
    counts = np.sum(u[:, :, None] <= points, axis=0)
    outside = np.any((counts < low) | (counts > high), axis=1)
    rejected = {"mean": mean < level, "spread": spread < level, "shape": outside}
    return [f"{name} of quantity {q}" for name, by in rejected.items() for q in np.flatnonzero(by)]


@functools.cache
def band(n: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (GRID - 1,) of how many of n uniform numbers lie below k / GRID, left with probability at most `level`.

    Each bound alone is a binomial quantile of one probability, the largest that keeps to the level.
    """
    require(0.0 < level < 1.0, f"level={level:g} is not accepted; it lies between 0 and 1")
    small, large = math.log(level / GRID), math.log(level)
    for _ in range(12):
        middle = 0.5 * (small + large)
        inside = stays(n, *_bounds(n, math.exp(middle)))
        small, large = (middle, large) if 1.0 - inside <= level else (small, middle)
    return _bounds(n, math.exp(small))


def _bounds(n: int, tails: float) -> tuple[np.ndarray, np.ndarray]:
    points = np.arange(1, GRID) / GRID
    binomial = stats.binom(n, points)
    return binomial.ppf(0.5 * tails), binomial.isf(0.5 * tails)


def stays(n: int, low: np.ndarray, high: np.ndarray) -> float:
    """Probability that counts of n uniform numbers below k / GRID stay within the bounds (GRID - 1,), ends included."""
    reached = np.ones(1)  # probabilities of the counts `before` at one point, never having left
    before = np.zeros(1, dtype=np.int64)
    for k, (least, most) in enumerate(zip(low, high, strict=True)):
        after = np.arange(int(least), int(most) + 1)
        moves = stats.binom.pmf(after[:, None] - before, n - before, 1.0 / (GRID - k))
        reached, before = moves @ reached, after
    return float(reached.sum())
