"""EM, variational EM, MAP-EM and VB-EM of a Gaussian mixture with full covariances: one loop, four bounds.

All alternate two steps, neither of which lets the bound fall:

- the E-step finds the best q(z): of all, which is exact; or of those that leave each row at most `kept` components;
- the M-step finds the parameters that are best given q(z): points, or a distribution.

=================  =======================  ===========================================================
parameters         E-step                   the bound is below
=================  =======================  ===========================================================
'likelihood'       exact (EM)               log p(X | points), and touches it
'likelihood'       `kept` (variational EM)  log p(X | points), by the divergence of q(z) from p(z | X)
'mode'             either (MAP-EM)          the same plus the log prior density of the points
'distribution'     either (VB-EM)           log p(X), the evidence, by the divergence of q from the posterior
=================  =======================  ===========================================================

Every constant is in the bounds, in nats; log K! for the orders of components is not added to that of VB-EM.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from targets.conjugate.mixture import MixturePrior
from targets.conjugate.mixture_family import MixtureFamily
from targets.conjugate.mixture_model import MixtureParameters
from targets.kernel import Matrix, Vector, data_matrix
from targets.options import require
from variational.conjugate.ascent import Ascent, ascend
from variational.conjugate.em_parameters import Distribution, Likelihood, Mode, Seen, Sums, Treatment, of_points
from variational.conjugate.em_sweep import e_step
from variational.conjugate.estimator import Estimator, rows

PARAMETERS = ("likelihood", "mode", "distribution")
FLOOR = 1e-6  # of the mean variance of the features: least eigenvalues of covariances where nothing else bounds them


class Sweeps:
    """Alternating steps on rows X (n, d), from what the first E-step sees. Begins with an E-step.

    Attributes:
        treatment: the parameters, as of the last M-step.
        gained: by the last E-step.
    """

    def __init__(self, X: Matrix, start: Seen, treatment: Treatment, kept: int | None = None) -> None:
        self.data = data_matrix(X.T)
        self.kept = len(start.constants) if kept is None else kept
        self.treatment = treatment
        self._seen = start
        self._e_step()

    @property
    def bound(self) -> float:
        """Of the present parameters and shares."""
        return self.gained + self.treatment.term

    def sweep(self) -> float:
        """An M-step, and an E-step; returns the bound."""
        self.treatment = self.treatment.updated(self.sums)
        self._seen = self.treatment.seen()
        self._e_step()
        return self.bound

    def _e_step(self) -> None:
        self.sums, self.gained, _ = shares(self.data, self._seen, self.kept, want=False)


def shares(data: Matrix, seen: Seen, kept: int, *, want: bool) -> tuple[Sums, float, Matrix]:
    """What the E-step on data (d, n) makes: sums, gain, and where wanted the shares themselves (n, K)."""
    components, d = seen.means.shape
    counts, sums, squares = np.empty(components), np.empty((components, d)), np.empty((components, d, d))
    found = np.empty((data.shape[1] if want else 0, components))
    arrays = (np.ascontiguousarray(part) for part in seen)
    gained = e_step(data, *arrays, kept, counts, sums, squares, found)
    off = sums / np.where(counts > 0, counts, 1.0)[:, None]
    below = np.tril(squares) + np.tril(squares, -1).swapaxes(1, 2)
    scatters = below - counts[:, None, None] * off[:, :, None] * off[:, None, :]
    return Sums(counts, seen.means + off, scatters), gained, found


def starting_points(X: Matrix, components: int, rng: np.random.Generator) -> MixtureParameters:
    """Means at rows drawn by k-means++ (Arthur and Vassilvitskii 2007), equal weights, and one covariance for all.

    It is that of all rows, over the components' number to the power 2 / d, as of equal cells that fill their volume.
    """
    n, d = X.shape
    off = X - X.mean(axis=0)
    covariance = off.T @ off / n
    sd = np.sqrt(np.diagonal(covariance))
    scaled = off / np.where(sd > 0, sd, 1.0)
    chosen = [int(rng.integers(n))]
    nearest = np.full(n, np.inf)
    for _ in range(1, components):
        nearest = np.minimum(nearest, np.sum((scaled - scaled[chosen[-1]]) ** 2, axis=1))
        total = nearest.sum()
        chosen.append(int(rng.choice(n, p=nearest / total) if total > 0 else rng.integers(n)))
    covariance = covariance / components ** (2 / d) + FLOOR * max(float(np.mean(sd**2)), 1e-300) * np.eye(d)
    weights = np.full(components, 1.0 / components)
    return MixtureParameters(weights, X[chosen].copy(), np.tile(covariance, (components, 1, 1)))


class MixtureEM(Estimator):
    """The module's four algorithms behind one interface.

    Args:
        n_components: of the mixture.
        parameters: what they are taken for, see the module: 'likelihood', 'mode' or 'distribution'.
        prior: of the latter two; the mode needs a weight_concentration of 1 or more, and degrees_of_freedom above d.
        kept: components that q(z) leaves each row, or None for all of them.
        tol: nats a row; sweeps that gain less end the fit.
        max_iter: sweeps at most.
        n_init: starts, of which the best bound is kept.
        random_state: of the starts.

    Attributes:
        weights_, means_, covariances_: the points; of a distribution its means, that of the precisions inverted.
        posterior_: of a distribution, q as `targets.conjugate.mixture_family.MixtureFamily`; else None.
        lower_bound_, lower_bounds_: the last bound, and that after each sweep.
        n_iter_, converged_: sweeps, and whether they ended by `tol`.
    """

    weights_: Vector
    means_: Matrix
    covariances_: npt.NDArray[np.float64]

    def __init__(
        self,
        *,
        n_components: int = 1,
        parameters: str = "distribution",
        prior: MixturePrior | None = None,
        kept: int | None = None,
        tol: float = 1e-7,
        max_iter: int = 2000,
        n_init: int = 1,
        random_state: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.parameters = parameters
        self.prior = prior
        self.kept = kept
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: Any = None, *, start: MixtureParameters | None = None) -> Self:  # noqa: ARG002
        """Fit to rows (n, d), from `start` where it is given.

        Raises:
            ValueError: the rows or a parameter are not accepted.
        """
        data = rows(X, type(self).__name__)
        self._check(data)
        rng = np.random.default_rng(self.random_state)
        best: tuple[Ascent, Sweeps] | None = None
        for _ in range(self.n_init if start is None else 1):
            points = starting_points(data, self.n_components, rng) if start is None else start
            sweeps = Sweeps(data, of_points(points), self._treatment(data, points), self.kept)
            ascent = ascend(sweeps.sweep, data=len(data), tolerance=self.tol, most=self.max_iter)
            if best is None or ascent.bound > best[0].bound:
                best = ascent, sweeps
        assert best is not None  # noqa: S101  # n_init is positive
        self._keep(*best)
        return self

    def predict_proba(self, X: npt.ArrayLike) -> Matrix:
        """(n, K) shares: q(z) of rows (n, d)."""
        self._fitted()
        data = rows(X, type(self).__name__, features=self.n_features_in_)
        kept = self.n_components if self.kept is None else self.kept
        return shares(data_matrix(data.T), self.treatment_.seen(), kept, want=True)[2]

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """(n,) the component of the largest share of each row."""
        return np.asarray(np.argmax(self.predict_proba(X), axis=1))

    def _keep(self, ascent: Ascent, sweeps: Sweeps) -> None:
        self.treatment_ = sweeps.treatment
        self.weights_, self.means_, self.covariances_ = sweeps.treatment.points
        self.posterior_ = sweeps.treatment.q if isinstance(sweeps.treatment, Distribution) else None
        self.lower_bounds_, self.lower_bound_ = ascent.bounds, ascent.bound
        self.n_iter_, self.converged_ = len(ascent.bounds), ascent.converged
        self.n_features_in_ = self.means_.shape[1]

    def _treatment(self, X: Matrix, start: MixtureParameters) -> Treatment:
        if self.parameters == "likelihood":
            return Likelihood(start, FLOOR * float(np.mean(X.var(axis=0))))
        assert self.prior is not None  # noqa: S101  # checked
        if self.parameters == "mode":
            return Mode(start, self.prior)
        family = MixtureFamily.of_prior(self.prior, self.n_components)
        return Distribution(family, family)

    def _check(self, X: Matrix) -> None:
        name, d = type(self).__name__, X.shape[1]
        for key, least in (("n_components", 1), ("max_iter", 1), ("n_init", 1)):
            value = getattr(self, key)
            require(value >= least, f"{name}: {key}={value} is not accepted; it takes {least} or more")
        require(self.tol >= 0, f"{name}: tol={self.tol:g} is not accepted; it takes 0 or more")
        require(
            self.kept is None or 1 <= self.kept <= self.n_components,
            f"{name}: kept={self.kept} is not accepted; it takes 1 to {self.n_components}, or none",
        )
        require(
            self.parameters in PARAMETERS,
            f"{name}: parameters={self.parameters!r} is not accepted; it takes {', '.join(PARAMETERS)}",
        )
        if self.parameters == "likelihood":
            require(
                bool(np.any(X.var(axis=0) > 0)),
                f"{name}: rows that are all the same are not accepted: their likelihood has no maximum",
            )
            return
        require(
            self.prior is not None and len(self.prior.mean) == d,
            f"{name}: parameters={self.parameters!r} takes a MixturePrior of {d} features",
        )
        assert self.prior is not None  # noqa: S101
        if self.parameters == "mode":
            require(
                self.prior.weight_concentration >= 1 and self.prior.degrees_of_freedom > d,
                f"{name}: the density has no mode under this prior; it takes a weight_concentration of 1 or more, and "
                f"degrees_of_freedom above {d}",
            )
