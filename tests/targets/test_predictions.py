"""What targets predict of their rows: where all rows are asked for, the predictions' product is the likelihood."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import gammaln

from targets import Target, logistic_regression
from targets.gmm_full import without_truth
from targets.gmm_means import gmm_means
from targets.kernel import Matrix, Vector


def log_normal(x: Matrix, sd: float) -> Vector:
    return np.asarray(np.sum(-0.5 * (x / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi), axis=1))


def of_means(x: Matrix) -> Vector:
    return log_normal(x, 5.0)


def of_the_full_model(x: Matrix) -> Vector:
    blocks = x.reshape(len(x), -1, 5)
    amounts = blocks[:, :, 0]
    gamma = np.sum(2 * amounts - np.exp(amounts) - gammaln(2.0), axis=1)
    means, scales = blocks[:, :, 1:3].reshape(len(x), -1), blocks[:, :, 3:].reshape(len(x), -1)
    return np.asarray(gamma + log_normal(means, 5.0) + log_normal(scales, 1.0))


def of_coefficients(x: Matrix) -> Vector:
    return log_normal(x[:, :1], 10.0) + log_normal(x[:, 1:], 2.5)


@pytest.mark.parametrize(
    ("target", "log_prior"),
    [
        (gmm_means(100, 4.0, 0), of_means),
        (without_truth(2, 100, 5.0, 0), of_the_full_model),
        (without_truth(3, 60, 5.0, 1), of_the_full_model),
        (logistic_regression.without_truth(dataset="synthetic", n=100, dim=6), of_coefficients),
    ],
    ids=["means", "full of two", "full of three", "logistic"],
)
def test_predictions_times_prior_are_the_density(target: Target, log_prior: Callable[[Matrix], Vector]) -> None:
    x = np.random.default_rng(4).standard_normal((7, target.dim))
    assert target.predictions is not None
    predicted = target.predictions.values(x)
    assert predicted.shape == (7, len(target.predictions.names))
    np.testing.assert_allclose(np.log(predicted).sum(axis=1) + log_prior(x), target.log_densities(x), rtol=1e-9)


def test_many_rows_are_represented_by_a_hundred() -> None:
    for target in (gmm_means(300, 4.0, 0), without_truth(2, 300, 5.0, 0)):
        assert target.predictions is not None
        assert target.predictions.values(np.zeros((2, target.dim))).shape == (2, 100)
        assert len(target.predictions.names) == 100


def test_invariants_come_in_order() -> None:
    target = without_truth(3, 50, 5.0, 0)
    x = np.random.default_rng(5).standard_normal((20, 15))
    assert target.invariant is not None
    assert target.named is not None
    ordered, named = (part.values(x).reshape(20, 3, 5) for part in (target.invariant, target.named))
    assert np.all(np.diff(ordered[:, :, 1], axis=1) > 0)
    for row, known in zip(ordered, named, strict=True):
        assert {tuple(component) for component in row} == {tuple(component) for component in known}
