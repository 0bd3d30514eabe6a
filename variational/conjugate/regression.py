"""Bayesian linear regression with unknown noise: a normal-gamma prior, one precision, or one for each coefficient."""

import math
import sys
import warnings
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from targets.conjugate.least_squares import Triangle, triangle
from targets.conjugate.regression import RegressionPrior
from targets.kernel import Matrix, Vector
from targets.options import require
from variational.conjugate.ascent import Ascent, ascend
from variational.conjugate.estimator import Estimator, rows
from variational.conjugate.regression_factors import Joint, Relevance, Shared

NAME = "BayesianLinearRegression"


class BayesianLinearRegression(Estimator):
    """The model of `targets.conjugate.regression`, fitted by coordinate ascent; names are those of `BayesianRidge`.

    With `prior='ratio'` q(coef, noise precision) is joint: it is the posterior, and the bound the log evidence. With
    'shared' it is q(coef) q(noise precision) q(precision); with 'ard' every coefficient has a precision, and a factor
    for it. In all three q of the intercept, given the coefficients and the noise, is its conditional.

    Args:
        prior: of the coefficients: 'ratio', 'shared' or 'ard'.
        ratio: precision of a coefficient in units of that of the noise; 'ratio' alone reads it.
        alpha_1, alpha_2: shape and rate of the noise precision.
        lambda_1, lambda_2: shape and rate of the coefficients' precision, or precisions.
        fit_intercept: with the flat prior of density one; else there is none.
        threshold_lambda: with 'ard', coefficients whose precision is expected above it are set to zero, and the bound
            is from then on that of the model without them. None keeps all, and the bound never falls.
        tol: nats a row that a sweep has to gain for another to follow.
        max_iter: sweeps at most.

    Attributes:
        coef_: (n_features,) posterior means.
        intercept_: posterior mean.
        sigma_: (n_features, n_features) posterior covariance of the coefficients.
        alpha_: posterior mean of the noise precision, whose law is Gamma(`alpha_shape_`, rate=`alpha_rate_`).
        lambda_: posterior mean of the coefficients' precision; (n_features,) with 'ard', infinite where left out.
        lower_bound_: on the log evidence in nats, with every constant; `lower_bounds_` after each sweep.
        n_iter_, converged_: sweeps, and whether the last gained less than `tol`.

    Raises:
        ValueError: an option or data are not accepted.
    """

    def __init__(
        self,
        *,
        prior: Literal["ratio", "shared", "ard"] = "shared",
        ratio: float = 1.0,
        alpha_1: float = 1e-6,
        alpha_2: float = 1e-6,
        lambda_1: float = 1e-6,
        lambda_2: float = 1e-6,
        fit_intercept: bool = True,
        threshold_lambda: float | None = None,
        tol: float = 1e-8,
        max_iter: int = 1000,
    ) -> None:
        self.prior = prior
        self.ratio = ratio
        self.alpha_1 = alpha_1
        self.alpha_2 = alpha_2
        self.lambda_1 = lambda_1
        self.lambda_2 = lambda_2
        self.fit_intercept = fit_intercept
        self.threshold_lambda = threshold_lambda
        self.tol = tol
        self.max_iter = max_iter

    def _checked(self) -> RegressionPrior:
        most = self.threshold_lambda
        require(self.tol >= 0, f"{NAME}: tol={self.tol!r} is not accepted; it takes numbers from 0")
        require(self.max_iter >= 1, f"{NAME}: max_iter={self.max_iter!r} is not accepted; it takes 1 or more")
        require(
            most is None or (most > 0 and self.prior == "ard"),
            f"{NAME}: threshold_lambda={most!r} is not accepted; it takes a positive number, with prior='ard' alone",
        )
        return RegressionPrior(self.prior, self.alpha_1, self.alpha_2, self.ratio, self.lambda_1, self.lambda_2)

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit to rows X (n, n_features) and responses y (n,)."""
        return self._learn(_joined(X, y), None)

    def partial_fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Add rows to those of earlier calls: in whatever parts rows come, the posterior is that of all of them.

        What is kept of them is a triangle as wide as the columns, and loses nothing.
        """
        fitted = self.__sklearn_is_fitted__()
        return self._learn(_joined(X, y, self.n_features_in_ if fitted else None), self._data if fitted else None)

    def _learn(self, joined: Matrix, before: Triangle | None) -> Self:
        prior = self._checked()
        data = triangle(joined, centred=self.fit_intercept)
        if before is not None:
            require(
                (before.mean is None) == (data.mean is None),
                f"{NAME}: fit_intercept changed since the last partial_fit; fit starts anew",
            )
            data = before.merged(data)
        self._data = data
        self.n_features_in_ = joined.shape[1] - 1
        most = math.inf if self.threshold_lambda is None else self.threshold_lambda
        factors: Joint | Shared | Relevance
        if prior.kind == "ratio":
            factors = Joint(data, prior)
            ascent = Ascent((factors.sweep(),), True)
        else:
            factors = Shared(data, prior) if prior.kind == "shared" else Relevance(data, prior, most)
            ascent = ascend(factors.sweep, data=data.n, tolerance=self.tol, most=self.max_iter)
        self._spread = factors.spread
        self.coef_: Vector = factors.coef
        self._centre = np.zeros(self.n_features_in_) if data.mean is None else data.mean[:-1]
        self.intercept_ = 0.0 if data.mean is None else float(data.mean[-1] - self._centre @ self.coef_)
        self.alpha_shape_, self.alpha_rate_ = float(factors.noise_shape), float(factors.noise_rate)
        self.alpha_ = self.alpha_shape_ / self.alpha_rate_
        self._set_lambda(factors)
        self.lower_bounds_ = np.array(ascent.bounds)
        self.lower_bound_, self.converged_, self.n_iter_ = ascent.bound, ascent.converged, len(ascent.bounds)
        return self

    def _set_lambda(self, factors: Joint | Shared | Relevance) -> None:
        self.lambda_: float | Vector
        self._precision: tuple[float, Any] | None = None
        if isinstance(factors, Joint):
            self.lambda_ = self.ratio * self.alpha_
        elif isinstance(factors, Shared):
            self.lambda_ = factors.shape / factors.rate
            self._precision = factors.shape, factors.rate
        else:
            rates = np.zeros(self.n_features_in_)
            rates[factors.places] = factors.rates
            self._precision = factors.shape, rates
            with np.errstate(divide="ignore"):
                self.lambda_ = factors.shape / rates

    @property
    def sigma_(self) -> Matrix:
        """(n_features, n_features); made when read."""
        self._fitted()
        return self._noise_variance() ** self._scaled * self._spread.covariance()

    @property
    def _scaled(self) -> int:
        """1 where `_spread` is in units of the noise's variance."""
        return int(self._precision is None)

    def _noise_variance(self) -> float:
        """E 1 / noise precision, infinite where q's shape is at most one."""
        return self.alpha_rate_ / (self.alpha_shape_ - 1.0) if self.alpha_shape_ > 1.0 else math.inf

    def predict(self, X: npt.ArrayLike, return_std: bool = False) -> Any:
        """Means (n,) of the responses at X, and with `return_std` the sds (n,) of new responses there.

        The sds are those of the predictive law under q, with the uncertainty of the noise, the coefficients and the
        intercept; `BayesianRidge` takes the noise for known and the intercept for certain.
        """
        self._fitted()
        points = rows(X, NAME, features=self.n_features_in_)
        mean = points @ self.coef_ + self.intercept_
        if not return_std:
            return mean
        noise = self._noise_variance()
        own = noise * (1.0 + (1.0 / self._data.n if self.fit_intercept else 0.0))
        return mean, np.sqrt(own + noise**self._scaled * self._spread.of(points - self._centre))

    def score(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """The share of the responses' variance that the predictions explain, R^2; NaN for fewer than two rows."""
        self._fitted()
        joined = _joined(X, y, self.n_features_in_)
        away = joined[:, -1] - joined[:, -1].mean()
        total = float(away @ away)
        error = joined[:, -1] - self.predict(joined[:, :-1])
        if len(joined) < 2:
            return math.nan
        return 1.0 - float(error @ error) / total if total > 0 else float(not (error @ error) > 0)

    def sample(self, n_samples: int = 1, random_state: int | None = None) -> dict[str, npt.NDArray[np.float64]]:
        """Draws from q: `coef` (n_samples, n_features), `intercept` and `noise_precision` (n_samples,), `precision`.

        Those of `precision` are (n_samples,), (n_samples, n_features) with 'ard', and left out with 'ratio'.
        """
        self._fitted()
        require(n_samples >= 1, f"{NAME}: n_samples={n_samples} is not accepted; it takes 1 or more")
        rng = np.random.default_rng(random_state)
        noise = rng.gamma(self.alpha_shape_, 1.0 / self.alpha_rate_, n_samples)
        deviation = self._spread.draw(rng, n_samples)
        drawn = {"coef": self.coef_ + (deviation / np.sqrt(noise)[:, None] if self._scaled else deviation)}
        drawn["intercept"] = np.zeros(n_samples)
        if self._data.mean is not None:
            centre = self._data.mean[-1] - drawn["coef"] @ self._centre
            drawn["intercept"] = centre + rng.standard_normal(n_samples) / np.sqrt(noise * self._data.n)
        drawn["noise_precision"] = noise
        if self._precision is not None:
            shape, rate = self._precision
            with np.errstate(divide="ignore"):
                drawn["precision"] = rng.standard_gamma(shape, (n_samples, *np.shape(rate))) / rate
        return drawn

    def sample_y(self, X: npt.ArrayLike, n_samples: int = 1, random_state: int | None = None) -> Matrix:
        """New responses (n, n_samples) at X, from the predictive law under q."""
        self._fitted()
        points = rows(X, NAME, features=self.n_features_in_)
        rng = np.random.default_rng(random_state)
        drawn = self.sample(n_samples, int(rng.integers(2**31)))
        mean = points @ drawn["coef"].T + drawn["intercept"]
        return np.asarray(mean + rng.standard_normal(mean.shape) / np.sqrt(drawn["noise_precision"]))

    def __sklearn_tags__(self) -> Any:
        """Called by scikit-learn alone."""
        from sklearn.utils import RegressorTags

        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = RegressorTags()
        tags.target_tags.required = True
        return tags


def _joined(X: npt.ArrayLike, y: npt.ArrayLike | None, features: int | None = None) -> Matrix:
    """The rows [X, y] (n, features + 1)."""
    if y is None:
        raise ValueError(f"{NAME} requires y to be passed, but the target y is None")
    covariates = rows(X, NAME, features=features)
    try:
        response = np.asarray(y)
        if np.iscomplexobj(response):
            raise ValueError("Complex data not supported")
        response = response.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{NAME}: the responses y are not real numbers ({error})") from None
    if response.ndim == 2 and response.shape[1] == 1:
        _column(response)
        response = response[:, 0]
    if response.ndim != 1:
        raise ValueError(f"{NAME}: y should be a 1d array, got an array of shape {response.shape} instead")
    if len(response) != len(covariates):
        raise ValueError(
            f"{NAME}: Found input variables with inconsistent numbers of samples: "
            f"{len(covariates)} rows X and {len(response)} responses y"
        )
    if not np.isfinite(response).all():
        kind = "NaN" if np.isnan(response).any() else "infinity"
        raise ValueError(f"{NAME}: Input y contains {kind}; it takes finite numbers")
    return np.column_stack([covariates, response])


def _column(response: Matrix) -> None:
    """Say that a column is taken for a vector, with scikit-learn's own warning where it is loaded."""
    loaded = sys.modules.get("sklearn.exceptions")
    warnings.warn(
        f"A column-vector y was passed when a 1d array was expected; y.ravel() makes one of {response.shape}",
        UserWarning if loaded is None else loaded.DataConversionWarning,
        stacklevel=4,
    )
