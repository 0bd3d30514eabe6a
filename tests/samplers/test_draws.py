"""Draws: their moments, and diagnostics on chains whose answer is known."""

import numpy as np
import pytest

from samplers.draws import Draws, suspects


@pytest.fixture
def draws() -> Draws:
    return Draws(np.random.default_rng(1).standard_normal((4, 2000, 3)) * [1.0, 2.0, 3.0] + 5.0, ("a", "b", "c"))


def test_moments_are_those_of_all_draws_together(draws: Draws) -> None:
    flat = draws.values.reshape(-1, 3)
    assert np.allclose(draws.mean, flat.mean(axis=0))
    assert np.allclose(draws.covariance, np.cov(flat.T, bias=True))
    assert np.allclose(draws.quantiles(np.array([0.1, 0.5])), np.quantile(flat, [0.1, 0.5], axis=0))
    assert draws.log_density(flat) is None


def test_sample_picks_from_the_draws(draws: Draws) -> None:
    picked = draws.sample(np.random.default_rng(2), 500)
    assert picked.shape == (500, 3)
    assert {tuple(row) for row in picked} <= {tuple(row) for row in draws.flat}


def test_independent_draws_have_their_number_as_ess_and_r_hat_one(draws: Draws) -> None:
    """8000 independent draws; the ESS estimate has a relative error of about 3 %, R-hat - 1 one of 0.001."""
    assert np.allclose(draws.ess_bulk, 8000, rtol=0.2)
    assert np.allclose(draws.ess_tail, 8000, rtol=0.25)
    assert np.all(np.abs(draws.r_hat - 1) < 0.005)
    assert "4 chains x 2000 draws x 3 coordinates" in repr(draws)


def test_correlated_draws_have_the_ess_of_their_process() -> None:
    """AR(1) with coefficient 0.9: one effective draw in (1 + 0.9) / (1 - 0.9) = 19."""
    rng = np.random.default_rng(3)
    x = np.empty((4, 20_000, 1))
    x[:, 0] = rng.standard_normal((4, 1))
    for n in range(1, x.shape[1]):
        x[:, n] = 0.9 * x[:, n - 1] + np.sqrt(1 - 0.81) * rng.standard_normal((4, 1))
    assert Draws(x).ess_bulk[0] == pytest.approx(80_000 / 19, rel=0.15)
    assert Draws(x[:, :10_000]).worst()[1] == pytest.approx(40_000 / 19, rel=0.2)


def test_the_worst_coordinate_is_found_among_many() -> None:
    values = np.random.default_rng(4).standard_normal((4, 500, 200))
    values[:, :, 77] = np.cumsum(values[:, :, 77], axis=1)
    values[2, :, 123] += 3.0
    draws = Draws(values)
    assert set(suspects(values)[:2]) == {77, 123}
    squares = Draws(values**2)
    assert set(suspects(values, squared=True)[:2]) == set(suspects(values**2)[:2]) == {77, 123}
    assert draws.worst() == (
        pytest.approx(np.max(draws.r_hat)),
        pytest.approx(np.min(draws.ess_bulk)),
        pytest.approx(np.min(squares.ess_bulk)),
        pytest.approx(np.min(draws.ess_tail)),
    )
    assert draws.worst().r_hat > 1.2


def test_squares_have_their_own_worst_coordinate() -> None:
    """A coordinate whose sign is fair and whose size walks slowly: its mean is well known, its square is not."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((4, 1000, 100))
    values[:, :, 70] *= np.exp(np.cumsum(rng.normal(0, 0.1, (4, 1000)), axis=1))
    found = Draws(values).worst()
    assert suspects(values, squared=True)[0] == 70
    assert found.ess > 1000 and found.ess_square < 100
    assert found.ess_square == pytest.approx(float(Draws(values[:, :, 70:71] ** 2).ess_bulk[0]))


def test_squares_that_overflow_come_first() -> None:
    values = np.random.default_rng(6).standard_normal((2, 100, 70))
    values[0, 3, 66] = 1e200
    assert suspects(values, squared=True)[0] == 66
    assert Draws(values).worst().ess_square > 10


def test_few_draws_have_no_diagnostics() -> None:
    draws = Draws(np.zeros((2, 3, 1)))
    assert np.isnan(draws.r_hat[0])
    assert np.isnan(draws.worst()[0])


def test_the_standard_error_of_an_sd_is_that_of_its_squares() -> None:
    """Antithetic draws: for x 2,000 are worth 38,000, for x² but 210. Errors in standard errors are then of size 1.

    Over 200 sets their root mean square lies within [0.75, 1.35], unless errors are a third too large or too small; by
    the effective sample size of x it would be 13.
    """
    rng, z = np.random.default_rng(5), []
    for _ in range(200):
        values = np.empty((4, 500, 1))
        values[:, 0, 0] = rng.standard_normal(4)
        for i in range(1, 500):
            values[:, i, 0] = -0.9 * values[:, i - 1, 0] + np.sqrt(0.19) * rng.standard_normal(4)
        z.append((values.std() - 1.0) / Draws(values).mcse_sd[0])
    assert 0.75 < np.sqrt(np.mean(np.square(z))) < 1.35
