"""The posterior of the two means of a mixture of normals in one dimension, equal weights, unit standard deviations.

    mean_k ~ N(0, 5)   y_i ~ N(mean_1, 1) / 2 + N(mean_2, 1) / 2

Swapping the means changes nothing: two modes of equal mass. The density keeps every constant: its log normaliser is the
log evidence.
"""

import functools
import math

import numpy as np

from targets.exponential import exp_minus
from targets.kernel import Matrix, Vector, aligned, compiled, data_matrix, densities, density, empty, kernel
from targets.options import require
from targets.quadrature import Grid
from targets.target import GaussianPrior, Generative, Named, Target
from targets.truth import Certificate, Modes, Truth

PRIOR_SD = 5.0
BLOCK = 512  # observations under one logarithm: a product of as many factors of at most 2 cannot overflow
LARGEST = 1_000  # observations; finding the truth takes a second then
PREDICTED = 100  # observations at which the predictive density is asked for, at most
PER_NODE = 0.75  # least standard deviations from node to node: for a Gaussian the rule errs by exp(-2 (pi / 0.75)^2)

_LOG_2PI = math.log(2 * math.pi)


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row; column i: observation i."""
    one, two = x[0], x[1]
    n = data.shape[1]
    away, middle = one - two, 0.5 * (one + two)
    squares, distance, logs, to_one, to_two = 0.0, 0.0, 0.0, 0.0, 0.0
    for start in range(0, n, BLOCK):
        product = 1.0
        for i in range(min(BLOCK, n - start)):
            y = data[0, start + i]
            from_one, from_two = y - one, y - two
            odds = away * (y - middle)  # log odds of the first component
            t = exp_minus(abs(odds))
            share = (1.0 if odds > 0.0 else t) / (1.0 + t)
            to_one += share * from_one
            to_two += (1.0 - share) * from_two
            squares += from_one * from_one + from_two * from_two
            distance += abs(odds)
            product *= 1.0 + t
        logs += math.log(product)
    gradient[0] = to_one - one / PRIOR_SD**2
    gradient[1] = to_two - two / PRIOR_SD**2
    constant = n * (0.5 * _LOG_2PI + math.log(2.0)) + _LOG_2PI + 2.0 * math.log(PRIOR_SD)
    return 0.5 * distance - 0.25 * squares + logs - 0.5 * (one * one + two * two) / PRIOR_SD**2 - constant


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`, without gradient."""
    one, two = x[0], x[1]
    n = data.shape[1]
    away, middle = one - two, 0.5 * (one + two)
    squares, distance, logs = 0.0, 0.0, 0.0
    for start in range(0, n, BLOCK):
        product = 1.0
        for i in range(min(BLOCK, n - start)):
            y = data[0, start + i]
            odds = abs(away * (y - middle))
            squares += (y - one) ** 2 + (y - two) ** 2
            distance += odds
            product *= 1.0 + exp_minus(odds)
        logs += math.log(product)
    constant = n * (0.5 * _LOG_2PI + math.log(2.0)) + _LOG_2PI + 2.0 * math.log(PRIOR_SD)
    return 0.5 * distance - 0.25 * squares + logs - 0.5 * (one * one + two * two) / PRIOR_SD**2 - constant


def gmm_means(n: int, separation: float, seed: int) -> Target:
    """The posterior given n observations, half about -separation / 2 and half about separation / 2."""
    require(1 <= n <= LARGEST, f"gmm_posterior: n={n} is not accepted; model='means' takes 1 to {LARGEST}")
    rng = np.random.default_rng(seed)
    data = data_matrix([np.where(np.arange(n) % 2, 0.5, -0.5) * separation + rng.standard_normal(n)])
    shown = min(n, PREDICTED)
    grid = _grid(data)
    truth = Truth(
        moments=grid.moments(),
        certificate=Certificate("quadrature", "trapezoidal rule in the plane", {"nodes": len(grid.nodes)}),
        sample=grid.sample,
        log_normaliser=grid.log_normaliser,
        entropy=grid.entropy,
        modes=Modes(lambda x: (x[:, 0] > x[:, 1]).astype(np.intp), np.array([0.5, 0.5])),
    )
    return Target(
        name="gmm_posterior",
        dim=2,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data,
        truth=truth,
        coordinates=("mu[1]", "mu[2]"),
        gaussian_prior=GaussianPrior(np.zeros(2), np.full(2, PRIOR_SD)),
        invariant=Named(("lower mu", "upper mu"), functools.partial(np.sort, axis=1)),
        predictions=Named(
            tuple(f"p(y[{i}])" for i in range(1, shown + 1)), functools.partial(_predicted, y=data[0, :shown])
        ),
        relabellings=((1, 0),),
        tags=frozenset({"exact"}),
        generative=Generative(
            lambda rng: PRIOR_SD * rng.standard_normal(2),
            lambda rng, x: (x[rng.integers(2, size=n)] + rng.standard_normal(n))[None],
            data[:, :0],
        ),
    )


def _predicted(x: Matrix, y: Vector) -> Matrix:
    """Predictive densities (n, len(y)) of one observation at each y."""
    return np.asarray(np.exp(-0.5 * (y - x[:, :, None]) ** 2).mean(axis=1) / math.sqrt(2 * math.pi))


def _grid(data: Matrix) -> Grid:
    """A grid that holds all but 1e-13 of the mass, finer than the least standard deviation there can be."""

    def log_density(points: Matrix) -> Vector:
        values = empty(len(points))
        densities(compiled(posterior_density), data, aligned(points), values)
        return values

    least = 1 / math.sqrt(data.shape[1] + PRIOR_SD**-2)  # no direction curves more than if it took all observations
    far = max(8.5 * PRIOR_SD, float(np.abs(data).max()))
    coarse, halves = np.linspace(-far, far, 201), np.array_split(np.sort(data[0]), 2)
    guess = np.array([[half.mean() if len(half) else 0.0 for half in halves]])
    around = guess + least * np.array([[i, j] for i in range(-20, 21) for j in range(-20, 21)])
    scan = np.vstack([np.stack(np.meshgrid(coarse, coarse), axis=-1).reshape(-1, 2), around])
    values = log_density(scan)
    seen = scan[values > values.max() - 45]
    margin = 2 * least
    lower, upper = float(seen.min()) - margin, float(seen.max()) + margin
    # the two means share their range, since either may be the larger
    count = math.ceil((upper - lower) / (PER_NODE * least)) + 1
    return Grid(log_density, np.array([lower, lower]), np.array([upper, upper]), (count, count))
