"""Mixtures of Gaussians: the family by quadrature, its natural gradients, and fits whose answer is known."""

import numpy as np
import pytest

import targets
from targets.kernel import Vector
from targets.protocols import Approximation, Run, Status
from targets.target import Target
from variational import method
from variational.closed_form import kl_gaussians
from variational.gaussian import Gaussian, triangular
from variational.mixture import MixtureOfGaussians, discrepancy
from variational.mixture_state import State
from variational.mixture_vi import scattered

GRID = np.linspace(-30, 30, 6001)
LINE = MixtureOfGaussians(
    tuple(Gaussian(np.array([m]), np.array([s])) for m, s in ((-4.0, 0.3), (1.0, 1.0), (2.0, 3.0))),
    np.array([0.2, 0.5, 0.3]),
)


def spatial(dim: int, count: int = 3) -> MixtureOfGaussians:
    """A mixture with dense covariances."""
    rng = np.random.default_rng([dim, count])
    parts = tuple(
        Gaussian(2 * rng.standard_normal(dim), triangular(rng.standard_normal((dim, dim)) + np.eye(dim)))
        for _ in range(count)
    )
    weights = rng.dirichlet(np.full(count, 5.0))
    return MixtureOfGaussians(parts, weights)


def test_density_moments_and_quantiles_agree_by_quadrature() -> None:
    mass = np.exp(LINE.log_density(GRID[:, None])) * (GRID[1] - GRID[0])
    assert mass.sum() == pytest.approx(1.0, abs=1e-10)
    assert LINE.mean[0] == pytest.approx(mass @ GRID, abs=1e-9)
    assert LINE.covariance[0, 0] == pytest.approx(mass @ (GRID - LINE.mean[0]) ** 2, abs=1e-8)
    assert LINE.sd[0] ** 2 == pytest.approx(LINE.covariance[0, 0])
    for p in (1e-6, 0.05, 0.2, 0.5, 0.99):
        quantile = LINE.quantiles(np.array([p]))[0, 0]
        fine = np.linspace(-30, quantile, 60_001)
        below = np.trapezoid(np.exp(LINE.log_density(fine[:, None])), fine)
        assert below == pytest.approx(p, rel=1e-6)
    assert np.isneginf(LINE.quantiles(np.array([0.0]))[0, 0]) and np.isposinf(LINE.quantiles(np.array([1.0]))[0, 0])


