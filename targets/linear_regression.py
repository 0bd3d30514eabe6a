"""Bayesian linear regression with unknown noise: the conjugate model under each of its three priors, on real data.

    y_i ~ N(x_i . coef, 1 / noise_precision)      noise_precision ~ Gamma(2, rate 1)

    prior='shared': coef_j ~ N(0, 1 / precision)                   precision ~ Gamma(2, rate 0.1)
    prior='ratio':  coef_j ~ N(0, 1 / (10 noise_precision))        the normal-gamma prior: the posterior in closed form
    prior='ard':    coef_j ~ N(0, 1 / precision_j)                 precision_j ~ Gamma(2, rate 0.1)

Columns and response are standardised, and there is no intercept. Coordinates: the log of the noise precision, the
coefficients, and the log of the precision, or of each. Given the precisions all else is Gaussian: the truth under
'shared' needs quadrature over two of them. The density keeps every constant: its log normaliser is the log evidence.
"""

import functools
import math
import pathlib
from collections.abc import Mapping
from typing import Literal

import numpy as np

from targets import reference
from targets.conjugate.model import Conjugate
from targets.conjugate.regression import PRIORS, LinearRegression, RegressionPrior
from targets.kernel import Matrix, Vector, data_matrix
from targets.lanes import WIDTH as LANES
from targets.linear_regression_kernels import KERNELS, NOISE_RATE, NOISE_SHAPE, RATE, RATIO, SHAPE, likelihood
from targets.linear_regression_truth import truth
from targets.logistic_regression import PREDICTED
from targets.options import require
from targets.quantity import Quantity
from targets.target import Generative, Named, Rows, Target

_FILE = pathlib.Path(__file__).parent / "data" / "diabetes.csv"


