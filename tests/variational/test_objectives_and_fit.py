"""Bounds and divergences on pairs whose answer is known, and the one call to fit."""

import numpy as np
import pytest

import targets
import variational
from targets.protocols import Status
from variational.closed_form import kl_gaussians
from variational.gaussian import Gaussian
from variational.objectives import cross_entropy, elbo, eubo, kl_forward, kl_reverse
from variational.quadrature import forward_kl, reverse_kl

TARGET = targets.load("correlated_gaussian", dim=3, rho=0.6)
Q = Gaussian(np.array([0.2, -0.1, 0.4]), np.array([0.7, 0.9, 1.3]))


def test_between_gaussians_everything_is_exact() -> None:
    assert TARGET.truth is not None
    p = Gaussian.from_moments(TARGET.truth.moments.mean, TARGET.truth.moments.covariance)
    assert kl_reverse(Q, TARGET) == pytest.approx((kl_gaussians(Q, p), 0.0), abs=1e-10)
    assert kl_forward(Q, TARGET.truth) == pytest.approx((kl_gaussians(p, Q), 0.0), abs=1e-10)
    evidence = TARGET.truth.log_normaliser
    assert elbo(Q, TARGET).value == pytest.approx(evidence - kl_gaussians(Q, p), abs=1e-9)
    assert eubo(Q, TARGET.truth).value == pytest.approx(evidence + kl_gaussians(p, Q), abs=1e-9)
    dense = Gaussian.from_moments(np.ones(3), np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 0.5]]))
    assert kl_forward(dense, TARGET.truth).value == pytest.approx(kl_gaussians(p, dense), abs=1e-10)


def test_elsewhere_the_bound_is_estimated_with_its_error() -> None:
    """Against quadrature: five standard errors, which a wrong entropy or sign by 0.1 nats would exceed."""
    target = targets.load("banana")
    optimum = reverse_kl(target, np.zeros(2), np.ones(2))
    estimate = kl_reverse(optimum.q, target, np.random.default_rng(1), 40_000)
    assert 0 < estimate.error < 0.02
    assert estimate.value == pytest.approx(optimum.divergence, abs=5 * estimate.error)
    best = forward_kl(target, np.zeros(2), np.ones(2))
    assert target.truth is not None
    assert kl_forward(best.q, target.truth).value == pytest.approx(best.divergence, abs=1e-5)


def test_cross_entropy_is_minus_the_expected_log_density() -> None:
    assert TARGET.truth is not None and TARGET.truth.sample is not None
    x = TARGET.truth.sample(np.random.default_rng(1), 200_000)
    logs = Q.log_density(x)
    assert cross_entropy(Q, TARGET.truth.moments) == pytest.approx(
        -logs.mean(), abs=5 * float(logs.std()) / np.sqrt(2e5)
    )


def test_what_is_not_known_is_not_a_number() -> None:
    bare = targets.Target("bare", 3, TARGET.log_density_and_gradient, TARGET.data)
    assert np.isnan(kl_reverse(Q, bare).value)


def test_a_fit_says_what_it_found() -> None:
    fit = variational.fit("banana", "advi_fullrank", seed=1)
    assert fit.status is Status.CONVERGED and fit.approximation is not None
    assert fit.elbo.value == pytest.approx(3.41, abs=0.15) and 0.2 < fit.k_hat < 1.0
    text = repr(fit)
    assert text.startswith("advi_fullrank on banana, converged")
    for part in ("elbo", "k-hat", "gradients", "mean", "sd"):
        assert part in text


def test_a_fit_keeps_to_its_budget_and_shows_long_targets_in_part() -> None:
    fit = variational.fit(targets.load("eight_schools"), seed=1, max_gradients=2000)
    assert fit.status is Status.SPENT and fit.work.total <= 2002
    assert "and 5 more" in repr(variational.fit(targets.load("correlated_gaussian", dim=15), "laplace", seed=1))


def test_a_fit_that_failed_is_shown_as_one() -> None:
    fit = variational.fit(targets.load("eight_schools", parameterisation="centred"), "laplace", seed=1)
    assert fit.status is Status.FAILED and fit.approximation is None
    assert "failed" in repr(fit) and np.isnan(fit.k_hat)


def test_bad_calls_get_one_line() -> None:
    with pytest.raises(targets.UsageError, match="did you mean"):
        variational.fit("banana", "advi_meanfeild", seed=1)
    with pytest.raises(targets.UsageError, match="cavi cannot run on banana: it needs a Gaussian target"):
        variational.fit("banana", "cavi", seed=1)
    with pytest.raises(targets.UsageError, match="max_gradients=0"):
        variational.fit("banana", seed=1, max_gradients=0)
