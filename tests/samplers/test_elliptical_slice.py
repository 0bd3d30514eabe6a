"""Elliptical slices leave targets invariant, under any Gaussian; planted errors do not (`drift` states the power)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import samplers
import targets
from samplers import ellipses as module
from samplers.chain import no_stats, tallies
from samplers.ellipses import orbit
from samplers.elliptical_slice import Elliptical
from samplers.scale import Scale, dense_scale, diagonal_scale, low_rank_scale
from targets.kernel import aligned, empty
from targets.plain import counting
from targets.protocols import Phase, Status
from targets.target import GaussianPrior
from tests.tiers import always

ALARM = 5.5
SEEN = 10.0  # what a planted error must reach
SHAPES = ["diagonal", "dense", "low rank"]


def gaussian(shape: str, target: targets.Target, beside: float = 0.5) -> tuple[np.ndarray, Scale]:
    """Some standard deviations beside the target's mean, and wider."""
    assert target.truth is not None
    moments = target.truth.moments
    sd, dim = 1.3 * np.sqrt(moments.variance), target.dim
    mean = aligned(moments.mean + beside * np.sqrt(moments.variance))
    if shape == "dense":
        return mean, dense_scale(sd[:, None] * (np.eye(dim) - np.eye(dim, k=-1) * 0.3))
    along = np.ones((1, dim)) / np.sqrt(dim)
    return mean, diagonal_scale(sd) if shape == "diagonal" else low_rank_scale(sd, along, np.array([1.3]))


def mover(target: targets.Target, mean: np.ndarray, scale: Scale, loop: Any = None) -> Any:
    run = loop or module.ellipses
    sources = Elliptical(True).sources(target)

    def move(chain: Any, tally: Any, rng: np.random.Generator, draws: np.ndarray, stats: np.ndarray) -> None:
        run(*sources, target.data, rng, chain, tally, scale, draws, stats, mean)

    return move


def begin(positions: np.ndarray, heights: np.ndarray) -> Any:
    return orbit(positions[0])


@pytest.mark.parametrize("shape", SHAPES)
def test_it_leaves_the_target_invariant_under_any_gaussian(
    exact: targets.Target, shape: str, drift: Callable[..., float]
) -> None:
    assert drift(exact, begin, mover(exact, *gaussian(shape, exact))) < ALARM


def test_it_leaves_a_posterior_invariant_under_its_prior(drift: Callable[..., float]) -> None:
    target = targets.load("gmm_posterior", n=3, separation=2.0)
    assert target.gaussian_prior is not None
    prior = aligned(target.gaussian_prior.mean), diagonal_scale(target.gaussian_prior.scale)
    assert drift(target, begin, mover(target, *prior)) < ALARM


# Where shrinking forgets a side, exact starts drift by less than two standard errors in 20 000 chains: it is not here.
PLANTED = {
    "the prior counted twice": ("likelihood = there + 0.5 * (", "likelihood = there + 0.0 * ("),
    "an ellipse about the origin": ("mean[i] + (c * (position[i] - mean[i])", "(c * position[i]"),
    "the level drawn wrong": ("- rng.standard_exponential()", "- rng.random()"),
    "a bracket that is not put at random": ("left, right = angle - 2.0 * math.pi, angle", "left, right = 0.0, angle"),
    "the product of the two draws forgotten": ("2.0 * c * s * cross", "0.0 * cross"),
    "a density that is not carried along": ("here = there\n", "here = here\n"),
}


@pytest.mark.parametrize("error", always(PLANTED, {"the level drawn wrong"}))
def test_planted_errors_are_caught(
    error: str, telling: list[targets.Target], drift: Callable[..., float], planted: Callable[..., Any]
) -> None:
    broken = planted(module, "ellipses", *PLANTED[error])
    assert any(
        drift(target, begin, mover(target, *gaussian("diagonal", target, beside), broken), n=60_000) > SEEN
        for beside in (0.5, 2.0)
        for target in telling
    )


