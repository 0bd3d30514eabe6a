"""Known answers for the bent Gaussian."""

import math

import numpy as np
import pytest

import targets


def test_unbending_gives_a_gaussian() -> None:
    target = targets.load("banana", dim=3, scale=2.0, curvature=0.7)
    x = np.random.default_rng(1).standard_normal((20, 3)) * 2.0
    straight = x.copy()
    straight[:, 0] /= 2.0
    straight[:, 1] -= 0.7 * (x[:, 0] ** 2 - 4.0)
    np.testing.assert_allclose(target.log_densities(x), -0.5 * (straight**2).sum(axis=1), rtol=1e-12)


def test_moments_by_quadrature() -> None:
    scale, curvature = 3.0, 0.2
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / math.sqrt(2.0 * math.pi)
    first, noise = scale * nodes[:, None], nodes[None, :]
    second = curvature * (first**2 - scale**2) + noise
    mass = weights[:, None] * weights[None, :]
    truth = targets.load("banana", scale=scale, curvature=curvature).truth
    assert truth is not None
    for i, x in enumerate((first + 0.0 * noise, second)):
        variance = float((mass * x**2).sum())
        assert float((mass * x).sum()) == pytest.approx(truth.moments.mean[i], abs=1e-12)
        assert truth.moments.variance[i] == pytest.approx(variance, rel=1e-12)
        squares = float((mass * (x**2 - variance) ** 2).sum())
        assert truth.moments.variance_of_square[i] == pytest.approx(squares, rel=1e-11)
        assert truth.moments.variance_of_centred_square[i] == pytest.approx(squares, rel=1e-11)
    assert truth.moments.covariance[0, 1] == pytest.approx(float((mass * first * second).sum()), abs=1e-12)


def test_without_curvature_it_is_gaussian() -> None:
    truth = targets.load("banana", curvature=0.0, scale=1.0).truth
    assert truth is not None
    np.testing.assert_allclose(truth.moments.variance_of_square, [2.0, 2.0])
    assert truth.entropy == pytest.approx(1.0 + math.log(2.0 * math.pi))
