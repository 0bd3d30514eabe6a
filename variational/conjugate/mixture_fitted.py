"""What a fitted mixture tells: its parameters, and what it says of rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from targets.kernel import Matrix, Vector
from targets.options import require
from variational.conjugate.blocks import blocks
from variational.conjugate.estimator import Estimator
from variational.conjugate.mixture_ascent import generator
from variational.conjugate.mixture_bound import Mixture
from variational.conjugate.mixture_moments import Moments
from variational.conjugate.mixture_sweep import Pass
from variational.conjugate.mixture_weights import Sticks

NAME = "BayesianGaussianMixture"


class Fitted(Estimator):
    """The half of the estimator that reads q."""

    random_state: Any
    prior_: Mixture
    posterior_: Mixture
    _moments_: Moments

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "posterior_")

    @property
    def n_components_(self) -> int:
        """How many components there are."""
        return len(self.posterior_.gaussians.mean)

    @property
    def weights_(self) -> Vector:
        """(K,) expected weights."""
        return self.posterior_.weights.means()

    @property
    def means_(self) -> Matrix:
        """(K, d) expected means."""
        return np.asarray(self.posterior_.gaussians.mean)

    @property
    def covariances_(self) -> Matrix:
        """Inverses of expected precisions: (K, d, d), (d, d), (K, d) or (K,)."""
        return np.asarray(self._shaped(self.posterior_.gaussians.covariances()))

    @property
    def precisions_cholesky_(self) -> Matrix:
        """U with U U^T the expected precision, upper triangular; square roots where it is diagonal."""
        factor, kind = self.posterior_.gaussians.factor(), self.posterior_.gaussians
        if kind.crossed:
            upper = factor.transpose(0, 2, 1)
            return np.asarray(self._shaped(upper[: len(kind.scale)]))
        return np.asarray(factor[:, 0] if kind.scale.ndim == 2 else factor[:, 0, 0])

    @property
    def precisions_(self) -> Matrix:
        """Expected precisions, of the shape of `covariances_`."""
        root = self.precisions_cholesky_
        return np.asarray(root @ np.swapaxes(root, -1, -2) if self.posterior_.gaussians.crossed else root**2)

    @property
    def weight_concentration_(self) -> Any:
        """(K,) of q's Dirichlet distribution, or of the Dirichlet process both parameters of each stick's Beta."""
        weights: Any = self.posterior_.weights
        return (weights.a, weights.b) if isinstance(weights, Sticks) else weights.concentration

    @property
    def mean_precision_(self) -> Vector:
        """(K,) how many rows q of each mean counts as."""
        return self.posterior_.gaussians.mean_precision

    @property
    def degrees_of_freedom_(self) -> Any:
        """(K,), or one number where all share a covariance."""
        return self._shaped(self.posterior_.gaussians.degrees_of_freedom)

    @property
    def weight_concentration_prior_(self) -> float:
        """As it was used."""
        weights: Any = self.prior_.weights
        return float(weights.b[0] if isinstance(weights, Sticks) else weights.concentration[0])

    @property
    def mean_precision_prior_(self) -> float:
        """As it was used."""
        return float(self.prior_.gaussians.mean_precision[0])

    @property
    def mean_prior_(self) -> Vector:
        """(d,) as it was used."""
        return np.asarray(self.prior_.gaussians.mean[0])

    @property
    def degrees_of_freedom_prior_(self) -> float:
        """As it was used."""
        return float(self.prior_.gaussians.degrees_of_freedom[0])

    @property
    def covariance_prior_(self) -> Matrix:
        """(d, d), (d,) or a number, as it was used."""
        return np.asarray(self.prior_.gaussians.scale[0])

    def _shaped(self, values: Matrix) -> Any:
        """Without the first axis where all components share one precision."""
        return values[0] if self.posterior_.gaussians.shared else values

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """The likeliest component (m,) of each row (m, d)."""
        return np.concatenate([logs.argmax(1) for logs in self._logs(X)])

    def predict_proba(self, X: Any) -> Matrix:
        """The shares (m, K) of the components in each row, as a sweep makes them."""
        parts = []
        for logs in self._logs(X):
            values = np.exp(logs - logs.max(1, keepdims=True))
            parts.append(values / values.sum(1, keepdims=True))
        return np.concatenate(parts)

    def score_samples(self, X: Any) -> Vector:
        """The log predictive density (m,) of each row in nats: weights, means and precisions are integrated out over q.

        It is a mixture of Student's t densities. Of a Dirichlet process, the weight beyond the K sticks is shared out.
        """
        self._fitted()
        log_weights = np.log(self.weights_)
        gaussians = self.posterior_.gaussians
        parts = []
        for rows in blocks(X, NAME, features=self.n_features_in_):
            logs = gaussians.log_predictive(rows) + log_weights
            top = logs.max(1)
            parts.append(top + np.log(np.exp(logs - top[:, None]).sum(1)))
        return np.concatenate(parts)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """The mean of `score_samples`, in nats a row."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Matrix, npt.NDArray[np.int64]]:
        """Draws (n_samples, d) of the predictive density, and the components (n_samples,) that they come from."""
        self._fitted()
        require(n_samples >= 1, f"{NAME}: n_samples={n_samples} is not accepted; it takes 1 or more")
        rng = generator(self.random_state if random_state is None else random_state)
        labels = rng.choice(len(self.weights_), size=n_samples, p=self.weights_)
        return self.posterior_.gaussians.draw_rows(rng, labels), labels

    def _logs(self, X: Any) -> Iterator[Matrix]:
        self._fitted()
        over = Pass(self.posterior_.components())
        for rows in blocks(X, NAME, features=self.n_features_in_):
            yield over.log_densities(rows)
