"""Bayesian logistic regression, on real data or on synthetic data of any size.

    intercept ~ N(0, 10)   coefficient_j ~ N(0, 2.5)   P(label_i = 1) = 1 / (1 + exp(-covariates_i . coefficients))

with standard deviations; coordinates: the intercept, then the coefficients. The density keeps every constant: its log
normaliser is the log evidence. The breast cancer data are nearly separable: the prior matters.
"""

import functools
import math
import pathlib

import numpy as np

from targets import importance, reference
from targets.exponential import exp_minus
from targets.kernel import Matrix, Vector, data_matrix, density, helper, kernel
from targets.lanes import WIDTH as LANES
from targets.lanes import add, fma, load, splat, store, total, totals
from targets.options import require
from targets.quantity import Quantity
from targets.sites import logistic
from targets.target import GaussianPrior, Generative, Named, Rows, Sites, Target

INTERCEPT_SD = 10.0
COEFFICIENT_SD = 2.5
EFFECT = "worst_radius"  # the covariate that is asked about

BLOCK = 128  # rows at once, at most: a product of as many factors of at most 2 cannot overflow
BLOCK_VALUES = 4096  # rows x columns at once: 32 KiB stay in the first-level cache from the first pass to the second
PREDICTED = 100  # rows, in their shuffled order, whose probabilities are asked for
CHEAP = 200_000  # rows x columns up to which a synthetic posterior's truth is found at load, in a second or two

_BREAST_CANCER = pathlib.Path(__file__).parent / "data" / "breast_cancer.csv"
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@helper
def margins_of(data, start, size, padded, margin):  # type: ignore[no-untyped-def]
    """margin[k] = data[start + k] . padded for k < size, eight rows at once."""
    columns = data.shape[1]
    eights = size & -8
    for k in range(0, eights, 8):
        a = (start + k) * columns
        r0 = splat(0.0)
        r1, r2, r3, r4, r5, r6, r7 = r0, r0, r0, r0, r0, r0, r0
        for j in range(0, columns, LANES):
            x, at = load(padded, j), a + j
            r0 = fma(load(data, at), x, r0)
            r1 = fma(load(data, at + columns), x, r1)
            r2 = fma(load(data, at + 2 * columns), x, r2)
            r3 = fma(load(data, at + 3 * columns), x, r3)
            r4 = fma(load(data, at + 4 * columns), x, r4)
            r5 = fma(load(data, at + 5 * columns), x, r5)
            r6 = fma(load(data, at + 6 * columns), x, r6)
            r7 = fma(load(data, at + 7 * columns), x, r7)
        store(margin, k, totals(r0, r1, r2, r3, r4, r5, r6, r7))
    for k in range(eights, size):
        r0 = splat(0.0)
        for j in range(0, columns, LANES):
            r0 = fma(load(data, (start + k) * columns + j), load(padded, j), r0)
        margin[k] = total(r0)


@helper
def add_rows(data, start, size, weight, slope):  # type: ignore[no-untyped-def]
    """Adds weight[k] data[start + k] to the slope for k < size, eight rows at once."""
    columns = data.shape[1]
    eights = size & -8
    for k in range(0, eights, 8):
        a = (start + k) * columns
        w0, w1, w2, w3 = splat(weight[k]), splat(weight[k + 1]), splat(weight[k + 2]), splat(weight[k + 3])
        w4, w5, w6, w7 = splat(weight[k + 4]), splat(weight[k + 5]), splat(weight[k + 6]), splat(weight[k + 7])
        for j in range(0, columns, LANES):
            at = a + j
            left = fma(load(data, at + columns), w1, fma(load(data, at), w0, load(slope, j)))
            left = fma(load(data, at + 3 * columns), w3, fma(load(data, at + 2 * columns), w2, left))
            right = fma(load(data, at + 5 * columns), w5, fma(load(data, at + 4 * columns), w4, splat(0.0)))
            right = fma(load(data, at + 7 * columns), w7, fma(load(data, at + 6 * columns), w6, right))
            store(slope, j, add(left, right))
    for k in range(eights, size):
        w0 = splat(weight[k])
        for j in range(0, columns, LANES):
            store(slope, j, fma(load(data, (start + k) * columns + j), w0, load(slope, j)))


