"""Expectation propagation: exact on a conjugate model, near the moments elsewhere, and how near is told."""

import math

import numpy as np
import pytest
from scipy import stats

import targets
from targets.kernel import kernel
from targets.protocols import Status
from targets.sites import normal
from targets.target import GaussianPrior, Sites, Target
from variational import method
from variational.closed_form import kl_gaussians
from variational.ep import EpRun
from variational.gaussian import Gaussian

SCHEDULES = ("sequential", "parallel")


@kernel
def regression(x, gradient, data):  # type: ignore[no-untyped-def]
    """Unused but for its signature: EP reads the sites alone."""
    for i in range(x.shape[0]):
        gradient[i] = -x[i]
    return data[0, 0]


def conjugate(n: int = 30, dim: int = 4) -> tuple[Target, Gaussian, float]:
    """A linear regression with a dense prior, its exact posterior and its log evidence."""
    rng = np.random.default_rng(n)
    factor = np.asarray(np.linalg.cholesky(np.cov(rng.standard_normal((dim, 50))) + 0.5))
    design, mean = rng.standard_normal((n, dim)), rng.standard_normal(dim)
    noise = rng.uniform(0.2, 3.0, n)
    y = design @ rng.standard_normal(dim) + np.sqrt(noise) * rng.standard_normal(n)
    target = Target(
        "conjugate",
        dim,
        regression,
        targets.data_matrix([[0.0]]),
        gaussian_prior=GaussianPrior(mean, factor),
        sites=Sites(normal, design[:, None, :].copy(), np.column_stack([y, noise])),
    )
    prior = np.linalg.inv(factor @ factor.T)
    covariance = np.asarray(np.linalg.inv(prior + design.T @ (design / noise[:, None])))
    centre = covariance @ (prior @ mean + design.T @ (y / noise))
    evidence = stats.multivariate_normal(design @ mean, design @ factor @ factor.T @ design.T + np.diag(noise))
    return target, Gaussian.from_moments(centre, covariance), float(evidence.logpdf(y))


def run_to_end(target: Target, **options: object) -> EpRun:
    run = method("ep", **options).start(target, 1)
    assert isinstance(run, EpRun)
    while run.status is Status.RUNNING:
        run.advance(100)
    return run


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_conjugate_model_is_exact(schedule: str) -> None:
    target, posterior, evidence = conjugate()
    run = run_to_end(target, schedule=schedule)
    q = run.approximation()
    assert q is not None and run.status is Status.CONVERGED
    np.testing.assert_allclose(q.mean, posterior.mean, atol=1e-6)
    np.testing.assert_allclose(q.covariance, posterior.covariance, atol=1e-6)
    assert run.diagnostics()["log_normaliser"] == pytest.approx(evidence, abs=1e-5)


def test_a_conjugate_model_takes_one_sweep_in_either_order_and_charges_its_rows() -> None:
    """A Gaussian site has the same factor in any context; a second sweep sees that nothing moves, a third adds up."""
    target, _, _ = conjugate(n=30)
    for schedule in SCHEDULES:
        run = run_to_end(target, schedule=schedule, damping=1.0)
        assert run.work.sweeps == 3 and run.work.row_evaluations == 90
        assert run.work.total == 3


PROBLEMS = [
    ("probit_regression", {}),
    ("probit_regression", {"n": 100, "dim": 2, "seed": 4}),
    ("clutter", {}),
    ("clutter", {"dim": 2, "n": 40, "seed": 1}),
    ("clutter", {"n": 10, "share": 0.3, "seed": 2}),
    ("logistic_regression", {"dataset": "synthetic", "n": 200, "dim": 3}),
]


