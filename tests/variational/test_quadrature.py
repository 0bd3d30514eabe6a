"""Both divergences minimised by quadrature, against optima known in closed form."""

import numpy as np
import pytest

import targets
from targets.protocols import Work
from variational.grid import integrate
from variational.quadrature import forward_kl, reverse_kl, reverse_kl_optima

PAIR = targets.load("correlated_gaussian", dim=2, rho=0.9)
START = np.array([1.0, 2.0]), np.array([1.0, 0.5])


def test_reverse_and_forward_variances_of_a_correlated_pair() -> None:
    reverse, forward = reverse_kl(PAIR, *START), forward_kl(PAIR, *START)
    np.testing.assert_allclose(reverse.q.variance, 0.19, atol=1e-8)
    np.testing.assert_allclose(forward.q.variance, 1.0, atol=1e-7)
    for optimum in (reverse, forward):
        np.testing.assert_allclose(optimum.q.mean, 0.0, atol=1e-7)
        assert optimum.divergence == pytest.approx(-0.5 * np.log(0.19), abs=1e-8)
        assert optimum.stable and optimum.normalised


@pytest.mark.parametrize("minimise", [reverse_kl, forward_kl])
def test_a_dense_gaussian_is_recovered_exactly(minimise: object) -> None:
    optimum = minimise(PAIR, *START, fullrank=True)  # type: ignore[operator]
    assert PAIR.truth is not None
    np.testing.assert_allclose(optimum.q.covariance, PAIR.truth.moments.covariance, atol=1e-7)
    assert optimum.divergence == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("separation", [2.0, 8.0])
def test_the_forward_optimum_of_a_mixture_has_its_moments(separation: float) -> None:
    target = targets.load("bimodal_mixture", separation=separation)
    assert target.truth is not None
    optimum = forward_kl(target, np.array([1.0]), np.array([0.5]))
    np.testing.assert_allclose(optimum.q.mean, target.truth.moments.mean, atol=1e-6)
    np.testing.assert_allclose(optimum.q.variance, target.truth.moments.variance, rtol=1e-6)


def test_reverse_optima_of_a_mixture_lie_at_its_modes_once_they_are_apart() -> None:
    starts = np.linspace(-6, 6, 9)[:, None]
    near = reverse_kl_optima(targets.load("bimodal_mixture", separation=1.0), starts, np.ones((9, 1)))
    assert len(near) == 1
    target = targets.load("bimodal_mixture", separation=10.0)
    assert target.truth is not None and target.truth.modes is not None
    far = reverse_kl_optima(target, starts, np.ones((9, 1)))
    # one mode is missed, at the price of the log of the mass that is held
    expected = sorted(-np.log(target.truth.modes.masses))
    np.testing.assert_allclose([optimum.divergence for optimum in far][:2], expected, atol=1e-4)


def test_a_saddle_is_not_called_a_minimum() -> None:
    target = targets.load("bimodal_mixture", separation=6.0, weight=0.5)
    middle = reverse_kl(target, np.zeros(1), np.full(1, 0.5))
    apart = reverse_kl_optima(target, np.array([[-3.0], [3.0]]), np.ones((2, 1)))
    assert len(apart) == 2
    assert middle.q.mean[0] == pytest.approx(0.0, abs=1e-6) and middle.divergence > apart[0].divergence


@pytest.mark.parametrize("name", ["banana", "bimodal_mixture", "gmm_posterior", "correlated_gaussian"])
def test_a_grid_knows_moments_normaliser_and_entropy(name: str) -> None:
    target = targets.load(name, dim=2) if name == "correlated_gaussian" else targets.load(name)
    assert target.truth is not None
    truth, work = target.truth, Work()
    grid = integrate(target, truth.moments.mean + 0.3, truth.moments.sd, work=work)
    assert grid is not None and work.total > len(grid.points)
    np.testing.assert_allclose(grid.mean, truth.moments.mean, atol=1e-7)
    np.testing.assert_allclose(grid.covariance, truth.moments.covariance, atol=1e-6)
    assert grid.log_normaliser == pytest.approx(truth.log_normaliser, abs=1e-7)
    assert grid.entropy == pytest.approx(truth.entropy, abs=max(1e-6, 5 * truth.entropy_error))


def test_tails_that_no_box_holds_are_said_so() -> None:
    assert integrate(targets.load("student_t", dim=1, df=1.0), np.zeros(1), np.ones(1)) is None


def test_more_than_two_dimensions_are_refused() -> None:
    with pytest.raises(targets.UsageError, match="quadrature takes at most 2"):
        reverse_kl(targets.load("banana", dim=3), np.zeros(3), np.ones(3))
