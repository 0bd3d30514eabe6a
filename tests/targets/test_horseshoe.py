"""The horseshoe: the density from scipy, row by row."""

import numpy as np
import pytest
from scipy import stats

import targets


@pytest.mark.parametrize(
    "options", [{}, {"dataset": "synthetic", "n": 30, "dim": 4}, {"dataset": "synthetic", "dim": 1}]
)
def test_the_density_is_the_model_s(options: dict[str, object]) -> None:
    target = targets.load("horseshoe", **options)
    count = (target.dim - 2) // 2
    signed = target.data[:, : 1 + count]
    assert target.named is not None
    for x in np.random.default_rng(1).uniform(-2, 2, (5, target.dim)):
        tau, raw, scale = np.exp(x[1]), x[2 : 2 + count], np.exp(x[2 + count :])
        slab = np.sqrt(2.5**2 * scale**2 / (2.5**2 + tau**2 * scale**2))  # equation 2.8 of the paper
        coefficients = np.append(x[0], raw * tau * slab)
        np.testing.assert_allclose(target.named.values(x[None])[0], coefficients, rtol=1e-11)
        expected = stats.norm.logpdf(x[0], 0, 10) + stats.norm.logpdf(raw).sum()
        expected += stats.halfcauchy.logpdf(scale).sum() + x[2 + count :].sum()
        expected += stats.halfcauchy.logpdf(tau, 0, 0.02) + x[1]
        expected -= np.logaddexp(0, -signed @ coefficients).sum()
        assert target.log_densities(x[None])[0] == pytest.approx(expected, rel=1e-11)


def test_beyond_the_slab_and_at_zero_the_density_is_finite() -> None:
    target = targets.load("horseshoe", dataset="synthetic", n=30, dim=4)
    for far in (-500.0, 500.0):
        x = np.full(target.dim, 0.5)
        x[5:] = far
        value, gradient = target.evaluate(x[None])
        assert np.isfinite(value).all()
        assert np.isfinite(gradient).all()
        assert target.named is not None
        np.testing.assert_allclose(target.named.values(x[None])[0, 1:], 0.5 * 2.5 if far > 0 else 0.0, atol=1e-100)


def test_sizes_of_the_real_data_are_refused() -> None:
    with pytest.raises(targets.UsageError, match="are not accepted"):
        targets.load("horseshoe", n=3)
