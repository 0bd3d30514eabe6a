"""Factor analysis and probabilistic principal components by EM, variational EM and variational Bayesian EM."""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from targets.conjugate.factor import FactorPrior
from targets.conjugate.least_squares import Triangle, triangle
from targets.kernel import Matrix, Vector
from targets.options import require
from variational.conjugate.ascent import Ascent, ascend
from variational.conjugate.estimator import Estimator, rows
from variational.conjugate.factor_bayes import BayesianFactors
from variational.conjugate.factor_em import PointFactors, at_random, principal

NAME = "FactorAnalysis"
INFERENCES = ("em", "vem", "vbem")
RANK = 1e-10  # of the largest singular value of standardised columns
_LOG_2PI = float(np.log(2 * np.pi))


class FactorAnalysis(Estimator):
    """x = mean + loadings z + noise, with z ~ N(0, I) of few coordinates; see `targets.conjugate.factor`.

    With one variance of the noise (`noise='isotropic'`) these are probabilistic principal components.

    - `inference='em'`: loadings and noise are points, q(z) is exact, and the bound is the log likelihood.
    - 'vem': q(z) has a factor for every coordinate, and the bound is below the log likelihood by `gap_`.
    - 'vbem': loadings, noise precisions and the precisions of columns of loadings have factors of q as well, and the
      bound is below the log evidence. Columns that the data do not ask for are pressed towards zero.

    Loadings are known up to a rotation of z: with any rotation R, loadings R and R'z are the same model, so that what
    can be compared is `get_covariance()`, and not entries of `components_`. 'em' and 'vem' leave them in whatever
    rotation they end; 'vbem' turns them so that columns are orthogonal, the prior's favourite.

    Args:
        n_components: coordinates of z; below the number of columns with 'em' and 'vem'.
        noise: 'diagonal', a variance for every column, or 'isotropic', one of all.
        inference: 'em', 'vem' or 'vbem'.
        init: 'pca', probabilistic principal components in closed form (of standardised columns with diagonal noise: a
            start; with isotropic noise: the maximum of the likelihood already), or 'random'.
        n_init: starts, of which the one with the best bound is kept; those after the first are random.
        noise_shape, noise_rate: of a noise precision; 'vbem' alone reads these and the next.
        shape, rate: of the precision of a column of loadings.
        rotate: whether 'vbem' changes the basis of z after each sweep where that raises the bound.
        accelerate: whether every third sweep of 'em' and 'vem' is extrapolated, where that raises the bound.
        tol: nats a row that a sweep has to gain for another to follow.
        max_iter: sweeps at most.
        random_state: seed of random starts.

    Attributes:
        components_: (n_components, n_features) loadings, with 'vbem' their posterior means.
        noise_variance_: (n_features,) of the noise, with 'vbem' posterior means.
        mean_: (n_features,) of the rows.
        lower_bound_: in nats, of all rows, with every constant; `lower_bounds_` after each sweep.
        log_likelihood_: of all rows at the parameters, with 'em' and 'vem'.
        gap_: what `lower_bound_` is below it; `gaps_` after each sweep.
        precision_: (n_components,) expected precisions of columns of loadings, with 'vbem'.
        n_iter_, converged_: sweeps, and whether the last gained less than `tol`.

    Raises:
        ValueError: an option or data are not accepted.
    """

    def __init__(
        self,
        *,
        n_components: int = 2,
        noise: Literal["diagonal", "isotropic"] = "diagonal",
        inference: Literal["em", "vem", "vbem"] = "em",
        init: Literal["pca", "random"] = "pca",
        n_init: int = 1,
        noise_shape: float = 1e-3,
        noise_rate: float = 1e-3,
        shape: float = 1e-3,
        rate: float = 1e-3,
        rotate: bool = True,
        accelerate: bool = True,
        tol: float = 1e-8,
        max_iter: int = 1000,
        random_state: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.noise = noise
        self.inference = inference
        self.init = init
        self.n_init = n_init
        self.noise_shape = noise_shape
        self.noise_rate = noise_rate
        self.shape = shape
        self.rate = rate
        self.rotate = rotate
        self.accelerate = accelerate
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def _checked(self) -> FactorPrior:
        for name, known in (("inference", INFERENCES), ("init", ("pca", "random"))):
            given = getattr(self, name)
            require(given in known, f"{NAME}: {name}={given!r} is not accepted; it takes {', '.join(known)}")
        for name in ("n_components", "n_init", "max_iter"):
            given = getattr(self, name)
            require(given >= 1, f"{NAME}: {name}={given!r} is not accepted; it takes 1 or more")
        require(self.tol >= 0, f"{NAME}: tol={self.tol!r} is not accepted; it takes numbers from 0")
        return FactorPrior(self.noise, self.noise_shape, self.noise_rate, self.shape, self.rate)

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:  # noqa: ARG002  (the convention's argument)
        """Fit to rows X (n, n_features)."""
        prior = self._checked()
        values = rows(X, NAME, least=2)
        data = triangle(values, centred=True)
        if self.inference == "vbem":
            d = values.shape[1]
            require(
                self.n_components <= d,
                f"{NAME}: n_components={self.n_components} is not accepted; it takes at most n_features={d}",
            )
        else:
            self._maximum_exists(data)
        rng = np.random.default_rng(self.random_state)
        found = [self._ascent(data, prior, start, rng) for start in range(self.n_init)]
        ascent, gaps, factors = max(found, key=lambda each: each[0].bound)
        self.n_features_in_ = values.shape[1]
        self.mean_: Vector = values.mean(axis=0)
        self._keep(factors)
        self.lower_bounds_, self.gaps_ = np.array(ascent.bounds), gaps
        self.lower_bound_, self.converged_, self.n_iter_ = ascent.bound, ascent.converged, len(ascent.bounds)
        return self

    def _maximum_exists(self, data: Triangle) -> None:
        """Refuse data under which the likelihood has no maximum."""
        d, k = data.factor.shape[1], self.n_components
        mean = np.zeros(d) if data.mean is None else data.mean
        size = np.sqrt(np.square(data.factor).sum(axis=0))
        constant = np.flatnonzero(size <= 1e-14 * np.sqrt(data.n) * np.maximum(np.abs(mean), 1e-290))
        require(
            len(constant) == 0 or (self.noise == "isotropic" and len(constant) < d),
            f"{NAME}: column {constant[0] if len(constant) else ''} is constant, so that the likelihood has no "
            "maximum; leave it out, or take inference='vbem'",
        )
        size = np.ones(d) if self.noise == "isotropic" else size
        singular = np.linalg.svd(data.factor / size, compute_uv=False)
        rank = int((singular > RANK * singular[0]).sum())
        require(
            k < min(rank, d),
            f"{NAME}: n_components={k} is not accepted with n_samples={data.n}, n_features={d}: it takes less than "
            f"{rank}, the rank of the centred rows, or the likelihood has no maximum; inference='vbem' takes more",
        )

    def _ascent(
        self, data: Triangle, prior: FactorPrior, start: int, rng: np.random.Generator
    ) -> tuple[Ascent, Vector, PointFactors | BayesianFactors]:
        isotropic = self.noise == "isotropic"
        if self.init == "pca" and start == 0:
            loadings, noise = principal(data, self.n_components, isotropic)
        else:
            loadings, noise = at_random(data, self.n_components, isotropic, rng)
        gaps: list[float] = []
        factors: PointFactors | BayesianFactors
        if self.inference == "vbem":
            variance = np.square(data.factor).sum(axis=0) / data.n
            usual = variance.mean() or 1.0
            least = 1e-3 * np.where(variance > 0, variance, usual)
            noise = np.maximum(noise, usual * 1e-3 if isotropic else least)
            factors = BayesianFactors(data, prior, loadings, 1.0 / noise, self.rotate)
            sweep = factors.sweep
        else:
            factors = point = PointFactors(data, loadings, noise, isotropic, self.inference == "em", self.accelerate)

            def sweep() -> float:
                bound = point.sweep()
                gaps.append(point.gap)
                return bound

        ascent = ascend(sweep, data=data.n, tolerance=self.tol, most=self.max_iter)
        return ascent, np.array(gaps), factors

    def _keep(self, factors: PointFactors | BayesianFactors) -> None:
        self._factors = factors
        if isinstance(factors, BayesianFactors):
            self.components_: Matrix = np.ascontiguousarray(factors.mean.T)
            self.precision_: Vector = factors.precision.copy()
            self._covariance = factors.covariance_of_rows()
            self._projection = factors.projection
            expected = np.zeros(self.n_features_in_)
            more = factors.noise_shape - 1.0
            self.noise_variance_: Vector = expected + (factors.noise_rates / more if more > 0 else np.inf)
            return
        self.components_ = np.ascontiguousarray(factors.loadings.T)
        self.noise_variance_ = factors.noise.copy()
        self.log_likelihood_, self.gap_ = factors.log_likelihood, factors.gap
        self._covariance = factors.loadings @ factors.loadings.T + np.diag(factors.noise)
        scaled = factors.loadings / factors.noise[:, None]
        inner = np.linalg.inv(np.eye(self.n_components) + factors.loadings.T @ scaled)
        self._projection = np.asarray(scaled @ inner, dtype=np.float64)

    def get_covariance(self) -> Matrix:
        """(n_features, n_features) loadings loadings' + the noise's; with 'vbem' its posterior mean."""
        self._fitted()
        return self._covariance.copy()

    def transform(self, X: npt.ArrayLike) -> Matrix:
        """(n, n_components) means of q(z) for rows X."""
        self._fitted()
        return np.asarray((rows(X, NAME, features=self.n_features_in_) - self.mean_) @ self._projection)

    def fit_transform(self, X: npt.ArrayLike, y: object = None) -> Matrix:
        """`fit`, and then `transform` of the same rows."""
        return self.fit(X, y).transform(X)

    def score_samples(self, X: npt.ArrayLike) -> Vector:
        """(n,) log density of rows X in nats under N(`mean_`, `get_covariance()`).

        With 'vbem' that takes the posterior means of mean and covariance for the truth.
        """
        self._fitted()
        away = rows(X, NAME, features=self.n_features_in_) - self.mean_
        lower = np.linalg.cholesky(self._covariance)
        whitened = solve_triangular(lower, away.T, lower=True)
        constant = len(lower) * _LOG_2PI + 2.0 * float(np.log(np.diagonal(lower)).sum())
        return np.asarray(-0.5 * (np.square(whitened).sum(axis=0) + constant))

    def score(self, X: npt.ArrayLike, y: object = None) -> float:  # noqa: ARG002
        """Mean of `score_samples`."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: int | None = None) -> Matrix:
        """New rows (n_samples, n_features); with 'vbem' each with parameters of its own, drawn from q."""
        self._fitted()
        require(n_samples >= 1, f"{NAME}: n_samples={n_samples} is not accepted; it takes 1 or more")
        rng = np.random.default_rng(random_state)
        z = rng.standard_normal((n_samples, self.n_components))
        noise = rng.standard_normal((n_samples, self.n_features_in_))
        if not isinstance(self._factors, BayesianFactors):
            return np.asarray(self.mean_ + z @ self.components_ + noise * np.sqrt(self.noise_variance_))
        drawn = self._draws(n_samples, rng)
        return np.asarray(
            drawn["mean"] + np.einsum("ijk,ik->ij", drawn["loading"], z) + noise / np.sqrt(drawn["noise_precision"])
        )

    def sample_parameters(self, n_samples: int = 1, random_state: int | None = None) -> dict[str, Any]:
        """Draws from q with 'vbem', by name, n_samples of each.

        `loading` (n_features, n_components), `noise_precision` and `mean` (n_features,), `precision` (n_components,),
        and `covariance` (n_features, n_features), which the others imply of a row.

        Raises:
            ValueError: with 'em' and 'vem' parameters are points.
        """
        self._fitted()
        require(n_samples >= 1, f"{NAME}: n_samples={n_samples} is not accepted; it takes 1 or more")
        drawn = self._draws(n_samples, np.random.default_rng(random_state))
        covariance = drawn["loading"] @ drawn["loading"].transpose(0, 2, 1)
        covariance[:, range(self.n_features_in_), range(self.n_features_in_)] += 1.0 / drawn["noise_precision"]
        return {**drawn, "covariance": covariance}

    def _draws(self, n: int, rng: np.random.Generator) -> dict[str, Any]:
        factors = self._factors
        if not isinstance(factors, BayesianFactors):
            raise ValueError(f"{NAME}: inference={self.inference!r} has points, and no draws; 'vbem' has")
        loading, noise, precision = factors.draw(rng, n)
        away = np.einsum("ijk,ik->ij", loading, rng.standard_normal((n, self.n_components)))
        away = (away + rng.standard_normal(noise.shape) / np.sqrt(noise)) / np.sqrt(factors.data.n)
        return {"loading": loading, "noise_precision": noise, "precision": precision, "mean": self.mean_ + away}

    def __sklearn_tags__(self) -> Any:
        """Called by scikit-learn alone."""
        from sklearn.utils import TransformerTags

        tags = super().__sklearn_tags__()
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        return tags
