"""Coordinate ascent on Gaussians: the bound never falls, and the means contract as theory says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import targets
from targets.protocols import Status
from variational import method
from variational.objectives import elbo, kl_reverse


def pair(rho: float) -> targets.Target:
    return targets.load("correlated_gaussian", dim=2, rho=rho)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.floats(-0.1, 0.95), st.integers(0, 1000))
def test_the_bound_never_falls(dim: int, rho: float, seed: int) -> None:
    target = targets.load("correlated_gaussian", dim=dim, rho=rho, structure="equicorrelated")
    run = method("cavi", start_sd=3.0).start(target, seed)
    bounds = [elbo(run.approximation(), target).value]
    for _ in range(12):
        run.advance(1)
        bounds.append(elbo(run.approximation(), target).value)
    assert np.all(np.diff(bounds) > -1e-9)
    assert target.truth is not None and bounds[-1] <= target.truth.log_normaliser + 1e-9


@pytest.mark.parametrize("rho", [0.3, -0.6, 0.9])
def test_means_contract_by_the_squared_correlation_and_variances_settle_at_once(rho: float) -> None:
    run = method("cavi", start=(2.0, -1.0)).start(pair(rho), 0)
    run.advance(1)
    previous = run.approximation()
    np.testing.assert_allclose(previous.variance, 1 - rho**2, rtol=1e-12)
    for _ in range(6):
        run.advance(1)
        current = run.approximation()
        np.testing.assert_allclose(current.mean, rho**2 * previous.mean, rtol=1e-8)
        previous = current


def test_evidence_is_bound_plus_divergence_at_every_sweep() -> None:
    target = pair(0.9)
    assert target.truth is not None
    run = method("cavi", start=(3.0, 3.0), start_sd=0.2).start(target, 0)
    for _ in range(8):
        q = run.approximation()
        together = elbo(q, target).value + kl_reverse(q, target).value
        assert together == pytest.approx(target.truth.log_normaliser, abs=1e-9)
        run.advance(1)


def test_it_stops_within_its_tolerance_however_slowly_it_contracts() -> None:
    target = pair(0.995)  # a change of 1e-3 sd then leaves a hundred times as much to go
    run = method("cavi", tolerance=1e-3, start=(2.0, 2.0)).start(target, 0)
    run.advance(100_000)
    q = run.approximation()
    assert run.status is Status.CONVERGED
    assert np.max(np.abs(q.mean) / q.sd) < 1.2e-3


def test_a_start_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(targets.UsageError, match="start has 3 numbers; it takes 2"):
        method("cavi", start=(1.0, 2.0, 3.0)).start(pair(0.5), 0)
