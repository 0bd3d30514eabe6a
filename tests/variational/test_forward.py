"""Forward KL by moment matching, and the smoothed weights it rests on."""

import numpy as np
import pytest

import targets
from targets.protocols import Status
from targets.target import Target
from variational import method
from variational.gaussian import Gaussian
from variational.proposal import Mixture, StudentT
from variational.psis import k_hat, smooth


def run_to_end(name: str, target: Target, seed: int = 1, budget: int = 300_000, **options: object):  # type: ignore[no-untyped-def]
    run = method(name, **options).start(target, seed)
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(10_000)
    return run


@pytest.mark.parametrize("name", ["bimodal_mixture", "banana", "gmm_posterior"])
@pytest.mark.parametrize("family", ["meanfield", "fullrank"])
def test_in_few_dimensions_moments_are_exact(name: str, family: str) -> None:
    target = targets.load(name)
    assert target.truth is not None
    run = run_to_end(f"forward_kl_{family}", target, budget=10_000_000)
    q = run.approximation()
    assert run.status is Status.CONVERGED and q.diagonal == (family == "meanfield")
    np.testing.assert_allclose(q.mean, target.truth.moments.mean, atol=1e-6)
    np.testing.assert_allclose(q.variance, target.truth.moments.variance, rtol=1e-6)
    assert run.diagnostics()["log_normaliser"] == pytest.approx(target.truth.log_normaliser, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("student_t", {"dim": 2}),
        ("student_t", {"dim": 10, "df": 9.0}),
        ("correlated_gaussian", {"dim": 20}),
        ("bimodal_mixture", {"dim": 5}),
        ("eight_schools", {}),
    ],
)
def test_in_more_dimensions_moments_are_right_to_the_tolerance(name: str, options: dict[str, object]) -> None:
    """It stops at 0.02 sd: five standard errors of the worst of at most 40 moments alarm falsely once in 1e4 seeds."""
    target = targets.load(name, **options)
    assert target.truth is not None
    run = run_to_end("forward_kl_fullrank", target, budget=1_000_000)
    q, moments = run.approximation(), target.truth.moments
    assert run.status is Status.CONVERGED and run.diagnostics()["k_hat"] < 0.7
    assert np.max(np.abs(q.mean - moments.mean) / moments.sd) < 0.1
    assert np.max(np.abs(np.log(q.sd / moments.sd))) < 0.1
    assert run.diagnostics()["log_normaliser"] == pytest.approx(target.truth.log_normaliser, abs=0.1)


def test_a_target_that_no_proposal_covers_is_not_called_converged() -> None:
    run = run_to_end("forward_kl_fullrank", targets.load("funnel", parameterisation="centred"), budget=60_000)
    assert run.status is not Status.CONVERGED


def test_many_dimensions_are_refused() -> None:
    target = targets.load("correlated_gaussian", dim=500)
    assert "at most 200 dimensions" in (method("forward_kl_fullrank").unfit(target) or "")


def test_the_oracle_has_the_moments_of_the_truth_and_refuses_where_there_are_none() -> None:
    target = targets.load("banana", dim=4)
    assert target.truth is not None
    q = run_to_end("forward_kl_oracle", target).approximation()
    np.testing.assert_allclose(q.covariance, target.truth.moments.covariance, rtol=1e-10)
    assert run_to_end("forward_kl_oracle", target, family="meanfield").approximation().diagonal
    assert "no finite" in (method("forward_kl_oracle").unfit(targets.load("student_t", df=1.5)) or "")
    with pytest.raises(targets.UsageError, match="'fullrank' or 'meanfield'"):
        method("forward_kl_oracle", family="flow")


@pytest.mark.parametrize(("sd", "expected"), [(0.5, 0.75), (0.8, 0.36), (0.6, 0.64)])
def test_k_hat_of_a_narrow_gaussian_is_known(sd: float, expected: float) -> None:
    """p / q between N(0, 1) and N(0, sd^2) has a Pareto tail of shape 1 - sd^2; estimates from 1e5 draws err by 0.1."""
    target = targets.load("correlated_gaussian", dim=1)
    estimate = k_hat(Gaussian(np.zeros(1), np.full(1, sd)), target, np.random.default_rng(1), 100_000)
    assert estimate == pytest.approx(expected, abs=0.2)
    exact = k_hat(Gaussian(np.zeros(1), np.ones(1)), target, np.random.default_rng(1))
    assert exact == 0.0


def test_smoothed_weights_sum_to_one_and_follow_the_ratios() -> None:
    x = np.random.default_rng(1).standard_normal(20_000) * 0.8
    ratios = -0.5 * x**2 + 0.5 * (x / 0.8) ** 2
    weights, _ = smooth(ratios)
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ x**2 == pytest.approx(1.0, abs=0.1)
    assert smooth(np.full(200, -np.inf))[1] == np.inf
    half = np.where(np.arange(400) % 2 == 0, -np.inf, x[:400])
    assert np.isfinite(smooth(half)[1])


def test_a_mixture_of_t_integrates_to_one() -> None:
    parts = tuple(StudentT(Gaussian(np.full(1, m), np.full(1, s))) for m, s in ((-3.0, 0.5), (2.0, 2.0)))
    grid = np.linspace(-400, 400, 400_001)
    mass = np.exp(Mixture(parts, (0.3, 0.7)).log_density(grid[:, None])).sum() * (grid[1] - grid[0])
    assert mass == pytest.approx(1.0, abs=1e-6)
    draws = Mixture(parts, (0.3, 0.7)).sample(np.random.default_rng(1), 100_000)
    assert np.mean(draws < -1) == pytest.approx(
        np.exp(Mixture(parts, (0.3, 0.7)).log_density(grid[grid < -1][:, None])).sum() * (grid[1] - grid[0]), abs=0.01
    )
