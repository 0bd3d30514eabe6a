"""Blocked Gibbs sampling of a Gaussian mixture: all assignments given the parameters, all parameters given these."""

from typing import Any

import numpy as np
import numpy.typing as npt

from samplers.draws import Draws
from samplers.gibbs import mixture_sweep
from samplers.gibbs.chains import run
from samplers.variables import variables
from targets.conjugate.mixture import MixturePrior
from targets.conjugate.mixture_model import GaussianMixture
from targets.kernel import Matrix, Vector, data_matrix
from targets.options import require


class MixtureChain:
    """One chain. Its state is the parameters: assignments are drawn anew in every sweep, and only their sums are kept.

    A row holds the parameters by name, and behind them `log_g[k]`: logarithms of gamma variables that the weights are
    proportional to, whose sum keeps its prior.
    """

    def __init__(self, model: GaussianMixture, data: Matrix, rng: np.random.Generator) -> None:
        prior = model.prior
        self.names = names(model.n_components, model.d)
        self.rng = rng
        self.shift: Vector = data.mean(axis=0) if len(data) else np.zeros(model.d)  # rounding: sums about the middle
        self.data = data_matrix((data - self.shift).T)
        self.prior_mean = prior.mean - self.shift
        self.prior_scale = np.ascontiguousarray(prior.scale, dtype=np.float64)
        self.prior = np.array([prior.weight_concentration, prior.mean_precision, prior.degrees_of_freedom])
        self._start(model)

    def _start(self, model: GaussianMixture) -> None:
        """Means at rows drawn at random, with the spread of all data: chains start apart. Without data, the prior."""
        components = model.n_components
        self.log_weights = np.full(components, -np.log(components))
        self.log_amounts = np.log(np.full(components, model.prior.weight_concentration))
        n = self.data.shape[1]
        if n == 0:
            drawn = model.draw(self.rng)
            self.means, covariances = drawn.means.copy(), drawn.covariances
        else:
            chosen = self.rng.choice(n, size=components, replace=components > n)
            self.means = np.ascontiguousarray(self.data[:, chosen].T)
            scale = self.prior_scale + self.data @ self.data.T
            covariances = np.tile(scale / (model.prior.degrees_of_freedom + n), (components, 1, 1))
        self.factors = np.ascontiguousarray(np.linalg.cholesky(np.linalg.inv(covariances)))

    def advance(self, rows: Matrix) -> None:
        """A sweep for every row (n, names), which it writes."""
        state = self.log_amounts, self.log_weights, self.means, self.factors
        mixture_sweep.sweep(self.data, self.rng, self.prior_mean, self.prior_scale, self.prior, *state, rows)
        components, d = self.means.shape
        rows[:, components : components * (1 + d)] += np.tile(self.shift, components)


def names(components: int, d: int) -> tuple[str, ...]:
    """What a row holds: `weight[k]`, `mean[k,a]`, `covariance[k,a,b]`, `log_g[k]`."""
    each, axes = range(1, components + 1), range(1, d + 1)
    return (
        *(f"weight[{k}]" for k in each),
        *(f"mean[{k},{a}]" for k in each for a in axes),
        *(f"covariance[{k},{a},{b}]" for k in each for a in axes for b in axes),
        *(f"log_g[{k}]" for k in each),
    )


def compile_sweeps() -> None:
    """Load or compile the loop."""
    _ = mixture_sweep.sweep.compiled


def gaussian_mixture(
    X: npt.ArrayLike,
    prior: MixturePrior,
    *,
    n_components: int,
    num_warmup: int = 500,
    num_samples: int = 1000,
    num_chains: int = 4,
    seed: int,
    num_threads: int = 1,
    order_by: int | None = None,
) -> Draws:
    """Draws of the weights, means and covariances of a mixture given the rows of X (n, d), its assignments summed out.

    The posterior is the same under every exchange of components. A chain that visits the orders says of each component
    the same, namely what is true of a component drawn at random; one that does not, which is usual, keeps to one order,
    another chain to another, and R-hat says so. So either look at what does not depend on the order, or give
    `order_by`: the components of each draw are then put in the order of that coordinate of their means, from 0 on. That
    makes summaries of well separated components what one would expect; of others it cuts the posterior where means tie.

    Args:
        X: finite numbers, in rows; without any row the draws are those of the prior.
        prior: of all components.
        n_components: how many there are.
        num_warmup: sweeps that are not among the draws.
        num_samples: draws a chain, one a sweep.
        num_chains: chains, which start at rows drawn at random.
        seed: of all random numbers.
        num_threads: chains that advance at once; the draws are the same with any number.
        order_by: see above, or None for the components as they were drawn.

    Raises:
        UsageError: the data or a number are not accepted.
    """
    model = GaussianMixture(prior, n_components)
    data = _rows(X, model.d)
    require(
        order_by is None or 0 <= order_by < model.d,
        f"order_by={order_by} is not accepted; it takes a coordinate from 0 to {model.d - 1}, or none",
    )
    draws = run(
        lambda rng: MixtureChain(model, data, rng),
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        seed=seed,
        num_threads=num_threads,
    )
    warmup = None if draws.warmup is None else _public(draws.warmup, n_components, order_by)
    return _public(draws, n_components, order_by, warmup)


def _public(draws: Draws, components: int, order_by: int | None, warmup: Draws | None = None) -> Draws:
    """Without the logarithms of gamma variables, and in order where one is asked for."""
    kept = Draws(draws.values[..., :-components], draws.coordinates[:-components], warmup=warmup)
    return kept if order_by is None else ordered(kept, order_by)


def ordered(draws: Draws, coordinate: int = 0) -> Draws:
    """The components of each draw in the order of a coordinate of their means."""
    order = np.argsort(draws["mean"][..., coordinate], axis=-1, kind="stable")
    values = np.empty_like(draws.values)
    for variable in variables(draws.coordinates):
        array = variable.of(draws.values)
        index = order.reshape(*order.shape, *[1] * (array.ndim - order.ndim))
        sorted_array = np.take_along_axis(array, index, axis=order.ndim - 1)
        values[..., list(variable.columns)] = sorted_array.reshape(*order.shape[:2], -1)
    return Draws(values, draws.coordinates, warmup=draws.warmup and ordered(draws.warmup, coordinate))


def _rows(X: npt.ArrayLike, d: int) -> Matrix:
    try:
        data: npt.NDArray[Any] = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"gaussian_mixture: the data are not a matrix of numbers ({error})") from None
    require(data.ndim == 2 and data.shape[1] == d, f"X of shape {data.shape} is not accepted; it takes (rows, {d})")
    require(bool(np.isfinite(data).all()), "X is not accepted; it takes finite numbers")
    return data
