"""A hidden Markov model whose posterior has conjugate conditionals: its prior, and draws of all that it speaks of.

start ~ Dirichlet(start_concentration, ...)        transition_i ~ Dirichlet(transition_concentration, ...), where
`stickiness` is added to the concentration of staying (Fox et al., Annals of Applied Statistics 5, 2011)
z_1 ~ start    z_t ~ transition_(z_(t-1))          y_t ~ the emissions of state z_t

Emissions are Gaussian, with a normal-Wishart prior of each state (or, with independent features, a normal-gamma prior
of each feature), or categorical, with a Dirichlet prior. States are exchangeable.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from targets.kernel import Matrix, Vector
from targets.options import require


@dataclass(frozen=True, eq=False)
class GaussianEmissions:
    """precision ~ Wishart(degrees_of_freedom, inverse(scale)), mean | precision ~ N(mean, inverse(mean_precision precision)).

    With a vector for `scale` features are independent: precision_a ~ Gamma(degrees_of_freedom / 2, scale_a / 2), by
    shape and rate.

    Attributes:
        mean: (d,).
        mean_precision: how many observations the prior of a mean counts as, positive.
        degrees_of_freedom: above d - 1; above 0 where features are independent.
        scale: (d, d) positive definite, or (d,) positive.
    """

    mean: Vector
    mean_precision: float
    degrees_of_freedom: float
    scale: Vector | Matrix

    def __post_init__(self) -> None:
        d = len(self.mean)
        _positive("mean_precision", self.mean_precision)
        least = d - 1 if self.full else 0
        require(
            least < self.degrees_of_freedom < np.inf,
            f"degrees_of_freedom={self.degrees_of_freedom:g} is not accepted; it takes numbers above {least}",
        )
        require(bool(np.isfinite(self.mean).all()), "the mean is not accepted; it takes finite numbers")
        if self.full:
            said = f"the scale is not accepted; it takes a symmetric positive definite matrix ({d}, {d})"
            require(self.scale.shape == (d, d) and np.array_equal(self.scale, self.scale.T), said)
            require(_definite(self.scale), said)
        else:
            accepted = self.scale.shape == (d,) and bool((self.scale > 0).all()) and bool((self.scale < np.inf).all())
            require(accepted, f"the scale is not accepted; it takes {d} positive numbers")

    @property
    def full(self) -> bool:
        """Whether features depend on each other within a state."""
        return self.scale.ndim == 2


@dataclass(frozen=True, eq=False)
class CategoricalEmissions:
    """emission_k ~ Dirichlet(concentration, ...) over the symbols 0, ..., n_symbols - 1."""

    n_symbols: int
    concentration: float

    def __post_init__(self) -> None:
        require(self.n_symbols >= 1, f"n_symbols={self.n_symbols} is not accepted; it takes 1 or more")
        _positive("concentration", self.concentration)


class HiddenMarkovParameters(NamedTuple):
    """One draw: start (K,), transitions (K, K), and means (K, d) with covariances (K, d, d), or emissions (K, symbols)."""

    start: Vector
    transitions: Matrix
    means: Matrix | None = None
    covariances: npt.NDArray[np.float64] | None = None
    emissions: Matrix | None = None


@dataclass(frozen=True, eq=False)
class HiddenMarkov:
    """`n_components` exchangeable states; see the module."""

    n_components: int
    emissions: GaussianEmissions | CategoricalEmissions
    start_concentration: float = 1.0
    transition_concentration: float = 1.0
    stickiness: float = 0.0

    def __post_init__(self) -> None:
        require(self.n_components >= 1, f"n_components={self.n_components} is not accepted; it takes 1 or more")
        _positive("start_concentration", self.start_concentration)
        _positive("transition_concentration", self.transition_concentration)
        require(0 <= self.stickiness < np.inf, f"stickiness={self.stickiness:g} is not accepted; it takes 0 or more")

    @property
    def start_prior(self) -> Vector:
        """(K,) concentrations."""
        return np.full(self.n_components, float(self.start_concentration))

    @property
    def transition_prior(self) -> Matrix:
        """(K, K) concentrations of the rows."""
        k = self.n_components
        return np.full((k, k), float(self.transition_concentration)) + self.stickiness * np.eye(k)

    def draw(self, rng: np.random.Generator) -> HiddenMarkovParameters:
        """Parameters from the prior."""
        k, emits = self.n_components, self.emissions
        start = rows(log_gammas(rng, self.start_prior))
        transitions = rows(log_gammas(rng, self.transition_prior))
        if isinstance(emits, CategoricalEmissions):
            shapes = np.full((k, emits.n_symbols), emits.concentration)
            return HiddenMarkovParameters(start, transitions, emissions=rows(log_gammas(rng, shapes)))
        d = len(emits.mean)
        covariances = np.zeros((k, d, d))
        for i in range(k):
            if emits.full:
                covariances[i] = _inverse_wishart(rng, emits.degrees_of_freedom, emits.scale)
            else:
                covariances[i] = np.diag(emits.scale / rng.chisquare(emits.degrees_of_freedom, size=d))
        noise = np.einsum("kij,kj->ki", np.linalg.cholesky(covariances), rng.standard_normal((k, d)))
        return HiddenMarkovParameters(
            start, transitions, emits.mean + noise / np.sqrt(emits.mean_precision), covariances
        )

    def simulate(self, rng: np.random.Generator, parameters: HiddenMarkovParameters, n: int) -> Any:
        """(n, d) numbers or (n, 1) symbols of one sequence, and the states (n,) behind them."""
        states = path(rng, parameters.start, parameters.transitions, n)
        if parameters.emissions is not None:
            return _picked(rng, parameters.emissions[states])[:, None], states
        assert parameters.means is not None and parameters.covariances is not None  # noqa: S101, PT018
        roots = np.linalg.cholesky(parameters.covariances)
        noise = rng.standard_normal((n, parameters.means.shape[1]))
        return parameters.means[states] + np.einsum("nij,nj->ni", roots[states], noise), states


def log_gammas(rng: np.random.Generator, shapes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Logarithms of Gamma(shape, 1) variables, finite where these are not above zero (Marsaglia and Tsang 2000)."""
    uniform = 1.0 - rng.random(shapes.shape)
    return np.asarray(np.log(rng.standard_gamma(shapes + 1.0)) + np.log(uniform) / shapes)


