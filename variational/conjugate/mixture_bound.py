"""A mixture's prior and q, and the bound on the log evidence that they make: every constant is kept, in nats."""

from dataclasses import dataclass

import numpy as np

from variational.conjugate.mixture_gaussians import LOG_TWO_PI, Gaussians
from variational.conjugate.mixture_moments import Moments, outer
from variational.conjugate.mixture_sweep import Components
from variational.conjugate.mixture_weights import Weights


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weights, means and precisions: a prior, or a q."""

    weights: Weights
    gaussians: Gaussians

    def updated(self, moments: Moments) -> "Mixture":
        """The best q given shares with these moments, of which this is the prior."""
        return Mixture(self.weights.updated(moments.count), self.gaussians.updated(moments))

    def resized(self, size: int) -> "Mixture":
        """A prior of so many components."""
        return Mixture(self.weights.resized(size), self.gaussians)

    def components(self) -> Components:
        """Expected log densities, which make the best shares."""
        return self.gaussians.expected(self.weights.expected_logs())


def bound(prior: Mixture, q: Mixture, rows: float, entropy: float) -> float:
    """The bound on the log evidence, where q is the best for shares of so many rows and this entropy.

    E log p(rows, shares, parameters) - E log q is then a ratio of normalisers: that of the posterior given the shares
    to that of the prior. With one component the shares are certain, and it is the evidence itself.
    """
    copies = len(q.gaussians.mean)
    gained = q.weights.log_normaliser() - prior.weights.log_normaliser()
    gained += q.gaussians.log_normaliser() - prior.gaussians.log_normaliser(copies)
    return gained + entropy - 0.5 * rows * q.gaussians.d * LOG_TWO_PI


def divergence(prior: Mixture, q: Mixture, moments: Moments) -> float:
    """KL(q || prior) in nats, of weights, means and precisions together, where q = prior.updated(moments)."""
    c = q.components()
    apart = moments.mean - q.gaussians.mean
    spread = moments.scatter + moments.count[:, None, None] * outer(apart, moments.scatter)
    # E of the exponent that the moments add to the prior's, without the constant of the rows' density
    square = np.einsum("kij,kil,kjl->", c.factor, c.factor, spread) if q.gaussians.crossed else np.sum(
        c.factor**2 * spread
    )  # fmt: skip
    exponent = moments.count @ c.constant - 0.5 * square
    return float(exponent) - bound(prior, q, float(moments.count.sum()), 0.0)
