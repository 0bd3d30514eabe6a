"""What EM, MAP-EM and VB-EM each take the parameters of a Gaussian mixture for: points, or a distribution.

Each says what the E-step sees of the parameters, what they add to the bound, and what the M-step makes of them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy import special

from targets.conjugate.mixture import MixturePrior
from targets.conjugate.mixture_family import MixtureFamily
from targets.conjugate.mixture_model import MixtureParameters
from targets.kernel import Matrix, Vector

LOG_TWO_PI = math.log(2 * math.pi)


class Seen(NamedTuple):
    """What the E-step sees: log densities constants[k] - |factors[k]' (x - means[k])|^2 / 2."""

    constants: Vector
    means: Matrix
    factors: np.ndarray


class Sums(NamedTuple):
    """What the M-step sees: shares (K,), means of the rows by them (K, d), and scatters about these (K, d, d)."""

    counts: Vector
    means: Matrix
    scatters: np.ndarray


class Treatment(Protocol):
    """Parameters, and how they are treated."""

    @property
    def points(self) -> MixtureParameters: ...  # those said to be the parameters: of a distribution, its means

    @property
    def term(self) -> float: ...  # what the bound holds beside the E-step's gain

    def seen(self) -> Seen: ...

    def updated(self, sums: Sums) -> "Treatment": ...  # the maximum of the bound given the shares


def of_points(points: MixtureParameters) -> Seen:
    """Log densities of point parameters, log weights included. A component of weight zero is never chosen."""
    d = points.means.shape[1]
    factors = np.linalg.cholesky(np.linalg.inv(points.covariances))
    log_diagonal = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    with np.errstate(divide="ignore"):
        constants = np.log(points.weights) + log_diagonal - 0.5 * d * LOG_TWO_PI
    return Seen(np.maximum(constants, -1e300), points.means, factors)


@dataclass(frozen=True, eq=False)
class Likelihood:
    """EM: points that maximise the likelihood, among covariances whose eigenvalues are at least `floor`.

    Without a floor the likelihood has no maximum: a component that shrinks onto one row makes it infinite. Raising
    eigenvalues to the floor gives the exact maximum of the M-step among such covariances, so that bounds still rise.
    """

    points: MixtureParameters
    floor: float
    term = 0.0

    def seen(self) -> Seen:
        return of_points(self.points)

    def updated(self, sums: Sums) -> "Likelihood":
        filled = sums.counts > 0
        counts = np.where(filled, sums.counts, 1.0)
        values, vectors = np.linalg.eigh(sums.scatters / counts[:, None, None])
        covariances = (vectors * np.maximum(values, self.floor)[:, None, :]) @ vectors.swapaxes(1, 2)
        # any parameters of an empty component are a maximum: it keeps those that it has
        means = np.where(filled[:, None], sums.means, self.points.means)
        covariances = np.where(filled[:, None, None], covariances, self.points.covariances)
        return Likelihood(MixtureParameters(sums.counts / sums.counts.sum(), means, covariances), self.floor)


@dataclass(frozen=True, eq=False)
class Mode:
    """MAP-EM: points that maximise the posterior density of weights, means and precisions."""

    points: MixtureParameters
    prior: MixturePrior

    def seen(self) -> Seen:
        return of_points(self.points)

    @property
    def term(self) -> float:
        """The log prior density."""
        prior = MixtureFamily.of_prior(self.prior, len(self.points.weights))
        precisions = np.linalg.inv(self.points.covariances)
        off = self.points.means - self.prior.mean
        alpha = self.prior.weight_concentration
        value = (alpha - 1.0) * np.log(self.points.weights).sum() if alpha > 1.0 else 0.0
        value += 0.5 * (self.prior.degrees_of_freedom - prior.d) * np.linalg.slogdet(precisions)[1].sum()
        value -= 0.5 * np.einsum("ab,kab->", self.prior.scale, precisions)
        value -= 0.5 * self.prior.mean_precision * np.einsum("ka,kab,kb->", off, precisions, off)
        return float(value - prior.log_normaliser)

    def updated(self, sums: Sums) -> "Mode":
        q = MixtureFamily.of_prior(self.prior, len(sums.counts)).given(*sums)
        weights = q.concentration - 1.0
        covariances = q.scale / (q.degrees_of_freedom - q.d)[:, None, None]
        return Mode(MixtureParameters(weights / weights.sum(), q.centres, covariances), self.prior)


@dataclass(frozen=True, eq=False)
class Distribution:
    """VB-EM: q(weights) prod_k q(mean_k, precision_k), Dirichlet and normal-Wishart. Bishop 2006, section 10.2."""

    q: MixtureFamily
    prior: MixtureFamily

    @property
    def points(self) -> MixtureParameters:
        """Means of the weights and of the means, and inverse means of the precisions."""
        weights = self.q.concentration / self.q.concentration.sum()
        return MixtureParameters(weights, self.q.centres, self.q.scale / self.q.degrees_of_freedom[:, None, None])

    @property
    def term(self) -> float:
        """Minus the divergence of q from the prior."""
        return -self.q.divergence(self.prior)

    def seen(self) -> Seen:
        q, d = self.q, self.q.d
        constants = special.digamma(q.concentration) - special.digamma(q.concentration.sum())
        constants += 0.5 * (q.log_determinant - d * LOG_TWO_PI - d / q.mean_precision)
        return Seen(constants, q.centres, q.roots * np.sqrt(q.degrees_of_freedom)[:, None, None])

    def updated(self, sums: Sums) -> "Distribution":
        return Distribution(self.prior.given(*sums), self.prior)