@kernel
def likelihood(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: the sign of the label (1 or -1) times 1, times each covariate; then zeros up to a multiple of 8.

    Two passes over each block of rows: the margins z = sign x covariates . x, and the gradient. Between them
    log(1 + exp(-z)) = (|z| - z) / 2 + log(1 + exp(-|z|)), with one logarithm for a whole block's product.
    """
    columns = data.shape[1]
    margin = np.empty(BLOCK)
    padded = np.zeros(columns)
    slope = np.zeros(columns)
    for j in range(x.shape[0]):
        padded[j] = x[j]
    block = max(LANES, min(BLOCK, BLOCK_VALUES // columns))
    linear, logs = 0.0, 0.0
    for start in range(0, data.shape[0], block):
        size = min(block, data.shape[0] - start)
        margins_of(data, start, size, padded, margin)
        product = 1.0
        for k in range(size):
            z = margin[k]
            t = exp_minus(abs(z))
            margin[k] = (t if z > 0.0 else 1.0) / (1.0 + t)
            linear += abs(z) - z
            product *= 1.0 + t
        logs += math.log(product)
        add_rows(data, start, size, margin, slope)
    for j in range(x.shape[0]):
        gradient[j] = slope[j]
    return -0.5 * linear - logs


@density
def likelihood_density(x, data):  # type: ignore[no-untyped-def]
    """As `likelihood`, without gradient."""
    margin = np.empty(BLOCK)
    padded = np.zeros(data.shape[1])
    for j in range(x.shape[0]):
        padded[j] = x[j]
    linear, logs = 0.0, 0.0
    for start in range(0, data.shape[0], BLOCK):
        size = min(BLOCK, data.shape[0] - start)
        margins_of(data, start, size, padded, margin)
        product = 1.0
        for k in range(size):
            z = margin[k]
            linear += abs(z) - z
            product *= 1.0 + exp_minus(abs(z))
        logs += math.log(product)
    return -0.5 * linear - logs


@kernel
def prior(x, gradient, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Independent normals; reads no data."""
    total = 0.0
    for j in range(1, x.shape[0]):
        scaled = x[j] / COEFFICIENT_SD
        gradient[j] = -scaled / COEFFICIENT_SD
        total += scaled * scaled
    scaled = x[0] / INTERCEPT_SD
    gradient[0] = -scaled / INTERCEPT_SD
    constant = x.shape[0] * _HALF_LOG_2PI + math.log(INTERCEPT_SD) + (x.shape[0] - 1) * math.log(COEFFICIENT_SD)
    return -0.5 * (total + scaled * scaled) - constant


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: as `likelihood`."""
    value = likelihood(x, gradient, data)
    total = 0.0
    for j in range(1, x.shape[0]):
        scaled = x[j] / COEFFICIENT_SD
        gradient[j] -= scaled / COEFFICIENT_SD
        total += scaled * scaled
    scaled = x[0] / INTERCEPT_SD
    gradient[0] -= scaled / INTERCEPT_SD
    constant = x.shape[0] * _HALF_LOG_2PI + math.log(INTERCEPT_SD) + (x.shape[0] - 1) * math.log(COEFFICIENT_SD)
    return value - 0.5 * (total + scaled * scaled) - constant


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`, without gradient."""
    value = likelihood_density(x, data)
    total = (x[0] / INTERCEPT_SD) ** 2
    for j in range(1, x.shape[0]):
        total += (x[j] / COEFFICIENT_SD) ** 2
    constant = x.shape[0] * _HALF_LOG_2PI + math.log(INTERCEPT_SD) + (x.shape[0] - 1) * math.log(COEFFICIENT_SD)
    return value - 0.5 * total - constant


def logistic_regression(
    *, dataset: str = "breast_cancer", n: int | None = None, dim: int | None = None, seed: int = 0
) -> Target:
    """The posterior of a logistic regression.

    The truth for the breast cancer data is a certified long run. For synthetic data it is found at load by importance
    sampling where n x dim is small, and unknown otherwise.

    Args:
        dataset: 'breast_cancer' (569 rows, 31 coordinates) or 'synthetic'.
        n: rows of synthetic data, by default 1000.
        dim: coordinates of the synthetic posterior, the intercept among them, by default 10.
        seed: of the synthetic data.

    Raises:
        UsageError: another data set, or sizes that it does not take.
    """
    target = without_truth(dataset=dataset, n=n, dim=dim, seed=seed)
    if dataset == "breast_cancer":
        return reference.attach(target)
    return _importance_sampled(target.data.shape[0], target.dim, seed) if target.data.size <= CHEAP else target


@functools.cache
def _importance_sampled(n: int, dim: int, seed: int) -> Target:
    return importance.attach(without_truth(dataset="synthetic", n=n, dim=dim, seed=seed))


def without_truth(*, dataset: str, n: int | None = None, dim: int | None = None, seed: int = 0) -> Target:
    """As `logistic_regression`, but for the truth, which is made from this."""
    require(
        dataset in ("breast_cancer", "synthetic"),
        f"logistic_regression: dataset={dataset!r} is not accepted; it takes 'breast_cancer' or 'synthetic'",
    )
    if dataset == "breast_cancer":
        require(
            (n, dim, seed) == (None, None, 0),
            "logistic_regression: n, dim and seed are not accepted with dataset='breast_cancer', only with 'synthetic'",
        )
        names, signed = _breast_cancer()
    else:
        rows, columns = 1000 if n is None else n, 10 if dim is None else dim
        require(rows >= 1, f"logistic_regression: n={n} is not accepted; it takes 1 or more")
        require(columns >= 1, f"logistic_regression: dim={dim} is not accepted; it takes 1 or more")
        names = tuple(f"coefficient[{j}]" for j in range(1, columns))
        signed = _synthetic(rows, columns, seed)
    padded = np.zeros((len(signed), -(-signed.shape[1] // LANES) * LANES))
    padded[:, : signed.shape[1]] = signed
    prior_sd = np.array([INTERCEPT_SD] + [COEFFICIENT_SD] * (signed.shape[1] - 1))
    return Target(
        name="logistic_regression",
        dim=signed.shape[1],
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data_matrix(padded),
        coordinates=("intercept", *names),
        gaussian_prior=GaussianPrior(np.zeros(signed.shape[1]), prior_sd),
        rows=Rows(prior, likelihood),
        sites=Sites(logistic, signed[:, None, :], np.zeros((len(signed), 0))),
        predictions=_predictions(signed[:PREDICTED]),
        quantities=_quantities(names, signed),
        tags=frozenset({"real-data"} if dataset == "breast_cancer" else {"synthetic"}),
        generative=Generative(
            lambda rng: prior_sd * rng.standard_normal(len(prior_sd)),
            lambda rng, x: relabelled(rng, padded, signed @ x),
            np.zeros_like(padded[:0]),
        ),
    )


def relabelled(rng: np.random.Generator, data: Matrix, margins: Vector) -> Matrix:
    """The same covariates with labels drawn anew: `margins` (n,) are each row's own label's log odds.

    A label keeps its sign with the probability of its odds, since a change of sign is a change of label.
    """
    return np.asarray(np.where(rng.logistic(size=len(margins)) < margins, 1.0, -1.0)[:, None] * data)


def _predictions(signed: Matrix) -> Named:
    """The probability of each of these rows' own label."""
    return Named(
        tuple(f"p(label[{i}])" for i in range(1, len(signed) + 1)), functools.partial(_probabilities, signed=signed)
    )


def _probabilities(x: Matrix, signed: Matrix) -> Matrix:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-(x @ signed.T))))


def _quantities(names: tuple[str, ...], signed: Matrix) -> tuple[Quantity, ...]:
    rows = Quantity(
        "log predictive density",
        "sum over rows of the log of the predicted probability of their label, in nats",
        lambda x: -np.logaddexp(0.0, -(x @ signed.T)),
        "log_predictive",
    )
    if not names:
        return (rows,)
    at = 1 + (names.index(EFFECT) if EFFECT in names else 0)
    effect = Quantity(
        f"P({names[at - 1]} > 0)",
        "probability that more of this covariate means more odds",
        lambda x: np.asarray(x[:, at] > 0, dtype=np.float64),
    )
    return effect, rows


@functools.cache
def _breast_cancer() -> tuple[tuple[str, ...], Matrix]:
    """Names of the covariates and, in an order shuffled once, sign x (1, standardised covariates), (569, 31)."""
    with _BREAST_CANCER.open(encoding="ascii") as file:
        names = tuple(file.readline().strip().split(",")[1:])
        values = np.loadtxt(file, delimiter=",")
    values = values[np.random.default_rng(0).permutation(len(values))]
    covariates = (values[:, 1:] - values[:, 1:].mean(axis=0)) / values[:, 1:].std(axis=0)
    return names, _signed(covariates, values[:, 0] == 1)


def _synthetic(n: int, dim: int, seed: int) -> Matrix:
    """Standard normal covariates and labels drawn from the model, with log odds of variance about 4, (n, dim)."""
    rng = np.random.default_rng(seed)
    coefficients = 2 * rng.standard_normal(dim) / math.sqrt(dim)
    covariates = rng.standard_normal((n, dim - 1))
    log_odds = coefficients[0] + covariates @ coefficients[1:]
    return _signed(covariates, rng.logistic(size=n) < log_odds)


def _signed(covariates: Matrix, label: np.ndarray) -> Matrix:
    return np.where(label, 1.0, -1.0)[:, None] * np.hstack([np.ones((len(covariates), 1)), covariates])
