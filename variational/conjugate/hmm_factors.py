"""The factors of a hidden Markov model's parameters: distributions, as VB-EM has them, or points, as EM.

Each factor is updated with the expected counts or moments of what it governs (`update`), says what the E-step needs, and
what it costs in the bound (`penalty`): its divergence from the prior, or, of a point, minus the log prior density there,
in the coordinates of the module `targets.conjugate.hidden_markov`: probabilities, means and precisions.
"""

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln, xlogy

from targets.conjugate.forward_backward import gaussian_distances, gaussian_moments
from targets.conjugate.hidden_markov import CategoricalEmissions, GaussianEmissions
from targets.kernel import Matrix, Vector

Tensor = npt.NDArray[np.float64]

NEVER = 1e-40  # an expected count below is none: the paths that it stands for hold less than that of the probability
_LOG_2PI = math.log(2.0 * math.pi)


class Rows:
    """Rows of probabilities with Dirichlet priors (rows, m)."""

    def __init__(self, prior: Matrix, point: bool) -> None:
        self.prior, self.point = prior, point
        self.concentration = prior

    def update(self, counts: Matrix) -> None:
        """To the optimum given expected counts (rows, m)."""
        self.concentration = self.prior + counts

    @property
    def means(self) -> Matrix:
        """(rows, m) expected probabilities, or the point: the mode, where concentrations are above one."""
        if not self.point:
            return np.asarray(self.concentration / self.concentration.sum(axis=1, keepdims=True))
        amounts = np.where(self.concentration - 1.0 > NEVER, self.concentration - 1.0, 0.0)
        amounts[amounts.sum(axis=1) == 0.0] = 1.0
        return np.asarray(amounts / amounts.sum(axis=1, keepdims=True))

    @property
    def logs(self) -> Matrix:
        """(rows, m) expected log probabilities, or the logarithms of the point."""
        if self.point:
            with np.errstate(divide="ignore"):
                return np.asarray(np.log(self.means))
        return np.asarray(digamma(self.concentration) - digamma(self.concentration.sum(axis=1, keepdims=True)))

    @property
    def penalty(self) -> float:
        """See the module."""
        if self.point:
            return -float(xlogy(self.prior - 1.0, self.means).sum() - _log_beta(self.prior).sum())
        away = (self.concentration - self.prior) * self.logs
        return float(away.sum() + (_log_beta(self.prior) - _log_beta(self.concentration)).sum())


def _log_beta(concentration: Matrix) -> Vector:
    return np.asarray(gammaln(concentration).sum(axis=1) - gammaln(concentration.sum(axis=1)))


class Emissions(Protocol):
    """What a state emits."""

    def update(self, data: npt.NDArray[np.generic], shares: Matrix) -> None: ...  # shares (n, K) of the states

    def distances(self, data: npt.NDArray[np.generic], distances: Matrix) -> float: ...  # see `gaussian_distances`

    def predictive(self, data: npt.NDArray[np.generic]) -> Matrix: ...  # (n, K) log densities, parameters averaged over

    def draw(self, rng: np.random.Generator, states: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]: ...

    @property
    def penalty(self) -> float: ...


class Categorical:
    """Symbols, which come as (n,) integers."""

    def __init__(self, prior: CategoricalEmissions, n_components: int, point: bool) -> None:
        self.rows = Rows(np.full((n_components, prior.n_symbols), float(prior.concentration)), point)

    def update(self, data: npt.NDArray[np.int64], shares: Matrix) -> None:
        """To the optimum given the shares (n, K) of the states."""
        symbols = self.rows.prior.shape[1]
        self.rows.update(np.array([np.bincount(data, weights, symbols) for weights in shares.T]))

    def distances(self, data: npt.NDArray[np.int64], distances: Matrix) -> float:
        """As `gaussian_distances`; minus infinity where no state emits a symbol that was."""
        logs = self.rows.logs.T
        top = logs.max(axis=1)
        with np.errstate(invalid="ignore"):
            np.take(top[:, None] - logs, data, axis=0, out=distances)
        return float(np.bincount(data, minlength=len(top)) @ top) if np.isfinite(top[data]).all() else -math.inf

    def predictive(self, data: npt.NDArray[np.int64]) -> Matrix:
        """(n, K) log probabilities."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.rows.means).T[data])

    def draw(self, rng: np.random.Generator, states: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n, 1) symbols."""
        cumulative = np.cumsum(self.rows.means, axis=1)[states]
        drawn = (rng.random((len(states), 1)) * cumulative[:, -1:] >= cumulative).sum(axis=1)
        return np.asarray(drawn[:, None])

    @property
    def penalty(self) -> float:
        """See the module."""
        return self.rows.penalty