def test_priors_are_what_the_density_holds() -> None:
    """log p - log N(prior) of a logistic regression is its likelihood kernel, and of the mixture's means its own."""
    target = targets.load("logistic_regression", dataset="synthetic", n=50, dim=4)
    prior, rows = target.gaussian_prior, target.rows
    assert prior is not None
    assert rows is not None
    x = np.random.default_rng(1).standard_normal((20, 4))
    likelihood = dataclasses.replace(target, log_density_and_gradient=rows.likelihood).log_densities(x)
    assert np.allclose(target.log_densities(x) - log_normal(prior, x), likelihood, rtol=1e-12, atol=1e-10)

    target = targets.load("gmm_posterior", n=7, separation=2.0)
    prior = target.gaussian_prior
    assert prior is not None
    x = 4 * np.random.default_rng(2).standard_normal((20, 2))
    parts = -0.5 * (target.data[0][:, None, None] - x) ** 2 - 0.5 * np.log(2 * np.pi)
    likelihood = np.sum(np.logaddexp(parts[..., 0], parts[..., 1]) - np.log(2.0), axis=0)
    assert np.allclose(target.log_densities(x) - log_normal(prior, x), likelihood, rtol=1e-12, atol=1e-10)


def log_normal(prior: GaussianPrior, x: np.ndarray) -> np.ndarray:
    z = (x - prior.mean) / prior.scale
    return -0.5 * (z**2).sum(axis=1) - np.log(prior.scale).sum() - 0.5 * x.shape[1] * np.log(2 * np.pi)


def test_a_target_without_prior_is_skipped_in_one_line() -> None:
    reason = samplers.method("elliptical_slice").unfit(targets.load("banana"))
    assert reason is not None
    assert "Gaussian prior" in reason
    assert "\n" not in reason
    assert samplers.method("elliptical_slice", gaussian="fitted").unfit(targets.load("banana")) is None
    with pytest.raises(targets.UsageError, match="Gaussian prior"):
        samplers.sample("banana", "elliptical_slice")
    with pytest.raises(targets.UsageError, match="is not accepted; it takes"):
        samplers.method("elliptical_slice", gaussian="x")


@pytest.mark.parametrize("dense", [False, True])
def test_a_prior_alone_is_drawn_from_at_once(dense: bool) -> None:
    """Where the likelihood is flat every first point is taken, and neighbours are uncorrelated."""
    base = targets.load("correlated_gaussian", dim=3, rho=0.0 if not dense else 0.7)
    assert base.truth is not None
    factor = np.linalg.cholesky(base.truth.moments.covariance)
    scale = factor if dense else np.diagonal(factor)
    target = dataclasses.replace(base, gaussian_prior=GaussianPrior(base.truth.moments.mean, scale), registered=False)
    draws = samplers.sample(target, "elliptical_slice", num_samples=2000, num_warmup=20, seed=1)
    assert draws.stats["n_steps"].mean() < 1.05  # rounding may turn the first away where the level is the density's own
    assert draws.ess_bulk.min() > 5000


def test_evaluations_are_counted_exactly() -> None:
    for target, kind in (("gmm_posterior", "prior"), ("banana", "fitted")):
        counted, counter = counting(targets.load(target))
        run = samplers.method("elliptical_slice", gaussian=kind, num_warmup=30).start(counted, 1)
        while run.work.total < 5000:
            run.advance(500)
        assert run.phase is Phase.RUN
        assert run.work.density_evaluations == counter.densities
        assert counter.gradients == 0


def test_units_are_measured_in_every_form_of_the_scale() -> None:
    """A chain that never moves writes A^-1 (x - mean): the loop with no rows but one, under a density that it keeps."""
    target = targets.load("correlated_gaussian", dim=3, rho=0.5)
    for shape in SHAPES:
        mean, scale = gaussian(shape, target)
        chain, tally, draws = orbit(aligned(np.arange(3.0))), tallies(1), empty(0, 3)
        mover(target, mean, scale)(chain, tally, np.random.default_rng(1), draws, no_stats(0))
        assert np.allclose(mean + scale.times(chain.z), chain.position, rtol=1e-13)


def test_the_gaussian_is_learned_and_then_frozen() -> None:
    target = targets.load("correlated_gaussian", dim=5, rho=0.8, mean=2.0)
    run = samplers.method("elliptical_slice", gaussian="fitted").start(target, 2)
    while run.status is Status.RUNNING and run.phase is Phase.WARMUP:
        run.advance(10**6)
    assert target.truth is not None
    mean, covariance = run.tuning.own["mean"].copy(), run.tuning.scale.covariance
    assert np.allclose(mean, 2.0, atol=0.4)
    assert np.allclose(covariance, target.truth.moments.covariance, atol=0.35 * np.max(covariance))
    run.advance(20_000)
    assert np.array_equal(run.tuning.own["mean"], mean)
    assert np.array_equal(run.tuning.scale.covariance, covariance)
    assert run.draws.shape[1] * 4 > 20_000 / 2  # less than two evaluations a draw
