"""Adaptive importance sampling with mixtures: EM never raises KL, modes are covered, few weights are tempered."""

import numpy as np
import pytest
from scipy.special import logsumexp

import targets
from targets.protocols import Status
from targets.target import Target
from variational import method
from variational.adaptive_is import AdaptiveRun, em_step, tempered
from variational.gaussian import Gaussian
from variational.mixture import MixtureOfGaussians


def run_to_end(target: Target, seed: int = 1, budget: int = 100_000, **options: object):  # type: ignore[no-untyped-def]
    run = method("adaptive_is", **options).start(target, seed)
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(10_000)
    return run


def some_mixture(rng: np.random.Generator, parts: int = 3, dim: int = 2) -> MixtureOfGaussians:
    shapes = tuple(
        Gaussian.from_moments(3 * rng.standard_normal(dim), np.cov(rng.standard_normal((dim, 9)))) for _ in range(parts)
    )
    return MixtureOfGaussians(shapes, rng.dirichlet(np.full(parts, 3.0)))


@pytest.mark.parametrize("prior", [0.0, 40.0])
def test_em_never_raises_the_divergence_of_the_weighted_draws(prior: float) -> None:
    """sum w log q grows at every step, with the last shape weighed in or not."""
    rng = np.random.default_rng(3)
    points = 3 * rng.standard_normal((500, 2)) ** 3
    weights = rng.dirichlet(np.full(500, 0.5))
    q = some_mixture(rng)
    heights = []
    for _ in range(30):
        heights.append(weights @ q.log_density(points))
        q = em_step(q, points, weights, prior)
    assert np.all(np.diff(heights) > -1e-10) and heights[-1] > heights[0] + 0.1


def test_one_component_has_the_moments_of_the_weighted_draws() -> None:
    rng = np.random.default_rng(4)
    points, weights = rng.standard_normal((300, 3)), rng.dirichlet(np.ones(300))
    q = MixtureOfGaussians((Gaussian(np.ones(3), np.eye(3)),), np.ones(1))
    fitted = em_step(q, points, weights, 0.0)
    np.testing.assert_allclose(fitted.mean, weights @ points)
    np.testing.assert_allclose(fitted.covariance, np.cov(points.T, aweights=weights, bias=True))


def test_tempered_weights_leave_as_many_draws_as_were_asked_for() -> None:
    ratios = 40 * np.random.default_rng(5).standard_normal(1000)
    weights, power = tempered(ratios, 50.0)
    assert 0 < power < 1 and 1 / np.sum(weights**2) == pytest.approx(50.0, rel=1e-3)
    np.testing.assert_allclose(np.log(weights), power * ratios - logsumexp(power * ratios), rtol=1e-8)
    assert tempered(np.zeros(1000), 50.0)[1] == pytest.approx(1.0)
    holes = np.where(np.arange(1000) % 2 == 0, -np.inf, ratios)
    assert np.all(tempered(holes, 50.0)[0][::2] == 0)


@pytest.mark.parametrize("separation", [4.0, 10.0])
def test_two_modes_get_a_component_each_and_their_masses(separation: float) -> None:
    """It stops at 0.02 sd: masses to five standard errors of some 2500 effective draws, 0.05."""
    target = targets.load("bimodal_mixture", dim=2, separation=separation, weight=0.3)
    run = run_to_end(target)
    q = run.approximation()
    assert run.status is Status.CONVERGED and run.diagnostics()["k_hat"] < 0.7
    assert (q.sample(np.random.default_rng(1), 40_000)[:, 0] < 0).mean() == pytest.approx(0.3, abs=0.06)
    assert target.truth is not None
    assert run.diagnostics()["log_normaliser"] == pytest.approx(target.truth.log_normaliser, abs=0.1)


def test_a_mixture_is_nearer_than_the_best_gaussian_where_the_target_bends() -> None:
    """KL(p || q) over exact draws of a banana, whose best Gaussian leaves 1.26 nats."""
    target = targets.load("banana")
    assert target.truth is not None and target.truth.sample is not None
    draws = target.truth.sample(np.random.default_rng(2), 20_000)
    q = run_to_end(target, components=6).approximation()
    best = Gaussian.from_moments(target.truth.moments.mean, target.truth.moments.covariance)
    gain = q.log_density(draws) - best.log_density(draws)
    assert gain.mean() > 0.3 + 6 * gain.std() / np.sqrt(len(draws))


def test_far_off_it_tempers_and_arrives() -> None:
    """Starting points 60 sd from the mass, and no climb to help: the first weights rest on a draw or two."""
    target = targets.load("correlated_gaussian", dim=8, rho=0.5, mean=6.0)
    run = method("adaptive_is", components=2).start(target, 3)
    assert isinstance(run, AdaptiveRun)
    run.advance(1)
    wide = tuple(Gaussian(np.zeros(8), np.eye(8)) for _ in range(2))
    run.mixture = MixtureOfGaussians(wide, np.full(2, 0.5))
    run._open(list(wide))
    tempers = []
    while run.status is Status.RUNNING and run.work.total < 200_000:
        run.advance(1)
        tempers.append(run.temper)
    assert run.status is Status.CONVERGED and min(tempers) < 0.9 and tempers[-1] == 1.0
    q = run.approximation()
    assert q is not None and np.max(np.abs(q.mean - 6.0)) < 0.15


def test_options_and_targets_that_are_not_accepted() -> None:
    assert "at most 200" in (method("adaptive_is").unfit(targets.load("correlated_gaussian", dim=300)) or "")
    for options in ({"components": 0}, {"draws": 10}):
        with pytest.raises(targets.UsageError, match="it takes"):
            method("adaptive_is", **options)