def rows(logs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """exp(logs) over its sum along the last axis: Dirichlet rows of the logarithms of gamma variables."""
    amounts = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(amounts / amounts.sum(axis=-1, keepdims=True))


def path(rng: np.random.Generator, start: Vector, transitions: Matrix, n: int) -> npt.NDArray[np.int64]:
    """(n,) states of a chain."""
    cumulative = np.cumsum(np.vstack([start, transitions]), axis=1)
    cumulative /= cumulative[:, -1:]
    states, at = np.empty(n, np.int64), 0
    for t, u in enumerate(rng.random(n)):
        states[t] = np.searchsorted(cumulative[at], u, side="right")
        at = int(states[t]) + 1
    return states


def _picked(rng: np.random.Generator, probabilities: Matrix) -> npt.NDArray[np.int64]:
    """(n,) an index of each row, drawn with its probabilities (n, m)."""
    cumulative = np.cumsum(probabilities, axis=1)
    return np.asarray((rng.random((len(cumulative), 1)) * cumulative[:, -1:] >= cumulative).sum(axis=1))


def _inverse_wishart(rng: np.random.Generator, degrees_of_freedom: float, scale: Matrix) -> Matrix:
    """The inverse of a Wishart precision of mean degrees_of_freedom * inverse(scale), by Bartlett's decomposition."""
    d = len(scale)
    bartlett = np.tril(rng.standard_normal((d, d)), -1)
    bartlett[np.diag_indices(d)] = np.sqrt(rng.chisquare(degrees_of_freedom - np.arange(d)))
    root = np.linalg.solve(bartlett, np.linalg.cholesky(scale).T)
    return np.asarray(root.T @ root)


def _positive(name: str, value: float) -> None:
    require(0 < value < np.inf, f"{name}={value:g} is not accepted; it takes positive numbers")


def _definite(matrix: Matrix) -> bool:
    if not np.isfinite(matrix).all():
        return False
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
