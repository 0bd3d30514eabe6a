"""Quadrature grids on densities known in closed form."""

import numpy as np
import pytest
from scipy import stats

from targets.quadrature import Grid, mixture_moments
from targets.truth import Moments


def correlated(x):
    return 1.5 + stats.multivariate_normal([1.0, -2.0], [[1.0, 0.6], [0.6, 2.0]]).logpdf(x)


PLANE = Grid(correlated, np.array([-9.0, -15.0]), np.array([11.0, 11.0]), (81, 81))


def test_a_gaussian_in_the_plane_is_known_to_rounding():
    exact = Moments.gaussian(np.array([1.0, -2.0]), np.array([[1.0, 0.6], [0.6, 2.0]]))
    found = PLANE.moments()
    assert PLANE.log_normaliser == pytest.approx(1.5, abs=1e-12)
    assert PLANE.entropy == pytest.approx(1 + np.log(2 * np.pi) + 0.5 * np.log(2 - 0.36), abs=1e-10)
    np.testing.assert_allclose(found.mean, exact.mean, atol=1e-12)
    np.testing.assert_allclose(found.covariance, exact.covariance, atol=1e-11)
    np.testing.assert_allclose(found.variance_of_square, exact.variance_of_square, rtol=1e-10)
    np.testing.assert_allclose(found.variance_of_centred_square, exact.variance_of_centred_square, rtol=1e-10)


def test_draws_follow_the_density_and_not_the_interpolant():
    # a coarse grid on purpose; Kolmogorov-Smirnov at p > 1e-4 for each of three projections, while the interpolant has
    # variance 1 + step^2 / 6 = 1.04 and fails at p < 1e-20 with as many draws
    grid = Grid(lambda x: stats.norm.logpdf(x[:, 0]), np.array([-8.0]), np.array([8.0]), (33,))
    draws = grid.sample(np.random.default_rng(1), 400_000)[:, 0]
    assert stats.kstest(draws, stats.norm.cdf).pvalue > 1e-4
    assert draws.var() == pytest.approx(1.0, abs=5 * np.sqrt(2 / 400_000))
    plane = PLANE.sample(np.random.default_rng(2), 100_000) - [1.0, -2.0]
    assert stats.kstest(plane[:, 0], stats.norm.cdf).pvalue > 1e-4
    assert stats.kstest(plane.sum(axis=1) / np.sqrt(4.2), stats.norm.cdf).pvalue > 1e-4


def test_a_grid_that_cuts_off_mass_is_refused():
    grid = Grid(lambda x: stats.norm.logpdf(x[:, 0]), np.array([-3.0]), np.array([8.0]), (101,))
    with pytest.raises(ArithmeticError, match="cuts off mass"):
        _ = grid.log_normaliser


def test_moments_of_a_conditionally_gaussian_vector():
    # x = 2 w + z, y = -w: jointly Gaussian whatever the node
    found = mixture_moments(np.array([0.25, 0.75]), np.zeros((2, 2)), np.array([[2.0, -1.0]]), np.array([[1.0, 0.0]]))
    exact = Moments.gaussian(np.zeros(2), np.array([[5.0, -2.0], [-2.0, 1.0]]))
    np.testing.assert_allclose(found.covariance, exact.covariance)
    np.testing.assert_allclose(found.variance_of_square, exact.variance_of_square)