def linear_regression(
    *,
    prior: str = "shared",
    dataset: str = "diabetes",
    n: int | None = None,
    dim: int | None = None,
    seed: int = 0,
) -> Target:
    """The posterior of a linear regression, with exact truth under 'ratio' and 'shared'.

    Args:
        prior: 'shared', 'ratio' or 'ard'; see the module.
        dataset: 'diabetes' (442 rows, 10 covariates) or 'synthetic'.
        n: rows of synthetic data, by default 1000.
        dim: covariates of synthetic data, by default 10.
        seed: of the synthetic data.

    Raises:
        UsageError: another prior or data set, or sizes that it does not take.
    """
    require(prior in PRIORS, f"linear_regression: prior={prior!r} is not accepted; it takes 'shared', 'ratio' or 'ard'")
    require(
        dataset in ("diabetes", "synthetic"),
        f"linear_regression: dataset={dataset!r} is not accepted; it takes 'diabetes' or 'synthetic'",
    )
    if dataset == "diabetes":
        require(
            (n, dim, seed) == (None, None, 0),
            "linear_regression: n, dim and seed are not accepted with dataset='diabetes', only with 'synthetic'",
        )
        names, table = _diabetes()
    else:
        size, columns = 1000 if n is None else n, 10 if dim is None else dim
        require(size >= 1, f"linear_regression: n={n} is not accepted; it takes 1 or more")
        require(columns >= 1, f"linear_regression: dim={dim} is not accepted; it takes 1 or more")
        names, table = tuple(f"coef[{j}]" for j in range(1, columns + 1)), _synthetic(size, columns, seed)
    count = len(names)
    precisions = {
        "ratio": (),
        "shared": ("log_precision",),
        "ard": tuple(f"log_precision[{name}]" for name in names),
    }[prior]
    posterior, posterior_density, prior_kernel = KERNELS[prior]
    padded = np.zeros((len(table), -(-(1 + count + len(precisions)) // LANES) * LANES))
    padded[:, : 1 + count] = table
    joined = _joined(count, table)
    target = Target(
        name="linear_regression",
        dim=1 + count + len(precisions),
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data_matrix(padded),
        truth=None if prior == "ard" else truth(prior, joined),
        coordinates=("log_noise_precision", *names, *precisions),
        named=Named(("noise_sd", *names, *(f"sd{name[13:]}" for name in precisions)), functools.partial(_named, count)),
        rows=Rows(prior_kernel, likelihood),
        conjugate=_conjugate(prior, count, table),
        predictions=_predictions(table[:PREDICTED]),
        quantities=_quantities(names),
        tags=frozenset({"real-data"} if dataset == "diabetes" else {"synthetic"}),
        generative=_generative(prior, count, padded),
        description=f"linear regression on {count} covariates with unknown noise, {prior} prior",
    )
    return reference.attach(target, "linear_regression_ard") if prior == "ard" else target


def _joined(count: int, data: Matrix) -> Matrix:
    """Covariates and then the response, as the conjugate model takes the kernel's data."""
    return np.ascontiguousarray(np.column_stack([data[:, 1 : 1 + count], data[:, 0]]))


def _conjugate(prior: str, count: int, data: Matrix) -> Conjugate:
    return Conjugate(LinearRegression(model_prior(prior), intercept=False), _joined(count, data), _coordinates)


def model_prior(prior: str) -> RegressionPrior:
    """The prior as the conjugate model has it."""
    kind: Literal["ratio", "shared", "ard"] = {"ratio": "ratio", "shared": "shared", "ard": "ard"}[prior]  # type: ignore[assignment]
    return RegressionPrior(kind, NOISE_SHAPE, NOISE_RATE, RATIO, SHAPE, RATE)


def _coordinates(drawn: Mapping[str, np.ndarray]) -> Matrix:
    parts = [np.log(drawn["noise_precision"])[:, None], drawn["coef"]]
    if "precision" in drawn:
        parts.append(np.log(drawn["precision"]).reshape(len(parts[1]), -1))
    return np.hstack(parts)


def _named(count: int, x: Matrix) -> Matrix:
    """The sd of the noise, the coefficients, and the sds of their priors."""
    named = x.copy()
    named[:, 0] = np.exp(-0.5 * x[:, 0])
    named[:, 1 + count :] = np.exp(-0.5 * x[:, 1 + count :])
    return named


def _predictions(table: Matrix) -> Named:
    names = tuple(f"mean[{i}]" for i in range(1, len(table) + 1))
    return Named(names, functools.partial(_means, covariates=np.ascontiguousarray(table[:, 1:])))


def _means(x: Matrix, covariates: Matrix) -> Matrix:
    return np.asarray(x[:, 1 : 1 + covariates.shape[1]] @ covariates.T)


def _quantities(names: tuple[str, ...]) -> tuple[Quantity, ...]:
    at = 1 + (names.index("glu") if "glu" in names else 0)
    return (
        Quantity(
            f"P({names[at - 1]} < 0)",
            "probability that more of this covariate means less of the response",
            lambda x: np.asarray(x[:, at] < 0, dtype=np.float64),
        ),
        Quantity("noise sd", "standard deviation of the noise", lambda x: np.exp(-0.5 * x[:, 0])),
    )


def _generative(prior: str, count: int, padded: Matrix) -> Generative:
    def draw(rng: np.random.Generator) -> Vector:
        noise = rng.gamma(NOISE_SHAPE, 1 / NOISE_RATE)
        each = {"ratio": 0, "shared": 1, "ard": count}[prior]
        precision = rng.gamma(SHAPE, 1 / RATE, each)
        own = precision if each else RATIO * noise
        return np.concatenate([[math.log(noise)], rng.standard_normal(count) / np.sqrt(own), np.log(precision)])

    def simulate(rng: np.random.Generator, x: Vector) -> Matrix:
        data = padded.copy()
        data[:, 0] = padded[:, 1 : 1 + count] @ x[1 : 1 + count] + rng.standard_normal(len(padded)) * math.exp(
            -x[0] / 2
        )
        return data

    return Generative(draw, simulate, np.zeros_like(padded[:0]), conjugate=functools.partial(_conjugate, prior, count))


@functools.cache
def _diabetes() -> tuple[tuple[str, ...], Matrix]:
    """Names of the covariates, and standardised rows [response, covariates] in an order shuffled once."""
    with _FILE.open(encoding="ascii") as file:
        names = tuple(file.readline().strip().split(",")[1:])
        values = np.loadtxt(file, delimiter=",")
    values = values[np.random.default_rng(0).permutation(len(values))]
    return names, (values - values.mean(axis=0)) / values.std(axis=0)


def _synthetic(n: int, dim: int, seed: int) -> Matrix:
    """(n, 1 + dim): standard normal covariates; coefficients and noise that share the response's unit variance."""
    rng = np.random.default_rng(seed)
    coefficients = rng.standard_normal(dim) / math.sqrt(2 * dim)
    covariates = rng.standard_normal((n, dim))
    return np.column_stack([covariates @ coefficients + rng.standard_normal(n) * math.sqrt(0.5), covariates])