def test_draws_have_the_mixtures_moments_and_density() -> None:
    """Six standard errors of each of 14 moments: false alarms below 1e-7."""
    q, n = spatial(4), 40_000
    x = q.sample(np.random.default_rng(1), n)
    away = x - q.mean
    assert np.all(np.abs(away.mean(axis=0)) < 6 * q.sd / np.sqrt(n))
    squares = away[:, :, None] * away[:, None, :]
    assert np.all(np.abs(squares.mean(axis=0) - q.covariance) < 6 * squares.std(axis=0) / np.sqrt(n))
    narrow = Gaussian(q.parts[0].mean, 0.5 * q.parts[0].factor)  # E_q[r / q] = 1
    ratio = np.exp(narrow.log_density(x) - q.log_density(x))
    assert abs(ratio.mean() - 1) < 6 * ratio.std() / np.sqrt(n)
    first, second = x[: n // 2].mean(axis=0), x[n // 2 :].mean(axis=0)  # in no order
    assert np.all(np.abs(first - second) < 6 * q.sd * np.sqrt(4 / n))


def test_the_discrepancy_of_two_gaussians_is_both_divergences() -> None:
    """To six standard errors of their estimate, about 5 % of it."""
    a, b = Gaussian(np.zeros(2), np.array([1.0, 2.0])), Gaussian(np.array([0.3, 0.0]), np.array([1.2, 2.0]))
    exact = kl_gaussians(a, b) + kl_gaussians(b, a)
    one, other = (MixtureOfGaussians((part,), np.ones(1)) for part in (a, b))
    assert discrepancy(one, other, np.random.default_rng(1), 20_000) == pytest.approx(exact, rel=0.1)
    assert discrepancy(one, one, np.random.default_rng(1)) == 0.0


def bound(target: Target, q: MixtureOfGaussians) -> float:
    """The ELBO in one dimension, by quadrature."""
    log_q = q.log_density(GRID[:, None])
    held = log_q > -600
    mass = np.exp(log_q[held]) * (GRID[1] - GRID[0])
    return float(mass @ (target.log_densities(GRID[held, None]) - log_q[held]))


def moved(q: MixtureOfGaussians, part: int, mean: float = 0.0, log_sd: float = 0.0) -> MixtureOfGaussians:
    parts = list(q.parts)
    old = parts[part]
    parts[part] = Gaussian(old.mean + mean * old.sd, old.factor * np.exp(log_sd))
    return MixtureOfGaussians(tuple(parts), q.weights)


def exact_gradients(target: Target, q: MixtureOfGaussians) -> Vector:
    """By sd of each mean and by each log sd, over the weights, by differences of the bound: (2 k,)."""
    step, found = 1e-4, []
    for kind in ("mean", "log_sd"):
        for part, weight in enumerate(q.weights):
            ends = [bound(target, moved(q, part, **{kind: sign * step})) for sign in (1, -1)]
            found.append((ends[0] - ends[1]) / (2 * step * weight))
    return np.array(found)


def estimates(target: Target, q: MixtureOfGaussians, dense: bool, runs: int) -> np.ndarray:
    """(runs, 3 k) single small steps from q, over their sizes: of means, log sds and log weights."""
    rate, rng, found = 1e-3, np.random.default_rng(3), []
    parts = tuple(Gaussian(p.mean, np.diag(p.factor) if dense else p.factor) for p in q.parts)
    for _ in range(runs):
        state = State.at(MixtureOfGaussians(parts, q.weights))
        state.advance(target, rng, 1, rate, rate)
        after = state.current()
        shift = (after.means - q.means)[:, 0] / q.sds[:, 0]
        stretch = np.log(after.sds / q.sds)[:, 0]
        weights = np.log(after.weights / q.weights)
        found.append(np.concatenate([shift, 2 * stretch, weights]) / rate)
    return np.array(found)


@pytest.mark.parametrize("dense", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_step_is_an_unbiased_natural_gradient(dense: bool) -> None:
    """Six standard errors of 2 x 3 means: false alarms below 1e-7. Leaving out log q is off by hundreds of them."""
    target = targets.load("bimodal_mixture", separation=4.0, weight=0.3)
    found = estimates(target, LINE, dense, 800)
    exact = exact_gradients(target, LINE)
    mean, error = found.mean(axis=0), found.std(axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(mean[:6] - exact) < 6 * error[:6] + 2e-3 * np.abs(exact))
    planted = exact - np.array([0, 0, 0, 1, 1, 1])  # without the entropy's pull on the scales
    assert np.any(np.abs(mean[:6] - planted) > 12 * error[:6] + 2e-3 * np.abs(planted))
    log_q = LINE.log_density(GRID[:, None])
    gains = np.array(
        [np.exp(part.log_density(GRID[:, None])) @ (target.log_densities(GRID[:, None]) - log_q) for part in LINE.parts]
    ) * (GRID[1] - GRID[0])
    expected = gains - LINE.weights @ gains
    # ratios of averages, which are off by their relative noise squared
    assert np.all(np.abs(mean[6:] - expected) < 6 * error[6:] + 0.1 * np.abs(gains).max())


def fitted(name: str, target: Target, seed: int, budget: int = 200_000, **options: object) -> tuple[Run, Approximation]:
    run = method(name, **options).start(target, seed)
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(20_000)
    q = run.approximation()
    assert q is not None
    return run, q


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("name", ["mixture_vi", "boosting"])
def test_two_modes_far_apart_are_recovered_with_their_masses(name: str, covariance: str) -> None:
    """Exactly: the target is in the family, and noise vanishes there. Modes are missed once in a thousand seeds."""
    target = targets.load("bimodal_mixture", dim=2, separation=10.0, weight=0.3, sd_ratio=2.0)
    assert target.truth is not None
    run, q = fitted(name, target, seed=2, covariance=covariance)
    moments = target.truth.moments
    assert run.status is Status.CONVERGED
    assert np.max(np.abs(q.mean - moments.mean) / moments.sd) < 0.01
    np.testing.assert_allclose(np.sqrt(np.diagonal(q.covariance)), moments.sd, rtol=0.01)
    assert run.diagnostics()["elbo"] == pytest.approx(target.truth.log_normaliser, abs=0.01)


def test_a_mixture_of_dense_gaussians_is_recovered() -> None:
    target = targets.load("gaussian_mixture", components=3, dim=3, layout="scattered", spacing=8.0, uneven=1.0)
    assert target.truth is not None
    run, q = fitted("mixture_vi", target, seed=1, components=12)
    assert run.status is Status.CONVERGED
    assert np.max(np.abs(q.mean - target.truth.moments.mean) / target.truth.moments.sd) < 0.01


def test_components_that_fade_are_removed_and_more_of_them_fit_better() -> None:
    target = targets.load("banana", dim=2)
    assert target.truth is not None
    bounds = [fitted("mixture_vi", target, 1, 40_000, components=k)[0].diagnostics()["elbo"] for k in (1, 3, 8)]
    assert bounds[0] + 0.3 < bounds[1] < bounds[2] - 0.05 < target.truth.log_normaliser
    run, _ = fitted("mixture_vi", targets.load("bimodal_mixture", dim=2), 1, components=40)
    assert run.diagnostics()["components"] <= 40


def test_components_are_shared_out_among_the_modes() -> None:
    modes = [Gaussian(np.full(2, m), np.eye(2)) for m in (-3.0, 3.0)]
    q = scattered(modes, 5, np.random.default_rng(1))
    assert np.array_equal(q.means[:2], [[-3, -3], [3, 3]]) and len(q.parts) == 5
    assert np.all(np.sign(q.means[2:, 0] + q.means[2:, 1]) == [-1, 1, -1])


def test_what_is_not_accepted() -> None:
    with pytest.raises(targets.UsageError, match="mixture_vi: components=0"):
        method("mixture_vi", components=0)
    with pytest.raises(targets.UsageError, match=r"boosting: covariance='tied'.*'full' or 'diagonal'"):
        method("boosting", covariance="tied")
    assert "too large" in (method("mixture_vi").unfit(targets.load("correlated_gaussian", dim=5000)) or "")
