"""EM and variational EM of factor analysis: loadings and noise are points (Rubin and Thayer 1982).

The E-step of EM is exact. That of variational EM has a factor for every coordinate of z: the means are those of the
posterior, since a Gaussian's are the solution of the coordinates' equations, and the variances 1 / M_kk, with M the
posterior precision I + W' Psi^-1 W. The bound is below the log likelihood by

    gap = n (sum_k log M_kk - log det M) / 2

which no rotation of W leaves as it is: it is zero where the columns of Psi^-1/2 W are orthogonal.

Both are parameter-expanded (Liu, Rubin and Wu 1998): the M-step also frees the covariance of z, which is then taken
into the loadings; in variational EM its diagonal alone, which keeps the factors. Every third sweep begins with an
extrapolation of the two before it (SQUAREM; Varadhan and Roland 2008), which is taken back unless the bound rises.
"""

from dataclasses import dataclass

import numpy as np

from targets.conjugate.least_squares import Triangle
from targets.kernel import Matrix, Vector
from variational.conjugate.extrapolation import Path

FLOOR = 1e-8  # of a column's variance: the least that its noise may have, where the likelihood may have no maximum
LARGEST = 500.0  # logarithm of a variance
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(eq=False)
class PointFactors:
    """Loadings (d, K) and variances of noise (d,), with what the E-step makes of them.

    Attributes:
        exact: whether the E-step is.
        scores, variances: means (k, K) of z of the triangle's rows, and their variances (K,), in the coordinates z' of
            z = basis' z'.
        log_likelihood: of the present parameters, in nats; `bound` is `gap` below it.
    """

    data: Triangle
    loadings: Matrix
    noise: Vector
    isotropic: bool
    exact: bool
    accelerate: bool = True

    def __post_init__(self) -> None:
        self.path = Path()
        variance = np.square(self.data.factor).sum(axis=0) / self.data.n
        self.least = FLOOR * (np.full_like(variance, variance.mean()) if self.isotropic else variance)
        self.noise = np.maximum(self.noise, self.least)
        self.expect()

    def sweep(self) -> float:
        """An M-step and an E-step, or an extrapolation and an E-step; the bound."""
        if self.accelerate:
            there = self.path.further(np.concatenate([self.loadings.ravel(), np.log(self.noise)]))
            if there is not None and self._raised(there):
                return self.bound
        self.maximise()
        return self.expect()

    def _raised(self, there: Vector) -> bool:
        """Whether the bound is higher there, which is then kept."""
        kept = self.loadings, self.noise
        bound, split = self.bound, self.loadings.size
        self.loadings = there[:split].reshape(self.loadings.shape)
        self.noise = np.maximum(np.exp(np.minimum(there[split:], LARGEST)), self.least)
        if self.expect() > bound:  # false where it is not a number
            return True
        self.loadings, self.noise = kept
        self.expect()
        return False

    def expect(self) -> float:
        """q(z), the log likelihood and the bound, at the present parameters."""
        n, d = self.data.n, len(self.noise)
        sd = np.sqrt(self.noise)
        axes, singular, turn = np.linalg.svd(self.loadings / sd[:, None], full_matrices=False)
        # in this basis M is diagonal: no inverse of it, whose condition may be that of the data's scales squared
        along = 1.0 + singular**2
        scores: Matrix = ((self.data.factor / sd) @ axes) * (singular / along)
        residual = self.data.factor / sd - scores @ (axes * singular).T
        squares = float(np.square(residual).sum() + np.square(scores).sum())
        log_volume = float(np.log(along).sum())
        self.log_likelihood = -0.5 * (n * (d * _LOG_2PI + float(np.log(self.noise).sum()) + log_volume) + squares)
        if self.exact:
            self.basis, self.scores, self.variances, self.gap = turn, scores, 1.0 / along, 0.0
        else:
            own = 1.0 + np.square(self.loadings / sd[:, None]).sum(axis=0)
            self.basis, self.scores, self.variances = np.eye(len(own)), scores @ turn, 1.0 / own
            self.gap = 0.5 * n * max(float(np.log(own).sum()) - log_volume, 0.0)
        return self.bound

    @property
    def bound(self) -> float:
        """What every sweep raises."""
        return self.log_likelihood - self.gap

    def maximise(self) -> None:
        """Loadings, noise and the covariance of z, given q(z)."""
        n, factor = self.data.n, self.data.factor
        moment = self.scores.T @ self.scores
        moment[np.diag_indices_from(moment)] += n * self.variances
        loadings: Matrix = np.asarray(np.linalg.solve(moment, self.scores.T @ factor).T, dtype=np.float64)
        residual = factor - self.scores @ loadings.T
        noise = np.square(residual).sum(axis=0) / n + np.square(loadings) @ self.variances
        if self.isotropic:
            noise = np.full_like(noise, noise.mean())
        self.noise = np.maximum(noise, self.least)
        if self.exact:  # the symmetric root, which is the same in any basis: extrapolations need steps that are smooth
            values, vectors = np.linalg.eigh(moment / n)
            loadings = loadings @ ((vectors * np.sqrt(values)) @ vectors.T)
        else:
            loadings = loadings * np.sqrt(np.diagonal(moment) / n)
        self.loadings = loadings @ self.basis


def principal(data: Triangle, components: int, isotropic: bool) -> tuple[Matrix, Vector]:
    """Loadings (d, K) and variances of noise (d,) of probabilistic principal components, in closed form.

    With isotropic noise they maximise the likelihood (Tipping and Bishop 1999, equations 7 and 8). With a variance for
    every column they are those of the standardised columns, scaled back: a start.
    """
    d = data.factor.shape[1]
    size = np.sqrt(np.square(data.factor).sum(axis=0) / data.n)
    size = np.ones(d) if isotropic else np.where(size > 0, size, 1.0)
    _, singular, axes = np.linalg.svd(data.factor / size, full_matrices=False)
    values = np.zeros(max(d, components))
    values[: len(singular)] = singular**2 / data.n
    noise = values[components:].sum() / (d - components) if d > components else 0.0
    kept = min(components, len(singular))
    loadings = np.zeros((d, components))
    loadings[:, :kept] = axes[:kept].T * np.sqrt(np.maximum(values[:kept] - noise, 0.0))
    return loadings * size[:, None], noise * size**2


def at_random(data: Triangle, components: int, isotropic: bool, rng: np.random.Generator) -> tuple[Matrix, Vector]:
    """Loadings and variances of noise that share each column's variance between them."""
    variance = np.square(data.factor).sum(axis=0) / data.n
    variance = np.full_like(variance, variance.mean()) if isotropic else variance
    loadings = rng.standard_normal((len(variance), components)) * np.sqrt(0.5 * variance / components)[:, None]
    return loadings, 0.5 * variance
