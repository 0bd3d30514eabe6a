"""Bayesian probit regression on synthetic data: the likelihood for which expectation propagation is in closed form.

    coefficient_j ~ N(0, 2.5)   P(label_i = 1) = Phi(covariates_i . coefficients)

with standard deviations; the first covariate is 1, for the intercept. The density keeps every constant: its log
normaliser is the log evidence.
"""

import functools
import math

import numpy as np

from targets import importance
from targets.kernel import Matrix, Vector, aligned, compiled, data_matrix, densities, density, empty, kernel
from targets.options import require
from targets.quadrature import Grid
from targets.sites import log_normal_cdf
from targets.sites import probit as site
from targets.target import GaussianPrior, Rows, Sites, Target
from targets.truth import Certificate, Truth

PRIOR_SD = 2.5
CHEAP = 200_000  # rows x columns up to which the truth is found at load, in a second or two
REACH = 12.0  # standard deviations of the Gaussian at the mode that a grid in the plane extends to
COUNTS = 241  # nodes an axis

_LOG_2PI = math.log(2 * math.pi)


@kernel
def likelihood(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: the sign of the label (1 or -1) times 1, and times each covariate."""
    dim = x.shape[0]
    value = 0.0
    for j in range(dim):
        gradient[j] = 0.0
    for i in range(data.shape[0]):
        margin = 0.0
        for j in range(dim):
            margin += data[i, j] * x[j]
        log_probability, ratio, _ = log_normal_cdf(margin)
        value += log_probability
        for j in range(dim):
            gradient[j] += ratio * data[i, j]
    return value


@kernel
def prior(x, gradient, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Independent normals; reads no data."""
    value = -x.shape[0] * (0.5 * _LOG_2PI + math.log(PRIOR_SD))
    for j in range(x.shape[0]):
        value -= 0.5 * (x[j] / PRIOR_SD) ** 2
        gradient[j] = -x[j] / PRIOR_SD**2
    return value


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: as `likelihood`."""
    value = likelihood(x, gradient, data) - x.shape[0] * (0.5 * _LOG_2PI + math.log(PRIOR_SD))
    for j in range(x.shape[0]):
        value -= 0.5 * (x[j] / PRIOR_SD) ** 2
        gradient[j] -= x[j] / PRIOR_SD**2
    return value


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`, without gradient."""
    value = -x.shape[0] * (0.5 * _LOG_2PI + math.log(PRIOR_SD))
    for j in range(x.shape[0]):
        value -= 0.5 * (x[j] / PRIOR_SD) ** 2
    for i in range(data.shape[0]):
        margin = 0.0
        for j in range(x.shape[0]):
            margin += data[i, j] * x[j]
        value += log_normal_cdf(margin)[0]
    return value


def probit_regression(*, n: int = 50, dim: int = 2, seed: int = 0) -> Target:
    """The posterior of a probit regression on synthetic data.

    In two dimensions its truth is by quadrature; otherwise by importance sampling at load where n x dim is small, and
    unknown where it is not.

    Args:
        n: rows of data.
        dim: coordinates, the intercept among them.
        seed: of the data.

    Raises:
        UsageError: sizes that it does not take.
    """
    require(n >= 1, f"probit_regression: n={n} is not accepted; it takes 1 or more")
    require(dim >= 1, f"probit_regression: dim={dim} is not accepted; it takes 1 or more")
    return _with_truth(n, dim, seed) if n * dim <= CHEAP else _without_truth(n, dim, seed)


@functools.cache
def _with_truth(n: int, dim: int, seed: int) -> Target:
    bare = _without_truth(n, dim, seed)
    return _by_quadrature(bare) if dim == 2 else importance.attach(bare)


def _without_truth(n: int, dim: int, seed: int) -> Target:
    signed = _synthetic(n, dim, seed)
    return Target(
        name="probit_regression",
        dim=dim,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data_matrix(signed),
        coordinates=("intercept", *(f"coefficient[{j}]" for j in range(1, dim))),
        gaussian_prior=GaussianPrior(np.zeros(dim), np.full(dim, PRIOR_SD)),
        rows=Rows(prior, likelihood),
        sites=Sites(site, signed[:, None, :], np.zeros((n, 0))),
    )


def _by_quadrature(target: Target) -> Target:
    from dataclasses import replace

    mode, covariance = importance.laplace(target, np.zeros(target.dim))
    sd = np.sqrt(np.diagonal(covariance))

    def log_density(points: Matrix) -> Vector:
        values = empty(len(points))
        densities(compiled(posterior_density), target.data, aligned(points), values)
        return values

    grid = Grid(log_density, mode - REACH * sd, mode + REACH * sd, (COUNTS, COUNTS))
    truth = Truth(
        moments=grid.moments(),
        certificate=Certificate("quadrature", "trapezoidal rule in the plane", {"nodes": len(grid.nodes)}),
        sample=grid.sample,
        log_normaliser=grid.log_normaliser,
        entropy=grid.entropy,
    )
    return replace(target, truth=truth)


def _synthetic(n: int, dim: int, seed: int) -> Matrix:
    """Standard normal covariates and labels drawn from the model, with probits of variance about 2, (n, dim)."""
    rng = np.random.default_rng(seed)
    coefficients = math.sqrt(2 / dim) * rng.standard_normal(dim)
    covariates = np.hstack([np.ones((n, 1)), rng.standard_normal((n, dim - 1))])
    label = covariates @ coefficients + rng.standard_normal(n) > 0
    return np.where(label, 1.0, -1.0)[:, None] * covariates
