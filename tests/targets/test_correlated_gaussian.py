"""Known answers for the Gaussian targets."""

import math

import numpy as np
import pytest
from scipy import stats

import targets

STRUCTURES = [
    {"structure": "ar1", "rho": 0.9},
    {"structure": "ar1", "rho": -0.3},
    {"structure": "equicorrelated", "rho": 0.9},
    {"structure": "rotated", "condition": 50.0},
]


def _load(dim: int, options: dict[str, object]) -> tuple[targets.Target, targets.Moments]:
    target = targets.load("correlated_gaussian", dim=dim, **options)
    assert target.truth is not None
    return target, target.truth.moments


@pytest.mark.parametrize("options", STRUCTURES, ids=str)
@pytest.mark.parametrize("dim", [1, 2, 3, 7, 8, 15, 16, 31, 33, 50, 64, 100, 131])
def test_density_is_scipys(dim: int, options: dict[str, object]) -> None:
    """Dimensions on both sides of every block and vector length that the kernels might use."""
    target, moments = _load(dim, {**options, "mean": 1.5})
    assert target.truth is not None
    normal = stats.multivariate_normal(moments.mean, moments.covariance)
    points = np.random.default_rng(dim).standard_normal((4, dim)) * 2.0
    values, gradients = target.evaluate(points)
    expected = np.atleast_1d(normal.logpdf(points)) + target.truth.log_normaliser
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(gradients, np.linalg.solve(moments.covariance, (1.5 - points).T).T, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(
        [target.density(point, target.data) for point in points], expected, rtol=1e-10, atol=1e-10
    )
    assert target.truth.entropy == pytest.approx(float(normal.entropy()), rel=1e-12)


def test_two_correlated_coordinates() -> None:
    """At correlation 0.9 the conditional variances, which mean field finds, are 0.19."""
    target, moments = _load(2, {"rho": 0.9})
    assert target.gaussian is not None
    np.testing.assert_allclose(moments.covariance, [[1.0, 0.9], [0.9, 1.0]])
    np.testing.assert_allclose(1.0 / np.diagonal(target.gaussian.precision), [0.19, 0.19], rtol=1e-12)


def test_spectra() -> None:
    rotated = _load(11, {"structure": "rotated", "condition": 1e4})[1]
    np.testing.assert_allclose(np.linalg.eigvalsh(rotated.covariance), np.logspace(-2, 2, 11), rtol=1e-9)
    level = _load(6, {"structure": "equicorrelated", "rho": 0.5})[1]
    np.testing.assert_allclose(np.linalg.eigvalsh(level.covariance), [0.5] * 5 + [3.5], rtol=1e-12)


def test_rotations_follow_haars_measure() -> None:
    """Then E Q diag(l) Q^T = mean(l) I, and its diagonal entries have the variance 2 var(l) / (d + 2).

    400 seeds and four standard errors: sixteen averages of a right rotation fail for one choice of seeds in a thousand.
    """
    dim, seeds = 4, 400
    matrices = np.array([_load(dim, {"structure": "rotated", "seed": seed})[1].covariance for seed in range(seeds)])
    lengths = np.logspace(-1, 1, dim)
    error = matrices.std(axis=0) / math.sqrt(seeds)
    assert (np.abs(matrices.mean(axis=0) - lengths.mean() * np.eye(dim)) < 4.0 * error).all()
    # from E Q_ik^4 = 3 / (d (d + 2)) and E Q_ij^2 Q_ik^2 = 1 / (d (d + 2))
    variance = 2.0 / (dim + 2.0) * float(np.var(lengths))
    np.testing.assert_allclose(matrices.var(axis=0).diagonal().mean(), variance, rtol=0.15)


def test_a_seed_chooses_the_rotation() -> None:
    one, again, other = (_load(5, {"structure": "rotated", "seed": seed})[1].covariance for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01
