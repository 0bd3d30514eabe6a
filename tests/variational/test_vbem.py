"""VB-EM as a method: its approximation is one distribution, and its family's mathematics is right."""

import pickle

import numpy as np
import pytest

import targets
from targets.conjugate.mixture_family import MixtureFamily
from targets.protocols import Run, Status
from variational import method

SIGMAS = 6.0  # two-sided 2e-9
DRAWS = 20_000


def fitted(target: targets.Target, seed: int = 1) -> MixtureFamily:
    run = method("vbem").start(target, seed)
    run.advance(10_000)
    assert run.status is Status.CONVERGED
    return believed(run)


def believed(run: Run) -> MixtureFamily:
    q = run.approximation()
    assert isinstance(q, MixtureFamily)
    return q


@pytest.fixture(scope="module")
def mixture() -> targets.Target:
    return targets.load("conjugate_mixture", data="simulated", components=3, n=40)


def test_its_moments_quantiles_and_density_are_those_of_its_draws(mixture: targets.Target) -> None:
    q = fitted(mixture)
    x = q.sample(np.random.default_rng(1), DRAWS)
    sd = np.sqrt(np.diagonal(q.covariance))
    scaled = (x - q.mean) / sd
    assert np.max(np.abs(scaled.mean(axis=0))) < SIGMAS / np.sqrt(DRAWS)
    products = scaled[:, :, None] * scaled[:, None, :]
    expected = q.covariance / np.outer(sd, sd)
    assert np.all(np.abs(products.mean(axis=0) - expected) < SIGMAS * products.std(axis=0) / np.sqrt(DRAWS))
    third, fourth = (part / sd**power for part, power in zip(q.third_and_fourth(), (3, 4), strict=True))
    for power, moment in ((3, third), (4, fourth)):
        error = (scaled**power).std(axis=0) / np.sqrt(DRAWS)
        assert np.all(np.abs((scaled**power).mean(axis=0) - moment) < SIGMAS * error)
    for p in (0.05, 0.5, 0.9):
        below = (x <= q.quantiles(np.array([p]))[0]).mean(axis=0)
        assert np.max(np.abs(below - p)) < SIGMAS * np.sqrt(p * (1 - p) / DRAWS)
    log_q = q.log_density(x)
    assert abs(q.entropy + log_q.mean()) < SIGMAS * log_q.std() / np.sqrt(DRAWS)
    other = MixtureFamily(
        q.amount, q.concentration + 1, q.centres + 0.1, q.mean_precision, q.degrees_of_freedom + 1, q.scale * 1.1
    )
    log_ratio = log_q - other.log_density(x)
    assert abs(q.divergence(other) - log_ratio.mean()) < SIGMAS * log_ratio.std() / np.sqrt(DRAWS)
    ratio = np.exp(-log_ratio)  # whose mean is one where both are normalised
    assert abs(ratio.mean() - 1.0) < SIGMAS * ratio.std() / np.sqrt(DRAWS) and ratio.std() < 20


def test_a_pickled_run_goes_on_and_slices_do_not_matter(mixture: targets.Target) -> None:
    whole, cut = (method("vbem").start(mixture, 2) for _ in range(2))
    whole.advance(30)
    cut.advance(11)
    held = believed(cut)
    before = held.mean.copy()
    cut = pickle.loads(pickle.dumps(cut))
    for _ in range(19):
        cut.advance(1)
    assert np.array_equal(believed(whole).mean, believed(cut).mean)
    assert np.array_equal(held.mean, before)
    assert whole.work == cut.work and whole.work.sweeps == 30
    assert whole.diagnostics() == cut.diagnostics()


def test_with_one_component_it_is_the_truth() -> None:
    target = targets.load("conjugate_mixture", data="simulated", components=1, n=6, dim=2)
    assert target.truth is not None
    q = fitted(target)
    np.testing.assert_allclose(q.mean, target.truth.moments.mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(q.covariance, target.truth.moments.covariance, rtol=1e-12, atol=1e-14)


def test_what_it_cannot_take_is_refused() -> None:
    banana = targets.load("banana")
    assert "conjugate model" in str(method("vbem").unfit(banana))
    with pytest.raises(targets.UsageError, match="not accepted"):
        method("vbem").start(banana, 1)
    with pytest.raises(targets.UsageError, match="positive"):
        method("vbem", tolerance=0.0)