@pytest.mark.parametrize(("name", "options"), PROBLEMS)
def test_it_comes_near_global_moment_matching_and_not_to_it(name: str, options: dict[str, object]) -> None:
    """EP minimises divergences of one site at a time. What that leaves of KL(p || q), beyond the best Gaussian's, is KL
    between the Gaussian with p's moments and q: here below 0.002 nats, with moments within 0.05 sd.

    Truths are by quadrature, or by importance sampling to 0.02 sd.
    """
    target = targets.load(name, **options)
    assert target.truth is not None
    run = run_to_end(target)
    q, moments = run.approximation(), target.truth.moments
    assert q is not None and run.status is Status.CONVERGED
    gap = kl_gaussians(Gaussian.from_moments(moments.mean, moments.covariance), q)
    assert gap < 0.002
    if target.truth.exact:
        assert gap > 1e-9
    assert np.max(np.abs(q.mean - moments.mean) / moments.sd) < 0.05
    assert np.max(np.abs(np.log(q.sd / moments.sd))) < 0.05
    assert run.diagnostics()["log_normaliser"] == pytest.approx(target.truth.log_normaliser, abs=0.05)


@pytest.mark.parametrize(("name", "options"), PROBLEMS[:4])
def test_both_schedules_and_any_damping_reach_the_same_fixed_point(name: str, options: dict[str, object]) -> None:
    target = targets.load(name, **options)
    fits = [run_to_end(target, schedule=s, damping=d) for s, d in [("sequential", None), ("sequential", 0.3)]]
    fits.append(run_to_end(target, schedule="parallel"))
    first = fits[0].approximation()
    assert first is not None
    for fit in fits[1:]:
        q = fit.approximation()
        assert q is not None and fit.status is Status.CONVERGED
        assert kl_gaussians(first, q) < 1e-9


def test_at_the_fixed_point_every_tilted_moment_is_that_of_q() -> None:
    """The definition, checked with quadrature in place of the run's own moments: 1-D clutter."""
    target = targets.load("clutter")
    run = run_to_end(target, tolerance=1e-10)
    q = run.approximation()
    assert q is not None
    u = np.linspace(-60, 60, 400_001)
    for i in range(20):
        precision = 1 / q.variance[0] - run.precisions[i, 0, 0]
        shift = q.mean[0] / q.variance[0] - run.shifts[i, 0]
        near, far = stats.norm.pdf(target.data[i, 2], u, 1.0), stats.norm.pdf(target.data[i, 2], 0.0, math.sqrt(10.0))
        mass = (0.5 * near + 0.5 * far) * np.exp(-0.5 * precision * (u - shift / precision) ** 2)
        mass /= mass.sum()
        mean = mass @ u
        assert mean == pytest.approx(q.mean[0], abs=1e-8)
        assert mass @ (u - mean) ** 2 == pytest.approx(q.variance[0], rel=1e-7)


def test_negative_factors_occur_and_are_survived() -> None:
    """A clutter site far from q widens it: its precision is negative."""
    run = run_to_end(targets.load("clutter", n=40, seed=1))
    assert run.precisions.min() < 0 and run.status is Status.CONVERGED


def test_what_offers_no_sites_is_refused_and_a_gaussian_is_a_prior_alone() -> None:
    assert "sites" in (method("ep").unfit(targets.load("banana")) or "")
    with pytest.raises(targets.UsageError, match="it needs a target that offers sites"):
        method("ep").start(targets.load("banana"), 1)
    run = run_to_end(targets.load("correlated_gaussian", dim=3))
    assert run.work.sweeps == 1 and run.status is Status.CONVERGED


def test_a_run_that_may_not_go_on_fails_by_name() -> None:
    run = run_to_end(targets.load("probit_regression"), max_sweeps=2)
    assert run.status is Status.FAILED and "after 2 sweeps" in run.reason


@pytest.mark.parametrize("options", [{"schedule": "both"}, {"damping": 1.5}, {"damping": 0.0}, {"max_sweeps": 0}])
def test_options_say_what_they_take(options: dict[str, object]) -> None:
    with pytest.raises(targets.UsageError, match="it takes"):
        method("ep", **options)
