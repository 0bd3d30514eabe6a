"""Known answers for the multivariate t."""

import numpy as np
import pytest
from scipy import stats

import targets


def _truth(**options: float) -> targets.Truth:
    truth = targets.load("student_t", **options).truth
    assert truth is not None
    return truth


@pytest.mark.parametrize("dim", [1, 2, 5, 20])
@pytest.mark.parametrize("df", [0.7, 3.0, 5.0, 100.0])
@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_density_is_scipys(dim: int, df: float, rho: float) -> None:
    target = targets.load("student_t", dim=dim, df=df, rho=rho)
    assert target.truth is not None
    shape = rho ** np.abs(np.subtract.outer(np.arange(dim), np.arange(dim)))
    student = stats.multivariate_t(shape=shape, df=df)
    x = np.random.default_rng(dim).standard_normal((6, dim)) * 5.0
    normalised = target.log_densities(x) - target.truth.log_normaliser
    np.testing.assert_allclose(normalised, np.atleast_1d(student.logpdf(x)), rtol=1e-11)
    np.testing.assert_allclose(target.truth.entropy, student.entropy(), rtol=1e-9)


def test_moments_that_do_not_exist_are_nan() -> None:
    for df, has_mean, has_variance, has_fourth in [
        (1.0, False, False, False),
        (2.0, True, False, False),
        (4.0, True, True, False),
        (4.5, True, True, True),
    ]:
        moments = _truth(df=df, dim=3).moments
        assert np.isfinite(moments.mean).all() == has_mean
        assert np.isfinite(moments.covariance).all() == np.isfinite(moments.covariance).any() == has_variance
        assert np.isfinite(moments.variance_of_square).all() == has_fourth
        assert np.isfinite(moments.variance_of_centred_square).any() == has_fourth


def test_moments_of_five_degrees_of_freedom() -> None:
    """Variance 5/3, and kurtosis 3 + 6 / (df - 4) = 9, so that Var x^2 = 8 (5/3)^2."""
    moments = _truth(df=5.0, dim=2, rho=0.5).moments
    np.testing.assert_allclose(moments.covariance, np.array([[1.0, 0.5], [0.5, 1.0]]) * 5.0 / 3.0)
    np.testing.assert_allclose(moments.variance_of_square, 8.0 * (5.0 / 3.0) ** 2)
    univariate = float(stats.t(5.0).stats(moments="k")) + 3.0
    assert univariate == pytest.approx(9.0)


def test_many_degrees_of_freedom_are_a_gaussian() -> None:
    truth = _truth(df=1e7, dim=3)
    np.testing.assert_allclose(truth.moments.covariance, np.eye(3), rtol=1e-6, atol=1e-12)
    assert truth.entropy == pytest.approx(1.5 * (1.0 + np.log(2.0 * np.pi)), rel=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_the_density_keeps_its_digits_at_many_degrees_of_freedom(rho: float) -> None:
    """There -(df + dim) / 2 log(1 + q / df) is -q / 2, to a part in 1e9, and log(1 + tiny) would have few digits."""
    target = targets.load("student_t", df=1e12, dim=3, rho=rho)
    precision = np.linalg.inv(rho ** np.abs(np.subtract.outer(np.arange(3), np.arange(3))))
    x = np.random.default_rng(1).standard_normal((5, 3))
    np.testing.assert_allclose(target.log_densities(x), -0.5 * np.einsum("ni,ij,nj->n", x, precision, x), rtol=1e-9)
