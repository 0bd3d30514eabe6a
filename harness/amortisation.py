"""What amortisation loses, on two models of twenty rows: one with exact posteriors, and one whose are not Gaussian."""

import math
from typing import Any

import numpy as np

from targets.kernel import Matrix, kernel
from targets.target import GaussianStructure
from variational.amortised import COVARIANCES, AmortisedPosterior, Model, amortisation_gap
from variational.gaussian import LOG_TWO_PI

ROWS, DIM = 20, 2
BUDGETS = (250, 1000, 4000)  # steps of training, of 64 data sets each
HELD_OUT = 50  # data sets that gaps are averaged over


@kernel
def linear(x, gradient, data):  # type: ignore[no-untyped-def]
    """A row holds inputs, then an output with unit noise; coefficients have standard normal priors."""
    dim = x.shape[0]
    total = -0.5 * (data.shape[0] + dim) * LOG_TWO_PI
    for j in range(dim):
        gradient[j] = -x[j]
        total -= 0.5 * x[j] * x[j]
    for i in range(data.shape[0]):
        miss = data[i, dim]
        for j in range(dim):
            miss -= data[i, j] * x[j]
        total -= 0.5 * miss * miss
        for j in range(dim):
            gradient[j] += miss * data[i, j]
    return total


@kernel
def logistic(x, gradient, data):  # type: ignore[no-untyped-def]
    """As `linear`, with an output of 0 or 1, whose log odds are the product, and priors four times as wide."""
    dim = x.shape[0]
    total = -0.5 * dim * (LOG_TWO_PI + math.log(16.0))
    for j in range(dim):
        gradient[j] = -x[j] / 16.0
        total -= 0.5 * x[j] * x[j] / 16.0
    for i in range(data.shape[0]):
        odds = 0.0
        for j in range(dim):
            odds += data[i, j] * x[j]
        small = math.exp(-abs(odds))
        total += data[i, dim] * odds - max(odds, 0.0) - math.log(1.0 + small)
        miss = data[i, dim] - (1.0 if odds > 0.0 else small) / (1.0 + small)
        for j in range(dim):
            gradient[j] += miss * data[i, j]
    return total


def _inputs_and_means(rng: np.random.Generator, n: int, prior_sd: float) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, rows, dim) of correlation 0.7, and their products (n, rows) with coefficients from the prior."""
    inputs = rng.standard_normal((n, ROWS, DIM)) @ np.linalg.cholesky(np.array([[1.0, 0.7], [0.7, 1.0]])).T
    return inputs, np.einsum("nri,ni->nr", inputs, prior_sd * rng.standard_normal((n, DIM)))


def _linear_sets(rng: np.random.Generator, n: int) -> np.ndarray:
    inputs, means = _inputs_and_means(rng, n, 1.0)
    return np.concatenate([inputs, (means + rng.standard_normal(means.shape))[..., None]], axis=2)


def _logistic_sets(rng: np.random.Generator, n: int) -> np.ndarray:
    inputs, odds = _inputs_and_means(rng, n, 4.0)
    return np.concatenate([inputs, (rng.random(odds.shape) < 1 / (1 + np.exp(-odds)))[..., None]], axis=2)


def _linear_posterior(rows: Matrix) -> tuple[GaussianStructure, float]:
    """The posterior, and the log density of the outputs under N(0, I + X X^T)."""
    inputs, outputs = rows[:, :DIM], rows[:, DIM]
    precision = inputs.T @ inputs + np.eye(DIM)
    mean = np.asarray(np.linalg.solve(precision, inputs.T @ outputs), dtype=np.float64)
    quadratic = outputs @ outputs - outputs @ inputs @ mean
    evidence = -0.5 * (len(rows) * LOG_TWO_PI + float(np.linalg.slogdet(precision)[1]) + float(quadratic))
    return GaussianStructure(mean, np.ascontiguousarray(precision, dtype=np.float64)), evidence


LINEAR = Model("linear regression", DIM, linear, _linear_sets, _linear_posterior)
LOGISTIC = Model("logistic regression", DIM, logistic, _logistic_sets)


def gaps(seed: int, budgets: tuple[int, ...] = BUDGETS, held_out: int = HELD_OUT) -> dict[str, Any]:
    """Mean gaps with their standard errors, by model, covariance and steps of training."""
    curves = []
    for model in (LINEAR, LOGISTIC):
        data_sets = model.simulate(np.random.default_rng([seed, 1]), held_out)
        for covariance in COVARIANCES:
            found = []
            for steps in budgets:
                fit = AmortisedPosterior(model, covariance=covariance, max_iter=steps, random_state=seed).fit()
                found.append(amortisation_gap(fit, data_sets, seed))
            root = math.sqrt(held_out)
            curves.append(
                {
                    "model": model.name,
                    "covariance": covariance,
                    "data_sets": [steps * fit.batch_size for steps in budgets],
                    "amortisation": [float(gap.amortisation.mean()) for gap in found],
                    "amortisation_error": [float(gap.amortisation.std(ddof=1)) / root for gap in found],
                    "approximation": float(found[-1].approximation.mean()),
                    "approximation_error": float(found[-1].approximation.std(ddof=1)) / root,
                }
            )
    return {
        "curves": curves,
        "held_out": held_out,
        "rows": ROWS,
        "note": "Amortisation gap: the bound of a fit to the data set itself, less that of the encoder. Approximation "
        "gap: log evidence less the former.",
    }
