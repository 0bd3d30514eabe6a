"""The posterior of a mixture of K normals with full covariances under its conjugate prior, assignments summed out.

    log_g_k = log of a Gamma(weight_concentration, 1) variable, weight_k = g_k / sum of g: symmetric Dirichlet weights
    precision_k ~ Wishart(degrees_of_freedom, inverse(scale))   mean_k | precision_k ~ N(m, inverse(mean_precision P_k))
    y_i ~ sum of weight_k N(mean_k, inverse(precision_k))

Coordinates are those of `targets.conjugate.mixture_coordinates`. Every constant is kept: the log normaliser is the log
evidence, the exact one where there is one component. Features are taken in units of their sd about their mean, by which
the prior is meant: at its default weight 1 (uniform), a mean worth a twentieth of an observation at the middle, and
d + 2 degrees of freedom that put standard deviations of components about 0.6 in these units.
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from targets import reference
from targets.conjugate import mixture_coordinates as coordinates
from targets.conjugate.mixture import MixturePrior
from targets.conjugate.mixture_family import MixtureFamily
from targets.conjugate.mixture_model import GaussianMixture, MixtureParameters
from targets.conjugate.model import Conjugate
from targets.conjugate.old_faithful import old_faithful
from targets.conjugate_mixture_kernels import SETTINGS, posterior, posterior_density
from targets.kernel import Matrix, Vector, data_matrix
from targets.options import require
from targets.target import Generative, Named, Target
from targets.truth import Certificate, Modes, Moments, Quantiles, Truth

MOST = 10  # components
MOST_RELABELLED = 4  # components whose relabellings are few enough to be averaged over
NAMED_DRAWS = 100_000
PREDICTED = 100  # observations at which the predictive density is asked for, at most
PROBABILITIES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def prior_of(d: int) -> MixturePrior:
    """That of data in units of their standard deviations about their means."""
    return MixturePrior(1.0, np.zeros(d), 0.05, d + 2.0, np.eye(d) * 0.4)


def conjugate_mixture(
    *, data: str = "faithful", components: int = 2, n: int = 200, dim: int = 2, separation: float = 4.0, seed: int = 0
) -> Target:
    """A posterior with K! modes of equal mass.

    Args:
        data: 'faithful', eruptions and waits of the geyser, which does not read the options below; or 'simulated'.
        components: K; of one the posterior is known exactly.
        n: observations that are simulated.
        dim: their features.
        separation: distance between neighbouring components of the simulation, in their standard deviations.
        seed: of the simulation.

    Raises:
        UsageError: an option is not accepted.
    """
    name = "conjugate_mixture"
    require(
        data in ("faithful", "simulated"), f"{name}: data={data!r} is not accepted; it takes 'faithful' or 'simulated'"
    )
    require(1 <= components <= MOST, f"{name}: components={components} is not accepted; it takes 1 to {MOST}")
    require(n >= 1, f"{name}: n={n} is not accepted; it takes 1 or more")
    require(1 <= dim <= 20, f"{name}: dim={dim} is not accepted; it takes 1 to 20")
    require(0 <= separation <= 100, f"{name}: separation={separation:g} is not accepted; it takes 0 to 100")
    rows = scaled(old_faithful()) if data == "faithful" else simulated(components, n, dim, separation, seed)
    return posterior_of(rows, GaussianMixture(prior_of(rows.shape[1]), components))


def simulated(components: int, n: int, dim: int, separation: float, seed: int) -> Matrix:
    """(n, dim) scaled observations; component k = 1, ..., of correlated features, is drawn in proportion to k + 1."""
    rng = np.random.default_rng(seed)
    odds = np.arange(components) + 2.0
    label = rng.choice(components, size=n, p=odds / odds.sum())
    noise = rng.standard_normal((n, dim))
    noise[:, 1:] = 0.8 * noise[:, 1:] + 0.6 * noise[:, :1] * np.where(label % 2, 1.0, -1.0)[:, None]
    noise[:, 0] += separation * label
    return scaled(noise)


def scaled(values: Matrix) -> Matrix:
    """Columns in units of their standard deviations about their means; those without spread about their means alone."""
    sd = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(sd > 0, sd, 1.0))


def posterior_of(rows: Matrix, model: GaussianMixture) -> Target:
    """Given rows (n, d), with what is known of it."""
    components, d = model.n_components, model.d
    header = _header(model.prior)
    data = data_matrix(np.hstack([header, rows.T]))

    def conjugate(matrix: Matrix) -> Conjugate:
        return Conjugate(model, np.ascontiguousarray(matrix[:, header.shape[1] :].T), coordinates.coordinates)

    def start(matrix: Matrix) -> Callable[[np.random.Generator], Vector]:
        return functools.partial(_start, conjugate(matrix).data, model)

    target = Target(
        name="conjugate_mixture",
        dim=components * coordinates.size(d),
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data,
        coordinates=coordinates.coordinate_names(components, d),
        named=Named(coordinates.names_of_moments(components, d), functools.partial(_named, components=components, d=d)),
        invariant=None
        if components == 1
        else Named(
            coordinates.names_of_moments(components, d, "ordered "),
            functools.partial(_named, components=components, d=d, ordered=True),
        ),
        predictions=Named(
            tuple(f"p(y[{i}])" for i in range(1, min(len(rows), PREDICTED) + 1)),
            functools.partial(_predicted, y=rows[:PREDICTED], components=components),
        ),
        relabellings=_exchanges(components, d),
        initial=start(data),
        conjugate=conjugate(data),
        generative=Generative(
            lambda rng: _coordinates_of(model.draw(rng), model, rng),
            lambda rng, x: _simulate(rng, x, model, header, len(rows)),
            data[:, : header.shape[1]],
            start,
            conjugate,
        ),
    )
    if components == 1:
        return _known(target, model, rows)
    if components > MOST_RELABELLED:
        return target
    return reference.attach(target, modes=_modes(components, d))


def _header(prior: MixturePrior) -> Matrix:
    d = len(prior.mean)
    settings = np.zeros((d, SETTINGS))
    settings[0] = prior.weight_concentration, prior.mean_precision, prior.degrees_of_freedom
    return np.hstack([prior.mean[:, None], prior.scale, settings])


def _named(x: Matrix, components: int, d: int, ordered: bool = False) -> Matrix:
    found = coordinates.moments(coordinates.parameters_of(coordinates.parts(x, components, d)))
    return (coordinates.ordered(found) if ordered else found).reshape(len(x), -1)


def _predicted(x: Matrix, y: Matrix, components: int) -> Matrix:
    """Predictive densities (n, m) of one observation at each of y (m, d)."""
    found = coordinates.parts(x, components, y.shape[1])
    log_weights = found.log_g - np.logaddexp.reduce(found.log_g, axis=1, keepdims=True)
    density = np.zeros((len(x), len(y)))
    for k in range(components):
        factor = found.factors[:, k]
        off = (y[None] - found.means[:, k, None, :]) @ factor
        log_height = log_weights[:, k] + np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        density += np.exp(log_height[:, None] - 0.5 * np.sum(off**2, axis=2))
    return np.asarray(density * (2 * np.pi) ** (-0.5 * y.shape[1]))


def _exchanges(components: int, d: int) -> tuple[tuple[int, ...], ...]:
    """Exchanges of neighbouring components, of which all K! relabellings are made."""
    blocks = np.arange(coordinates.size(d) * components).reshape(components, -1)
    orders = []
    for k in range(components - 1):
        order = list(range(components))
        order[k], order[k + 1] = k + 1, k
        orders.append(tuple(int(i) for i in blocks[order].ravel()))
    return tuple(orders)


def _modes(components: int, d: int) -> Modes:
    """One mode for each order of the components by the first coordinate of their means, all of one mass."""
    orders = np.array(list(itertools.permutations(range(components))))
    digits = components ** np.arange(components)[::-1]  # the orders come sorted, and so do the numbers they are read as

    def assign(x: Matrix) -> np.ndarray:
        return np.searchsorted(orders @ digits, np.argsort(x[:, 1 :: coordinates.size(d)], axis=1) @ digits)

    return Modes(assign, np.full(len(orders), 1 / len(orders)))


def _start(rows: Matrix, model: GaussianMixture, rng: np.random.Generator) -> Vector:
    """Means at rows drawn at random, or from the prior where there are none, and the spread of all rows."""
    components, prior = model.n_components, model.prior
    if len(rows) == 0:
        return _coordinates_of(model.draw(rng), model, rng)
    means = rows[rng.choice(len(rows), size=components, replace=components > len(rows))]
    off = rows - rows.mean(axis=0)
    covariance = (prior.scale + off.T @ off) / (prior.degrees_of_freedom + len(rows))
    weights = rng.dirichlet(np.full(components, 10.0))
    return _coordinates_of(MixtureParameters(weights, means, np.tile(covariance, (components, 1, 1))), model, rng)


def _coordinates_of(parameters: MixtureParameters, model: GaussianMixture, rng: np.random.Generator) -> Vector:
    """Coordinates (dim,), with a sum of the g_k drawn from its prior, which is its posterior too."""
    amount = model.n_components * model.prior.weight_concentration
    with np.errstate(divide="ignore"):
        log_g = np.log(parameters.weights) + np.log(rng.gamma(amount))
    named = {"log_g": log_g, "mean": parameters.means, "covariance": parameters.covariances}
    return np.asarray(coordinates.coordinates({name: value[None] for name, value in named.items()})[0])


def _simulate(rng: np.random.Generator, x: Vector, model: GaussianMixture, header: Matrix, n: int) -> Matrix:
    found = coordinates.parameters_of(coordinates.parts(x[None], model.n_components, model.d))
    rows = model.simulate(rng, MixtureParameters(*(part[0] for part in found)), n)
    return np.hstack([header, rows.T])


def _known(target: Target, model: GaussianMixture, rows: Matrix) -> Target:
    """With the closed form of one component, a normal-Wishart posterior; named quantities are known from its draws."""
    prior = MixtureFamily.of_prior(model.prior, 1)
    mean = rows.mean(axis=0)
    off = rows - mean
    answer = prior.given(np.array([float(len(rows))]), mean[None], (off.T @ off)[None])
    evidence = answer.log_normaliser - prior.log_normaliser - 0.5 * rows.size * np.log(2 * np.pi)
    values = answer.quantiles(PROBABILITIES)
    assert target.named is not None  # noqa: S101  # of this module
    truth = Truth(
        Moments.from_central(answer.mean, answer.covariance, *answer.third_and_fourth()),
        Certificate("closed form", "normal-Wishart; named quantities from 100,000 exact draws"),
        answer.sample,
        log_normaliser=evidence,
        entropy=answer.entropy,
        named=Moments.from_draws(target.named.values(answer.sample(np.random.default_rng(0), NAMED_DRAWS))),
        quantiles=Quantiles(PROBABILITIES, values, np.zeros_like(values)),
    )
    return replace(target, truth=truth, tags=target.tags | {"exact"})
