"""A small Bayesian mixture, with exact updates and an exact bound: unit Gaussians on the line.

pi ~ Dirichlet(alpha0), mu_k ~ N(0, V), x_n ~ N(mu_z, 1). q = q(z) q(pi) q(mu): responsibilities r (n, K), a Dirichlet
alpha (K,), and N(m_k, v_k) (Bishop 2006, section 10.2, with known precision). Mistakes can be planted.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln, logsumexp, softmax, xlogy

from targets.kernel import Matrix, Vector

PRIOR_VARIANCE = 25.0
MISTAKES = {
    "none": "no mistake",
    "normalisation": "responsibilities are not divided by their sum",
    "axis": "responsibilities are normalised over the data instead of the components",
    "sign": "the entropy of the assignments has the wrong sign in the bound",
    "stale": "means are computed from the responsibilities of the sweep before",
    "never": "the variances of the means are never updated",
}


@dataclass
class Mixture:
    """q. `bounds` are those after each sweep."""

    r: Matrix
    alpha: Vector
    m: Vector
    v: Vector
    bounds: Vector

    def log_predictive(self, x: Vector) -> Vector:
        """Log density of new data (n,), with means integrated over and the weights' mean."""
        spread = 1 + self.v
        each = -0.5 * ((x[:, None] - self.m) ** 2 / spread + np.log(2 * np.pi * spread))
        return np.asarray(logsumexp(each + np.log(self.alpha / self.alpha.sum()), axis=1))


def fit(
    x: Vector,
    k: int,
    rng: np.random.Generator,
    alpha0: float = 1.0,
    sweeps: int = 60,
    mistake: str = "",
    apart: bool = False,
) -> Mixture:
    """Coordinate ascent from random responsibilities, or from those of data `apart` chosen as centres; x (n,)."""
    r = rng.dirichlet(np.ones(k), len(x))
    if apart:
        centres = rng.choice(x, k, replace=len(x) < k)
        r = softmax(-0.5 * (x[:, None] - centres) ** 2, axis=1)
    alpha, m, v = np.full(k, alpha0), np.zeros(k), np.ones(k)
    bounds: list[float] = []
    for _ in range(sweeps):
        before = r
        if bounds:
            r = _responsibilities(x, alpha, m, v, mistake)
        counts = r.sum(axis=0)
        alpha = alpha0 + counts
        used = before if mistake == "stale" else r
        precision = 1 / PRIOR_VARIANCE + used.sum(axis=0)
        m = (used.T @ x) / precision
        v = v if mistake == "never" else 1 / precision
        bounds.append(bound(x, r, alpha, m, v, alpha0, -1.0 if mistake == "sign" else 1.0))
    return Mixture(r, alpha, m, v, np.array(bounds))


def _responsibilities(x: Vector, alpha: Vector, m: Vector, v: Vector, mistake: str) -> Matrix:
    logs = digamma(alpha) - 0.5 * ((x[:, None] - m) ** 2 + v)
    if mistake == "normalisation":
        return np.asarray(np.exp(logs - logs.max(axis=1, keepdims=True)))
    return np.asarray(softmax(logs, axis=0 if mistake == "axis" else 1))


def bound(x: Vector, r: Matrix, alpha: Vector, m: Vector, v: Vector, alpha0: float, sign: float = 1.0) -> float:
    """The bound on the evidence, with all its constants."""
    logs = digamma(alpha) - digamma(alpha.sum())
    data = float(np.sum(r * (logs - 0.5 * (np.log(2 * np.pi) + (x[:, None] - m) ** 2 + v))))
    entropy = -sign * float(np.sum(xlogy(r, r)))
    weights = _log_constant(np.full(len(alpha), alpha0)) - _log_constant(alpha) + float((alpha0 - alpha) @ logs)
    means = 0.5 * float(np.sum(1 + np.log(v / PRIOR_VARIANCE) - (m**2 + v) / PRIOR_VARIANCE))
    return data + entropy + weights + means


def _log_constant(alpha: Vector) -> float:
    return float(gammaln(alpha.sum()) - gammaln(alpha).sum())


def em(x: Vector, k: int, rng: np.random.Generator, sweeps: int = 60) -> tuple[Vector, Vector, Vector]:
    """Maximum likelihood: weights (K,), means (K,), and the log likelihood after each sweep."""
    weights, means, heights = np.full(k, 1 / k), rng.choice(x, k, replace=len(x) < k), []
    for _ in range(sweeps):
        logs = np.log(np.maximum(weights, 1e-300)) - 0.5 * ((x[:, None] - means) ** 2 + np.log(2 * np.pi))
        total = logsumexp(logs, axis=1)
        r = np.exp(logs - total[:, None])
        weights = r.mean(axis=0)
        means = (r.T @ x) / np.maximum(r.sum(axis=0), 1e-300)
        heights.append(float(total.sum()))
    return weights, means, np.array(heights)


def log_plug_in(x: Vector, weights: Vector, means: Vector) -> Vector:
    """Log density of new data (n,) at point estimates."""
    logs = np.log(np.maximum(weights, 1e-300)) - 0.5 * ((x[:, None] - means) ** 2 + np.log(2 * np.pi))
    return np.asarray(logsumexp(logs, axis=1))


def draw(rng: np.random.Generator, n: int, means: tuple[float, ...] = (-4.0, 0.0, 4.0)) -> Vector:
    """Data (n,) of equal shares."""
    return np.asarray(np.array(means)[rng.integers(len(means), size=n)] + rng.standard_normal(n))
