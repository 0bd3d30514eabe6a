"""Known answers for Neal's funnel in its two parameterisations."""

import math

import numpy as np
import pytest

import targets


def _pair(dim: int = 4, scale: float = 3.0) -> tuple[targets.Target, targets.Target]:
    free = targets.load("funnel", dim=dim, scale=scale)
    return free, targets.load("funnel", dim=dim, scale=scale, parameterisation="centred")


def test_the_parameterisations_are_one_distribution() -> None:
    """Densities differ by the Jacobian of the map from the one to the other: scale exp((dim - 1) v / 2)."""
    free, centred = _pair()
    assert free.named is not None
    assert free.truth is not None
    assert centred.truth is not None
    z = np.random.default_rng(2).standard_normal((30, 4))
    x = free.named.values(z)
    log_jacobian = math.log(3.0) + 1.5 * x[:, 0]
    one = free.log_densities(z) - free.truth.log_normaliser
    other = centred.log_densities(x) - centred.truth.log_normaliser + log_jacobian
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_named_quantities_are_the_same() -> None:
    free, centred = _pair()
    assert free.named is not None
    assert centred.named is not None
    assert free.named.names == centred.named.names == ("v", "x[1]", "x[2]", "x[3]")
    assert free.truth is not None
    assert centred.truth is not None
    assert free.truth.named is not None
    assert centred.truth.named is not None
    np.testing.assert_array_equal(free.truth.named.variance_of_square, centred.truth.named.variance_of_square)


def test_moments_are_those_of_lognormals() -> None:
    """By quadrature over v: E x^2 = E exp(v), E x^4 = 3 E exp(2 v)."""
    free, _ = _pair(scale=1.0)
    assert free.truth is not None
    assert free.truth.named is not None
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / math.sqrt(2.0 * math.pi)
    second, fourth = float(weights @ np.exp(nodes)), 3.0 * float(weights @ np.exp(2.0 * nodes))
    assert free.truth.named.variance[1] == pytest.approx(second, rel=1e-12)
    assert free.truth.named.variance_of_square[1] == pytest.approx(fourth - second**2, rel=1e-12)
    assert free.truth.named.variance[0] == 1.0


def test_the_neck_and_the_mouth_are_evaluated() -> None:
    """In the neck the width is exp(-20), in the mouth exp(20): both have finite gradients."""
    _, centred = _pair()
    points = np.array([[-40.0, 1e-9, 1e-9, 0.0], [40.0, 1e9, -1e9, 0.0]])
    values, gradients = centred.evaluate(points)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(gradients[0, 1], -math.exp(40.0) * 1e-9, rtol=1e-12)
    np.testing.assert_allclose(gradients[1, 0], math.exp(-40.0) * 1e18 - 1.5 - 40.0 / 9.0, rtol=1e-12)
