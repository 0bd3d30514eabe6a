"""Known answers for the two Gaussians side by side."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

import targets

HALF_LOG = 0.5 * math.log(2.0 * math.pi * math.e)


def _truth(**options: Any) -> targets.Truth:
    truth = targets.load("bimodal_mixture", **options).truth
    assert truth is not None
    return truth


@pytest.mark.parametrize(
    "options", [{}, {"weight": 0.7}, {"weight": 0.3, "sd_ratio": 3.0}, {"separation": 1.0}], ids=str
)
def test_one_dimension_by_quadrature(options: dict[str, Any]) -> None:
    target = targets.load("bimodal_mixture", **options)
    truth = target.truth
    assert truth is not None
    x = np.linspace(-45.0, 45.0, 60001)
    log_density = target.log_densities(x[:, None]) - truth.log_normaliser
    p = np.exp(log_density)

    def expect(values: np.ndarray) -> float:
        return float(integrate.trapezoid(p * values, x))

    moments, mean = truth.moments, expect(x)
    assert expect(np.ones_like(x)) == pytest.approx(1.0, abs=1e-10)
    assert moments.mean[0] == pytest.approx(mean, abs=1e-10)
    assert moments.variance[0] == pytest.approx(expect((x - mean) ** 2), rel=1e-9)
    variance = moments.variance[0]
    assert moments.variance_of_centred_square[0] == pytest.approx(expect(((x - mean) ** 2 - variance) ** 2), rel=1e-9)
    second = moments.second_moment[0]
    assert moments.variance_of_square[0] == pytest.approx(expect((x**2 - second) ** 2), rel=1e-9)
    assert truth.entropy == pytest.approx(-expect(log_density), abs=1e-9)
    assert truth.modes is not None
    inside = truth.modes.assign(x[:, None]) == 1
    assert truth.modes.masses[1] == pytest.approx(expect(inside.astype(float)), abs=1e-3)


def test_figures_of_the_default() -> None:
    """Symmetric, five apart: mean 0, variance 1 + 25/4, half of the mass on either side."""
    truth = _truth()
    assert truth.modes is not None
    assert truth.moments.mean[0] == 0.0
    assert truth.moments.variance[0] == pytest.approx(7.25)
    np.testing.assert_allclose(truth.modes.masses, [0.5, 0.5])


def test_entropy_of_modes_far_apart() -> None:
    """Each component's own entropy, and that of the choice between them."""
    choice = -0.3 * math.log(0.3) - 0.7 * math.log(0.7)
    for dim in (1, 2, 30):
        expected = choice + dim * HALF_LOG + 0.7 * dim * math.log(2.0)
        truth = _truth(dim=dim, weight=0.3, sd_ratio=2.0, separation=60.0)
        assert truth.entropy == pytest.approx(expected, rel=1e-9)


def test_entropy_of_modes_that_coincide() -> None:
    assert _truth(dim=3, separation=1e-9).entropy == pytest.approx(3 * HALF_LOG, rel=1e-9)


def test_density_is_that_of_the_two_components() -> None:
    target = targets.load("bimodal_mixture", dim=3, weight=0.2, sd_ratio=0.5, separation=3.0)
    x = np.random.default_rng(0).standard_normal((50, 3)) * 4.0
    left = stats.multivariate_normal([-1.5, 0.0, 0.0], np.eye(3)).logpdf(x) + math.log(0.2)
    right = stats.multivariate_normal([1.5, 0.0, 0.0], 0.25 * np.eye(3)).logpdf(x) + math.log(0.8)
    assert target.truth is not None
    np.testing.assert_allclose(
        target.log_densities(x) - target.truth.log_normaliser, np.logaddexp(left, right), rtol=1e-12, atol=1e-12
    )


def test_nothing_cancels_far_out() -> None:
    """Where both components underflow, the gradient is that of the nearer one, however large the other coordinate."""
    target = targets.load("bimodal_mixture", dim=2, separation=5.0)
    values, gradients = target.evaluate(np.array([[1e4, 1e9], [-1e4, 1e9]]))
    assert np.isfinite(values).all()
    np.testing.assert_allclose(gradients[:, 0], [2.5 - 1e4, 1e4 - 2.5], rtol=1e-14)
