"""Lotka-Volterra: the density from an adaptive solver, and the order of the rule."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import solve_ivp

import targets
from targets import lotka_volterra

# about where the posterior lies (Carpenter 2018)
USUAL = np.log([0.55, 0.028, 0.80, 0.024, 34.0, 5.9, 0.25, 0.25])


def points(n: int) -> np.ndarray:
    return USUAL + 0.1 * np.random.default_rng(1).standard_normal((n, 8))


def pelts() -> np.ndarray:
    """(21, 2), read apart from the target."""
    return np.loadtxt(lotka_volterra._FILE, delimiter=",", skiprows=1)[:, 1:]


def expected(x: np.ndarray) -> float:
    """The log density with the equations solved adaptively, in their usual form."""
    alpha, beta, gamma, delta, *start = np.exp(x[:6])
    sigma = np.exp(x[6:])

    def slopes(_: float, z: np.ndarray) -> list[float]:
        return [(alpha - beta * z[1]) * z[0], (delta * z[0] - gamma) * z[1]]

    solved = solve_ivp(slopes, (0, 20), start, t_eval=np.arange(21), method="LSODA", rtol=1e-9, atol=1e-9).y.T
    total = stats.lognorm.logpdf(pelts(), sigma, scale=solved).sum()
    cut = stats.truncnorm.logpdf
    total += cut([alpha, gamma], -2, np.inf, 1, 0.5).sum() + cut([beta, delta], -1, np.inf, 0.05, 0.05).sum()
    total += stats.lognorm.logpdf(start, 1, scale=10).sum() + stats.lognorm.logpdf(sigma, 1, scale=np.exp(-1)).sum()
    return float(total + x.sum())


def test_the_density_is_the_model_s() -> None:
    target = targets.load("lotka_volterra", steps=100)
    for x in points(8):
        assert target.log_densities(x[None])[0] == pytest.approx(expected(x), abs=2e-4)


def test_the_rule_is_of_the_fourth_order() -> None:
    at = points(20)
    values = {steps: targets.load("lotka_volterra", steps=steps).log_densities(at) for steps in (10, 20, 320)}
    coarse, fine = (np.abs(values[steps] - values[320]).max() for steps in (10, 20))
    assert 10 < coarse / fine < 25
    assert coarse < 0.02  # far less than the posterior can tell


def test_the_sensitivities_are_those_of_the_discrete_solution() -> None:
    """Also where the steps are so long that the solution is wrong: by central differences, to nine digits."""
    target = targets.load("lotka_volterra", steps=1)
    at = points(5)
    gradients = target.evaluate(at)[1]
    for i in range(8):
        shift = 1e-3 * np.eye(8)[i]
        one, two = (
            (target.log_densities(at + k * shift) - target.log_densities(at - k * shift)) / (2e-3 * k) for k in (1, 2)
        )
        np.testing.assert_allclose(gradients[:, i], (4 * one - two) / 3, rtol=1e-6, atol=1e-5)


def test_starting_points_are_drawn_from_the_prior_and_mostly_finite() -> None:
    target = targets.load("lotka_volterra")
    rng = np.random.default_rng(3)
    starts = np.array([target.start(rng) for _ in range(100)])
    assert np.isfinite(target.log_densities(starts)).mean() > 0.9


def test_an_explosion_has_no_density() -> None:
    target = targets.load("lotka_volterra")
    x = USUAL.copy()
    x[0] = 5.0
    assert target.log_densities(x[None])[0] == -np.inf


def test_the_certificate_agrees_with_the_published_posterior() -> None:
    """Carpenter's table, to the digits that he gives."""
    truth = targets.load("lotka_volterra").truth
    assert truth is not None
    assert truth.named is not None
    np.testing.assert_allclose(truth.named.mean, [0.55, 0.028, 0.80, 0.024, 34.0, 5.9, 0.25, 0.25], rtol=0.015)
    np.testing.assert_allclose(truth.named.sd[[0, 2, 4, 5]], [0.06, 0.09, 2.9, 0.5], rtol=0.1)


@pytest.mark.parametrize("steps", [0, 1001])
def test_bad_options_get_one_line(steps: int) -> None:
    with pytest.raises(targets.UsageError, match="is not accepted"):
        targets.load("lotka_volterra", steps=steps)
