"""A hidden Markov model, by variational Bayes (MacKay 1997; Beal 2003, chapter 3) or by EM (Baum et al. 1970)."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from targets.conjugate.forward_backward import smooth, viterbi
from targets.conjugate.hidden_markov import HiddenMarkov, path
from targets.kernel import Matrix, Vector
from targets.options import require
from variational.conjugate.ascent import Ascent, ascend
from variational.conjugate.estimator import Estimator, rows
from variational.conjugate.hmm_factors import Categorical, Gaussian
from variational.conjugate.hmm_fit import Data, Fit, begun
from variational.conjugate.hmm_prior import ends_of, prior_of, symbols

NAME = "BayesianHMM"


class BayesianHMM(Estimator):
    """Hidden Markov model with Gaussian or categorical emissions; see `targets.conjugate.hidden_markov` for its prior.

    With `inference='vb'` all parameters have distributions, Dirichlet rows and normal-Wishart (or normal-gamma)
    emissions, independent of the states and of each other; `lower_bound_` is below the log evidence, every constant
    kept and log K! not added. With 'em' they are a point, and `lower_bound_` is the log likelihood plus the log prior
    density there, which EM climbs to a mode of (of probabilities, means and precisions; flat where priors are one).

    Args:
        n_components: states.
        emissions: 'gaussian', of rows of numbers; or 'categorical', of one column of symbols 0, 1, ....
        covariance_type: 'full', or 'diag' for features that are independent within a state.
        inference: 'vb' or 'em'.
        start_concentration_prior, transition_concentration_prior: of the Dirichlet priors; 1 or more with 'em'.
        stickiness: added to the concentration of staying in a state.
        mean_prior: (d,), by default the mean of the data.
        mean_precision_prior: how many observations the prior of a mean counts as.
        degrees_of_freedom_prior: of the precisions, by default d + 1, which leaves correlations uniform; with 'diag' 2.
        covariance_prior: (d, d), or (d,) with 'diag': the inverse of the Wishart's scale, by default the covariance of
            the data.
        emission_concentration_prior: of the Dirichlet priors of symbols.
        n_symbols: how many there are, by default one more than the largest.
        tol: stop where a sweep gains less than so many nats a datum.
        max_iter: sweeps at most, in each of the `n_init` ascents, of which the highest is kept.
        n_init: ascents, from k-means with random seeds, or with symbols from random rows.
        random_state: seed.

    Attributes:
        startprob_ (K,), transmat_ (K, K), emissionprob_ (K, symbols): expected probabilities, or the point.
        means_ (K, d): expected means.
        covariances_ (K, d, d) or (K, d), also as covars_: inverses of the expected precisions.
        start_concentration_, transition_concentration_, emission_concentration_, mean_precision_, degrees_of_freedom_,
            scale_: of the factors, with 'vb'.
        converged_, n_iter_, lower_bound_, lower_bounds_: of the ascent that was kept, in nats.
        n_features_in_: columns of the data.

    Raises:
        ValueError: an argument, or data, are not accepted.
    """

    def __init__(
        self,
        *,
        n_components: int = 1,
        emissions: str = "gaussian",
        covariance_type: str = "full",
        inference: str = "vb",
        start_concentration_prior: float = 1.0,
        transition_concentration_prior: float = 1.0,
        stickiness: float = 0.0,
        mean_prior: npt.ArrayLike | None = None,
        mean_precision_prior: float = 1.0,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: npt.ArrayLike | None = None,
        emission_concentration_prior: float = 1.0,
        n_symbols: int | None = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        n_init: int = 1,
        random_state: int = 0,
    ) -> None:
        self.n_components = n_components
        self.emissions = emissions
        self.covariance_type = covariance_type
        self.inference = inference
        self.start_concentration_prior = start_concentration_prior
        self.transition_concentration_prior = transition_concentration_prior
        self.stickiness = stickiness
        self.mean_prior = mean_prior
        self.mean_precision_prior = mean_precision_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.emission_concentration_prior = emission_concentration_prior
        self.n_symbols = n_symbols
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, lengths: Sequence[int] | None = None) -> Self:
        """Fit to sequences one below the other in X (n, d), of so many rows each; by default they are one sequence."""
        require(self.max_iter >= 1, f"{NAME}: max_iter={self.max_iter} is not accepted; it takes 1 or more")
        require(self.n_init >= 1, f"{NAME}: n_init={self.n_init} is not accepted; it takes 1 or more")
        require(self.tol >= 0, f"{NAME}: tol={self.tol:g} is not accepted; it takes 0 or more")
        given = self._given(X, None)
        n = len(given)
        ends = ends_of(NAME, lengths, n)
        model = prior_of(self, NAME, given)
        require(n >= model.n_components, f"{NAME}: n_samples={n} is not accepted; it takes n_components rows or more")
        data = _laid_out(given)
        best: tuple[Ascent, Fit] | None = None
        for seed in np.random.SeedSequence(self.random_state).spawn(self.n_init):
            made = begun(model, data, ends, np.random.default_rng(seed), point=self.inference == "em")
            try:
                ascent = ascend(made.sweep, data=n, tolerance=self.tol, most=self.max_iter)
            except np.linalg.LinAlgError:
                raise ValueError(
                    f"{NAME}: covariance_prior is too small beside the data for double precision"
                ) from None
            if best is None or ascent.bound > best[0].bound:
                best = ascent, made
        assert best is not None  # noqa: S101  # n_init was checked
        self._learn(model, 1 if given.ndim == 1 else given.shape[1], *best)
        return self

    def _learn(self, model: HiddenMarkov, columns: int, ascent: Ascent, made: Fit) -> None:
        self.n_features_in_, self.model_, self._factors = columns, model, (made.start, made.transitions, made.emissions)
        self.startprob_, self.transmat_ = made.start.means[0], made.transitions.means
        learned = made.emissions
        if isinstance(learned, Gaussian):
            self.means_, self.covariances_ = learned.means, learned.covariances
            self.covars_ = self.covariances_
        elif isinstance(learned, Categorical):
            self.emissionprob_ = learned.rows.means
        if self.inference == "vb":
            self.start_concentration_ = made.start.concentration[0]
            self.transition_concentration_ = made.transitions.concentration
            if isinstance(learned, Gaussian):
                self.mean_precision_, self.degrees_of_freedom_ = learned.precisions, learned.degrees
                self.scale_ = learned.scales if learned.prior.full else learned.scales[:, 0]
            elif isinstance(learned, Categorical):
                self.emission_concentration_ = learned.rows.concentration
        self.lower_bounds_, self.lower_bound_ = np.array(ascent.bounds), ascent.bound
        self.converged_, self.n_iter_ = ascent.converged, len(ascent.bounds)

    def predict(self, X: npt.ArrayLike, lengths: Sequence[int] | None = None) -> npt.NDArray[np.int64]:
        """(n,) the likeliest sequence of states, by Viterbi's recursion."""
        _, ends, distances, _ = self._met(X, lengths)
        start, transitions, _ = self._factors
        states = np.empty(len(distances), np.int64)
        viterbi(ends, start.logs[0], np.ascontiguousarray(transitions.logs), distances, states)
        return states

    def predict_proba(self, X: npt.ArrayLike, lengths: Sequence[int] | None = None) -> Matrix:
        """(n, K) probabilities of the states at each time, given the whole sequence."""
        _, ends, distances, _ = self._met(X, lengths)
        shares = np.empty_like(distances)
        value = _smoothed(ends, self._factors[0].logs[0], self._factors[1].logs, distances, shares)
        require(np.isfinite(value), f"{NAME}: these data have probability zero in every sequence of states")
        return shares

    def score(self, X: npt.ArrayLike, lengths: Sequence[int] | None = None) -> float:
        """Log predictive density of new sequences, in nats.

        Each row and each emission is averaged over its factor every time that it is used (expected probabilities,
        Student's t), states are summed out: this is normalised, over all sequences of a length. A plug-in of the point
        with 'em'. `lower_bound` is below what averaging over the parameters once a sequence would give.
        """
        self._fitted()
        given = self._given(X, self.n_features_in_)
        logs = self._factors[2].predictive(_laid_out(given))
        top = logs.max(axis=1, keepdims=True)
        if not np.isfinite(top).all():
            return -np.inf
        with np.errstate(divide="ignore"):
            start, transitions = np.log(self.startprob_), np.log(self.transmat_)
        distances = np.ascontiguousarray(top - logs)
        ends = ends_of(NAME, lengths, len(given))
        return float(top.sum()) + _smoothed(ends, start, transitions, distances, np.empty_like(distances))

    def lower_bound(self, X: npt.ArrayLike, lengths: Sequence[int] | None = None) -> float:
        """A bound below the log predictive density of new sequences, the parameters averaged over as they were learned.

        The E-step alone (Beal 2003, section 3.6). With 'em' the log likelihood.
        """
        _, ends, distances, largest = self._met(X, lengths)
        if largest == -np.inf:
            return largest
        start, transitions, _ = self._factors
        return largest + _smoothed(ends, start.logs[0], transitions.logs, distances, np.empty_like(distances))

    def sample(
        self, n_samples: int = 1, random_state: int | None = None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """One sequence (n_samples, d), and its states: a draw of what `score` is the log density of."""
        self._fitted()
        require(n_samples >= 1, f"{NAME}: n_samples={n_samples} is not accepted; it takes 1 or more")
        rng = np.random.default_rng(self.random_state if random_state is None else random_state)
        states = path(rng, self.startprob_, self.transmat_, n_samples)
        return self._factors[2].draw(rng, states), states

    def _given(self, X: npt.ArrayLike, features: int | None) -> npt.NDArray[Any]:
        if self.emissions != "categorical":
            return rows(X, NAME, features=features)
        return symbols(X, NAME, None if features is None else self.model_.emissions.n_symbols)

    def _met(
        self, X: npt.ArrayLike, lengths: Sequence[int] | None
    ) -> tuple[Data, npt.NDArray[np.int64], Matrix, float]:
        """New data as the recursions take them: with their ends, distances (n, K), and the sum of the largest."""
        self._fitted()
        given = self._given(X, self.n_features_in_)
        data, distances = _laid_out(given), np.empty((len(given), self.model_.n_components))
        largest = self._factors[2].distances(data, distances)
        return data, ends_of(NAME, lengths, len(given)), distances, largest


def _laid_out(given: npt.NDArray[Any]) -> Data:
    """(d, n) of numbers (n, d); symbols as they are."""
    return given if given.ndim == 1 else np.ascontiguousarray(given.T)


def _smoothed(
    ends: npt.NDArray[np.int64], start: Vector, transitions: Matrix, distances: Matrix, shares: Matrix
) -> float:
    k = len(start)
    transitions = np.ascontiguousarray(transitions)
    return float(smooth(ends, start, transitions, distances, shares, np.empty(k), np.empty((k, k))))