class Gaussian:
    """Means and precisions, with normal-Wishart factors or, of independent features, normal-gamma factors.

    Data come as (d, n). `scales` are (K, d, d), or (K, 1, d) where features are independent.
    """

    def __init__(self, prior: GaussianEmissions, centres: Matrix, point: bool) -> None:
        self.prior, self.point = prior, point
        k, self.d = centres.shape
        self.size = self.d if prior.full else 1  # of a precision that is a Wishart variable
        self.means = np.ascontiguousarray(centres)  # moments are taken about them
        self.precisions = np.full(k, float(prior.mean_precision))
        self.degrees = np.full(k, float(prior.degrees_of_freedom))
        self.scales = np.tile(np.atleast_2d(prior.scale), (k, 1, 1))

    def update(self, data: Matrix, shares: Matrix) -> None:
        """To the optimum given the shares (n, K) of the states (Bishop 2006, equations 10.60 to 10.63)."""
        prior, (k, d) = self.prior, self.means.shape
        counts, sums, squares = np.empty(k), np.empty((k, d)), np.empty_like(self.scales)
        gaussian_moments(data, shares, self.means, counts, sums, squares)
        off = sums / np.where(counts > 0.0, counts, 1.0)[:, None]
        away = self.means + off - prior.mean  # of the mean of the data from that of the prior
        self.precisions = prior.mean_precision + counts
        self.degrees = prior.degrees_of_freedom + counts
        product = _outer if prior.full else _square
        shrunk = prior.mean_precision * counts / self.precisions
        self.scales = prior.scale + squares - product(off, counts) + product(away, shrunk)
        self.means = np.ascontiguousarray(prior.mean + (counts / self.precisions)[:, None] * away)

    @property
    def amounts(self) -> Vector:
        """(K,) such that inverse(scale) times it is the expected precision; or the point: the joint mode."""
        return self.degrees - self.size if self.point else self.degrees

    @property
    def covariances(self) -> Tensor:
        """Inverses of the precisions expected: (K, d, d), or (K, d) where features are independent."""
        found = self.scales / self.amounts[:, None, None]
        return found if self.prior.full else found[:, 0]

    @property
    def roots(self) -> Tensor:
        """Lower triangular R of each scale, with R' R its inverse, (K, d, d); or their diagonals, (K, 1, d)."""
        return np.linalg.inv(np.linalg.cholesky(self.scales)) if self.prior.full else 1.0 / np.sqrt(self.scales)

    def _log_determinants(self, roots: Tensor) -> Matrix:
        """(K, 1) of the scales; or their logarithms (K, d) where features are independent."""
        if not self.prior.full:
            return np.asarray(-2.0 * np.log(roots[:, 0]))
        return np.asarray(-2.0 * np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1, keepdims=True))

    def _log_precisions(self, roots: Tensor) -> Matrix:
        """Log determinants of the precisions, expected or of the point: (K, 1), or (K, d)."""
        if self.point:
            return self.size * np.log(self.amounts)[:, None] - self._log_determinants(roots)
        halves = 0.5 * (self.degrees[:, None] - np.arange(self.size))
        return digamma(halves).sum(axis=1, keepdims=True) + self.size * math.log(2.0) - self._log_determinants(roots)

    def distances(self, data: Matrix, distances: Matrix) -> float:
        """See `gaussian_distances`."""
        roots = self.roots
        spread = 0.0 if self.point else self.d / self.precisions
        constants = 0.5 * (self._log_precisions(roots).sum(axis=1) - self.d * _LOG_2PI - spread)
        factors = np.ascontiguousarray(roots * np.sqrt(self.amounts)[:, None, None])
        return float(gaussian_distances(data, self.means, factors, constants, distances))

    @property
    def penalty(self) -> float:
        """See the module."""
        prior, p = self.prior, self.size
        own, kappa = prior.degrees_of_freedom, prior.mean_precision
        roots, amounts, degrees = self.roots, self.amounts[:, None], self.degrees[:, None]
        away = self.means - prior.mean
        if prior.full:
            factor = np.linalg.cholesky(prior.scale)
            traces = np.square(roots @ factor).sum(axis=(1, 2))[:, None]
            squares = np.square(np.einsum("kij,kj->ki", roots, away)).sum(axis=1, keepdims=True)
            log_scale = np.array(2.0 * np.log(np.diagonal(factor)).sum())
        else:
            traces, squares, log_scale = (
                prior.scale / self.scales[:, 0],
                away**2 / self.scales[:, 0],
                np.log(prior.scale),
            )
        log_precisions = self._log_precisions(roots)
        if self.point:
            value = 0.5 * (own - p) * log_precisions - 0.5 * amounts * (traces + kappa * squares)
            value += 0.5 * own * (log_scale - p * math.log(2.0)) - _log_gamma(np.array(0.5 * own), p)
            return -float((value + 0.5 * p * (math.log(kappa) - _LOG_2PI)).sum())
        ratio = kappa / self.precisions[:, None]
        value = 0.5 * p * (ratio - 1.0 - np.log(ratio)) + 0.5 * amounts * (kappa * squares + traces - p)
        value += 0.5 * own * (self._log_determinants(roots) - log_scale)
        expected = log_precisions - p * math.log(2.0) + self._log_determinants(roots)
        value += 0.5 * (degrees - own) * expected
        return float((value + _log_gamma(np.array(0.5 * own), p) - _log_gamma(0.5 * degrees, p)).sum())

    def predictive(self, data: Matrix) -> Matrix:
        """(n, K) log densities: Student's t, with the parameters averaged over; or the point's Gaussians."""
        roots, p, kappa = self.roots, self.size, self.precisions[:, None]
        found = np.empty((data.shape[1], len(self.means)))
        constants = -0.5 * (self._log_determinants(roots) + p * math.log(math.pi))
        if self.point:
            constants += 0.5 * p * np.log(0.5 * self.amounts)[:, None]
        else:
            half = 0.5 * (self.degrees[:, None] + 1.0)
            constants += gammaln(half) - gammaln(half - 0.5 * p) - 0.5 * p * np.log1p(1.0 / kappa)
        for k, (mean, root) in enumerate(zip(self.means, roots, strict=True)):
            off = data.T - mean
            squares = np.square(off @ root.T).sum(axis=1, keepdims=True) if self.prior.full else np.square(off * root)
            if self.point:
                logs = -0.5 * self.amounts[k] * squares
            else:
                logs = -0.5 * (self.degrees[k] + 1.0) * np.log1p(squares * kappa[k] / (kappa[k] + 1.0))
            found[:, k] = (constants[k] + logs).sum(axis=1)
        return found

    def draw(self, rng: np.random.Generator, states: npt.NDArray[np.int64]) -> Matrix:
        """(n, d) from `predictive` of the states (n,)."""
        noise = rng.standard_normal((len(states), self.d))
        if self.prior.full:
            noise = np.einsum("nij,nj->ni", np.linalg.cholesky(self.scales)[states], noise)
        else:
            noise *= np.sqrt(self.scales[:, 0])[states]
        if self.point:
            return np.asarray(self.means[states] + noise / np.sqrt(self.amounts)[states, None])
        free = np.repeat(self.degrees[states, None] - self.size + 1.0, 1 if self.prior.full else self.d, axis=1)
        wider = 1.0 + 1.0 / self.precisions[states, None]
        return np.asarray(self.means[states] + noise * np.sqrt(wider / rng.chisquare(free)))


def _outer(x: Matrix, weights: Vector) -> Tensor:
    """(K, d, d)."""
    return np.asarray(weights[:, None, None] * x[:, :, None] * x[:, None, :])


def _square(x: Matrix, weights: Vector) -> Tensor:
    """(K, 1, d)."""
    return np.asarray(weights[:, None] * x * x)[:, None]


def _log_gamma(x: npt.NDArray[np.float64], p: int) -> npt.NDArray[np.float64]:
    """The logarithm of the multivariate gamma function."""
    return np.asarray(0.25 * p * (p - 1) * math.log(math.pi) + gammaln(x[..., None] - 0.5 * np.arange(p)).sum(axis=-1))
