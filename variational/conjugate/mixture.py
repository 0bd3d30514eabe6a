"""Variational Bayes for mixtures of Gaussians, by coordinate ascent or stochastic steps (Bishop 2006, section 10.2)."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from targets.conjugate.mixture import MixturePrior
from targets.kernel import Matrix, Vector
from targets.options import require
from variational.conjugate import mixture_start as start
from variational.conjugate.ascent import Ascent
from variational.conjugate.blocks import Blocks, blocks
from variational.conjugate.mixture_ascent import State, climb, generator
from variational.conjugate.mixture_fitted import Fitted
from variational.conjugate.mixture_gaussians import STRUCTURES
from variational.conjugate.mixture_moments import Moments
from variational.conjugate.mixture_prior import TYPES, prior, survey

NAME = "BayesianGaussianMixture"


class BayesianGaussianMixture(Fitted):
    """A Gaussian mixture with priors on weights, means and precisions, of which q is the best product of factors.

    The model, for rows x_n: weights ~ Dirichlet or broken sticks; z_n ~ weights; x_n | z_n = k ~ N(mean_k,
    inverse(precision_k)); means and precisions as `mixture_gaussians` says. q(z) q(weights, means, precisions).

    Args:
        n_components: K, how many at most.
        covariance_type: 'full', 'tied', 'diag' or 'spherical'.
        tol: sweeps end when one gains less than this many nats a row.
        max_iter: sweeps, or with `batch_size` passes over the rows, at most.
        n_init: starts, of which the one with the highest bound is kept.
        init_params: 'k-means++', 'kmeans', 'random', 'random_from_data', or the first shares (n, K) themselves.
        weight_concentration_prior_type: 'dirichlet_process' or 'dirichlet_distribution'.
        weight_concentration_prior: of each component, or of the process; 1 / K where None.
        mean_precision_prior: how many rows the prior of a mean counts as; 1 where None.
        mean_prior: (d,); the mean of the rows where None.
        degrees_of_freedom_prior: of the precisions; d where None.
        covariance_prior: the scale of the precisions' prior: (d, d), (d,) for 'diag', a number for 'spherical'; the
            covariance of the rows where None.
        prune: after the ascent, components with fewer than this many rows are taken out of the model, and it goes on.
        batch_size: rows of a stochastic step (Hoffman et al. 2013); None for sweeps over all rows.
        kappa: the step of batch t is (t + tau0)^-kappa; above 0.5, at most 1.
        tau0: not below 0.
        total_samples: how many rows `partial_fit` is to take its batches for; as many as it has seen where None.
        random_state: a seed, or a generator.
        warm_start: whether `fit` goes on from the last fit.

    Attributes:
        lower_bound_: the bound on the log evidence of all rows in nats, with every constant, without log K!.
        log_evidence_bound_: with the log of how many orders of the components describe the same fit: K!, less those of
            empty components among themselves; none for the Dirichlet process, whose order matters.
        lower_bounds_: after each sweep; with `batch_size`, of each pass an estimate, and last the exact one.
        converged_, n_iter_: of the best start.
        weights_, means_, covariances_, precisions_, precisions_cholesky_: expected ones; `covariances_` are inverses of
            the expected precisions, and `precisions_cholesky_` upper triangular, as scikit-learn's are.
        weight_concentration_, mean_precision_, degrees_of_freedom_: of q; a pair of arrays for the process.
        n_components_: how many are left.
        prior_, posterior_: both as `Mixture`.
    """

    def __init__(
        self,
        *,
        n_components: int = 1,
        covariance_type: str = "full",
        tol: float = 1e-6,
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: Any = "k-means++",
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: npt.ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: npt.ArrayLike | float | None = None,
        prune: float | None = None,
        batch_size: int | None = None,
        kappa: float = 0.7,
        tau0: float = 10.0,
        total_samples: int | None = None,
        random_state: Any = None,
        warm_start: bool = False,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.prune = prune
        self.batch_size = batch_size
        self.kappa = kappa
        self.tau0 = tau0
        self.total_samples = total_samples
        self.random_state = random_state
        self.warm_start = warm_start

    @classmethod
    def of_prior(cls, given: MixturePrior, **options: Any) -> Self:
        """With the prior that a Gibbs sampler takes: full covariances, and a symmetric Dirichlet distribution."""
        return cls(
            covariance_type="full",
            weight_concentration_prior_type="dirichlet_distribution",
            weight_concentration_prior=given.weight_concentration,
            mean_precision_prior=given.mean_precision,
            mean_prior=given.mean,
            degrees_of_freedom_prior=given.degrees_of_freedom,
            covariance_prior=given.scale,
            **options,
        )

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002  (the convention's argument)
        """Fit to rows (n, d): an array, a memory map, or the path of a .npy or Parquet file, or of several of these.

        Raises:
            ValueError: parameters or rows are not accepted.
        """
        self._check()
        data = blocks(X, NAME, least=2)
        n, d = data.shape
        require(
            n >= self.n_components,
            f"{NAME}: n_components={self.n_components} is not accepted with {n} rows; it takes {n} or fewer",
        )
        mean, covariance = survey(data, NAME)
        warm = self.warm_start and hasattr(self, "posterior_")
        if warm and self.n_features_in_ != d:
            raise ValueError(f"X has {d} features, but {NAME} is expecting {self.n_features_in_} features as input")
        before = prior(self, mean, covariance)
        rng = generator(self.random_state)
        best: tuple[State, Ascent] | None = None
        for _ in range(1 if warm else self.n_init):
            moments = self._moments_ if warm else self._first(data, mean, rng)
            state = State(before.resized(len(moments.count)), moments)
            ascent = climb(state, data, self, rng)
            if best is None or ascent.bound > best[1].bound:
                best = state, ascent
        assert best is not None  # noqa: S101  (n_init is 1 or more)
        state, ascent = best
        self._keep(state, d)
        self.lower_bounds_ = np.array(ascent.bounds)
        self.lower_bound_ = ascent.bound
        self.log_evidence_bound_ = ascent.bound + state.q.weights.symmetries(state.moments.count)
        self.converged_ = ascent.converged
        self.n_iter_ = len(ascent.bounds)
        return self

    def _keep(self, state: State, d: int) -> None:
        self.prior_, self.posterior_, self._moments_ = state.prior, state.q, state.moments
        self.n_features_in_ = d

    def _first(self, data: Blocks, mean: Vector, rng: np.random.Generator) -> Moments:
        """The moments of the first shares."""
        if isinstance(self.init_params, str):
            made = start.shares(self.init_params, data, self.n_components, rng)
        else:
            made = start.given(self._shares(data.shape[0]))
        origins = np.tile(mean, (self.n_components, 1))
        return start.moments(data, made, origins, not STRUCTURES[self.covariance_type].crossed)[0]

    def fit_predict(self, X: Any, y: Any = None) -> npt.NDArray[np.int64]:  # noqa: ARG002
        """Fit, and the likeliest component (n,) of each row."""
        return self.fit(X).predict(X)

    def partial_fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002
        """A stochastic step for these rows, the first of a stream, or the next.

        The prior's defaults are those of the first rows, of which there have to be as many as components at least.

        Raises:
            ValueError: parameters or rows are not accepted.
        """
        self._check()
        fresh = not hasattr(self, "posterior_")
        least = max(2, self.n_components) if fresh else 1
        data = blocks(X, NAME, features=None if fresh else self.n_features_in_, least=least)
        n, d = data.shape
        mean, covariance = survey(data, NAME)
        self._rows_seen_ = n if fresh else getattr(self, "_rows_seen_", 0) + n
        self._steps_taken_ = 1 if fresh else getattr(self, "_steps_taken_", 0) + 1
        scale = (self.total_samples or self._rows_seen_) / n
        if fresh:
            first = self._first(data, mean, generator(self.random_state))
            state = State(prior(self, mean, covariance), first.scaled(scale))
        else:
            state = State(self.prior_, self._moments_)
        state.step(data, scale, (self._steps_taken_ + self.tau0) ** -self.kappa)
        self._keep(state, d)
        return self

    def _shares(self, n: int) -> Matrix:
        values = np.asarray(self.init_params, dtype=np.float64)
        require(
            values.shape == (n, self.n_components) and bool(np.all((values >= 0) & np.isfinite(values))),
            f"{NAME}: init_params is not accepted; it takes {', '.join(start.KINDS)}, or finite shares from 0 up of "
            f"shape ({n}, {self.n_components})",
        )
        return values

    def _check(self) -> None:
        """Raise unless the parameters are accepted that do not depend on the rows."""
        for name in ("n_components", "max_iter", "n_init", "batch_size", "total_samples"):
            value = getattr(self, name)
            if value is None and name in ("batch_size", "total_samples"):
                continue
            fine = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1
            require(bool(fine), f"{NAME}: {name}={value!r} is not accepted; it takes whole numbers from 1 up")
        for name, accepted in (("covariance_type", tuple(STRUCTURES)), ("weight_concentration_prior_type", TYPES)):
            value = getattr(self, name)
            require(value in accepted, f"{NAME}: {name}={value!r} is not accepted; it takes {', '.join(accepted)}")
        if isinstance(self.init_params, str):
            require(
                self.init_params in start.KINDS,
                f"{NAME}: init_params={self.init_params!r} is not accepted; it takes {', '.join(start.KINDS)}, "
                "or shares",
            )
        require(self.tol >= 0, f"{NAME}: tol={self.tol!r} is not accepted; it takes 0 or more")
        require(0.5 < self.kappa <= 1.0, f"{NAME}: kappa={self.kappa!r} is not accepted; it takes numbers in (0.5, 1]")
        require(self.tau0 >= 0, f"{NAME}: tau0={self.tau0!r} is not accepted; it takes 0 or more")
        require(
            self.prune is None or self.prune >= 0,
            f"{NAME}: prune={self.prune!r} is not accepted; it takes 0 or more rows",
        )
