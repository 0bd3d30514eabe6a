"""Gibbs sampling of a hidden Markov model: all parameters given the states, and all states together given these."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from samplers.draws import Draws
from samplers.gibbs import hidden_markov_sweep as sweep
from samplers.gibbs.chains import run
from targets.conjugate.hidden_markov import CategoricalEmissions, HiddenMarkov
from targets.kernel import Matrix, data_matrix
from targets.options import require

Integers = npt.NDArray[np.int64]


class HiddenMarkovChain:
    """One chain. Its state is a state of the model for each time, with their counts, and means that moments are about.

    A row holds the parameters by name, their log likelihood with the states summed out, and the logarithms of the gamma
    variables that rows of probabilities are, over their sum: `log_g_start[k]`, `log_g[i,j]`, `log_g_emission[k,s]`.
    """

    def __init__(
        self, model: HiddenMarkov, data: npt.NDArray[Any], rng: np.random.Generator, ends: Integers | None = None
    ) -> None:
        """`data` are (n, d) numbers, or symbols (n,); one sequence, where there are no `ends`."""
        n, k = len(data), model.n_components
        self.rng, self.names = rng, names(model)
        self.ends = np.array([n] if n else [], np.int64) if ends is None else ends
        self.start_prior, self.transition_prior = model.start_prior[None], model.transition_prior
        self.path: Integers = np.zeros(n, np.int64)
        self.gaussian = not isinstance(model.emissions, CategoricalEmissions)
        if isinstance(model.emissions, CategoricalEmissions):
            self.symbols = np.ascontiguousarray(data, np.int64).ravel()
            self.emission_prior = np.full((k, model.emissions.n_symbols), float(model.emissions.concentration))
            self.path = rng.integers(k, size=n)
        else:
            self.data = data_matrix(data.T)
            prior, d = model.emissions, len(model.emissions.mean)
            self.prior = np.array([prior.mean_precision, prior.degrees_of_freedom], np.float64)
            self.mean = np.ascontiguousarray(prior.mean, np.float64)
            self.scale = np.ascontiguousarray(np.atleast_2d(prior.scale), np.float64)
            self.factors = np.zeros((k, d if prior.full else 1, d))
            self.means = np.tile(self.mean, (k, 1))
            if n:
                self._near_rows(data)
        self._count()

    def _near_rows(self, data: Matrix) -> None:
        """Each row is of the state whose mean, a row drawn at random, is nearest: chains start apart."""
        k = len(self.means)
        self.means = np.ascontiguousarray(data[self.rng.choice(len(data), size=k, replace=k > len(data))])
        spread = data.std(axis=0)
        for t, row in enumerate(data):
            away = (row - self.means) / np.where(spread > 0.0, spread, 1.0)
            self.path[t] = np.square(away).sum(axis=1).argmin()

    def _count(self) -> None:
        k = len(self.transition_prior)
        inside = np.ones(len(self.path), dtype=bool)
        inside[self.ends - 1] = False
        first = np.flatnonzero(inside)
        self.pairs = np.zeros((k, k))
        np.add.at(self.pairs, (self.path[first], self.path[first + 1]), 1.0)
        firsts = self.path[np.concatenate([[0], self.ends[:-1]])] if len(self.ends) else self.path
        self.starts = np.bincount(firsts, minlength=k).astype(np.float64)[None]

    def advance(self, rows: Matrix) -> None:
        """A sweep for every row (n, names), which it writes."""
        state = self.start_prior, self.transition_prior, self.starts, self.pairs, self.path
        if self.gaussian:
            prior = self.prior, self.mean, self.scale
            sweep.gaussian_sweeps(self.data, self.ends, self.rng, *prior, *state, self.means, self.factors, rows)
        else:
            sweep.categorical_sweeps(self.symbols, self.ends, self.rng, self.emission_prior, *state, rows)


def names(model: HiddenMarkov) -> tuple[str, ...]:
    """What a row holds; see `HiddenMarkovChain`."""
    each = range(1, model.n_components + 1)
    head = *(f"start[{k}]" for k in each), *(f"transition[{i},{j}]" for i in each for j in each)
    amounts = *(f"log_g_start[{k}]" for k in each), *(f"log_g[{i},{j}]" for i in each for j in each)
    emissions = model.emissions
    if isinstance(emissions, CategoricalEmissions):
        pairs = [f"{k},{s}" for k in each for s in range(1, emissions.n_symbols + 1)]
        middle = tuple(f"emission[{pair}]" for pair in pairs)
        return (*head, *middle, "log_likelihood", *amounts, *(f"log_g_emission[{pair}]" for pair in pairs))
    axes = range(1, len(emissions.mean) + 1)
    means = tuple(f"mean[{k},{a}]" for k in each for a in axes)
    if emissions.full:
        spread = tuple(f"covariance[{k},{a},{b}]" for k in each for a in axes for b in axes)
    else:
        spread = tuple(f"variance[{k},{a}]" for k in each for a in axes)
    return (*head, *means, *spread, "log_likelihood", *amounts)


def compile_sweeps() -> None:
    """Load or compile the loops."""
    _ = sweep.gaussian_sweeps.compiled, sweep.categorical_sweeps.compiled


def hidden_markov(
    X: npt.ArrayLike,
    model: HiddenMarkov,
    *,
    lengths: Sequence[int] | None = None,
    num_warmup: int = 500,
    num_samples: int = 1000,
    num_chains: int = 4,
    seed: int,
    num_threads: int = 1,
) -> Draws:
    """Draws of the parameters of a hidden Markov model, and of their log likelihood, given sequences.

    `start[k]`, `transition[i,j]`; `mean[k,a]` with `covariance[k,a,b]` or, of independent features, `variance[k,a]`, or
    `emission[k,s]` of symbol s - 1; and `log_likelihood`, the states summed out.

    The posterior is the same under every exchange of states. A chain that keeps to one order of them says of each what
    one would expect; another chain may keep to another order, and R-hat says so. That of `log_likelihood`, which no
    order changes, tells this from chains that have not met.

    Args:
        X: (n, d) finite numbers; or (n, 1) or (n,) whole numbers from 0 on.
        model: states and priors, `targets.conjugate.hidden_markov.HiddenMarkov`.
        lengths: of sequences one below the other in X, of so many rows each; by default they are one.
        num_warmup: sweeps that are not among the draws.
        num_samples: draws a chain, one a sweep.
        num_chains: each from states of its own.
        seed: of all random numbers.
        num_threads: in which chains advance; results do not depend on it.

    Raises:
        UsageError: data, or a number, are not accepted.
    """
    data = _checked(X, model)
    ends = _ends(lengths, len(data))
    return run(
        lambda rng: HiddenMarkovChain(model, data, rng, ends),
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        seed=seed,
        num_threads=num_threads,
    )


def _checked(X: npt.ArrayLike, model: HiddenMarkov) -> npt.NDArray[Any]:
    emissions = model.emissions
    try:
        data = np.ascontiguousarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"hidden_markov: the data are not an array of numbers ({error})") from None
    require(bool(np.isfinite(data).all()), "X is not accepted; it takes finite numbers")
    if isinstance(emissions, CategoricalEmissions):
        accepted = data.ndim == 1 or (data.ndim == 2 and data.shape[1] == 1)
        whole = bool(((data == np.floor(data)) & (data >= 0) & (data < emissions.n_symbols)).all())
        said = f"X is not accepted; it takes one column of whole numbers from 0 to {emissions.n_symbols - 1}"
        require(accepted and whole, said)
        return data.ravel().astype(np.int64)
    d = len(emissions.mean)
    require(data.ndim == 2 and data.shape[1] == d, f"X of shape {data.shape} is not accepted; it takes (rows, {d})")
    return data


def _ends(lengths: Sequence[int] | None, n: int) -> Integers | None:
    if lengths is None:
        return None
    given = np.asarray(lengths)
    accepted = given.ndim == 1 and given.dtype.kind in "iu" and bool((given > 0).all()) and int(given.sum()) == n
    require(accepted, f"these lengths are not accepted; they take whole numbers above zero that sum to {n} rows")
    return np.cumsum(given).astype(np.int64)
