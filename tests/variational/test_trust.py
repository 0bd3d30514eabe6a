"""The verdict on a fit: what speaks for it and against it, and the one call that asks for it."""

import math
from typing import Any

import numba
import numpy as np
import pytest

import targets
import variational
from targets.protocols import Status
from variational.mixture import MixtureOfGaussians
from variational.objectives import UNKNOWN, Estimate
from variational.psis import threshold
from variational.trust import Evidence, judge

GOOD = {"elbo": Estimate(-3.0, 0.01), "eubo": Estimate(-2.9, 0.01), "k_hat": 0.2}


def verdict(status: Status = Status.CONVERGED, **changed: object):  # type: ignore[no-untyped-def]
    given: dict[str, object] = {**GOOD, "status": status, "reason": "it says so", "draws": 4000, **changed}
    return judge(Evidence(**given))  # type: ignore[arg-type]


def test_all_that_speaks_for_a_fit() -> None:
    said = verdict(monte_carlo_error=0.01)
    assert said.converged and said.trustworthy and len(said.reasons) == 3
    assert str(said) == "converged, trustworthy"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"k_hat": 0.71}, "k-hat 0.71 is not below 0.70"),
        ({"k_hat": math.inf}, "misses tails"),
        ({"k_hat": 0.6, "draws": 100}, "k-hat 0.60 is not below 0.50"),
        ({"eubo": Estimate(-1.0, 0.01)}, "2.00 nats apart"),
        ({"elbo": Estimate(-math.inf, math.nan)}, "inf nats apart"),
        ({"monte_carlo_error": 0.2}, "error of 0.200 sd"),
    ],
)
def test_one_finding_is_enough_against_it(changed: dict[str, Any], why: str) -> None:
    said = verdict(**changed)
    assert said.converged and said.trustworthy is False
    assert any(why in reason for reason in said.reasons)


def test_what_has_not_converged_is_not_trusted_and_says_why() -> None:
    for status in (Status.SPENT, Status.FAILED):
        said = verdict(status)
        assert not said.converged and said.trustworthy is False and said.reasons[0].startswith(str(status))


def test_without_evidence_there_is_no_verdict() -> None:
    said = verdict(elbo=UNKNOWN, eubo=UNKNOWN, k_hat=math.nan)
    assert said.converged and said.trustworthy is None and "no evidence" in str(said)


def test_the_threshold_of_k_hat_is_the_papers() -> None:
    assert threshold(100) == pytest.approx(0.5) and threshold(4000) == 0.7
    assert threshold(1000) == pytest.approx(2 / 3) and threshold(5) == 0.0


def test_a_fit_that_takes_one_of_two_modes_passes_k_hat_and_not_the_sandwich() -> None:
    """The blind spot of weights: draws of q never see the other mode, and exact draws of p do."""
    fit = variational.fit(targets.load("bimodal_mixture", dim=2, separation=12.0), "advi_fullrank", seed=1)
    assert fit.status is Status.CONVERGED and fit.k_hat < 0.7
    assert fit.verdict.trustworthy is False and fit.eubo.value > fit.elbo.value + 10
    covering = variational.fit(targets.load("bimodal_mixture", dim=2, separation=12.0), "adaptive_is", seed=1)
    assert isinstance(covering.approximation, MixtureOfGaussians) and covering.verdict.trustworthy
    assert "trustworthy" in repr(covering) and "eubo" in repr(covering)


@numba.njit
def compiled(x):  # type: ignore[no-untyped-def]
    """N(1, 2) in each coordinate, with its gradient."""
    return -0.125 * np.sum((x - 1.0) ** 2), -0.25 * (x - 1.0)


def plain(x: np.ndarray) -> float:
    return float(-0.125 * np.sum((x - 1.0) ** 2))


@pytest.mark.parametrize(
    "given",
    [
        {"target": compiled, "dim": 3},
        {"target": plain, "start": np.zeros(3), "gradient": lambda x: -0.25 * (x - 1.0)},
        {"target": plain, "dim": 3, "gradient": "differences"},
    ],
    ids=["compiled", "plain", "differences"],
)
def test_a_density_of_ones_own_is_fitted_and_judged(given: dict[str, object]) -> None:
    fit = variational.fit(name="laplace", seed=1, **given)  # type: ignore[arg-type]
    q = fit.approximation
    assert q is not None and fit.verdict.trustworthy and math.isnan(fit.eubo.value)
    np.testing.assert_allclose(q.mean, 1.0, atol=1e-5)
    np.testing.assert_allclose(q.covariance, 4 * np.eye(3), atol=1e-3)
    assert fit.elbo.value == pytest.approx(1.5 * math.log(2 * math.pi * 4), abs=6 * fit.elbo.error)
    assert "eubo" not in repr(fit)


def test_bad_calls_get_one_line() -> None:
    with pytest.raises(targets.UsageError, match="it needs gradients, and it has none; give gradient="):
        variational.fit(plain, "laplace", dim=3, seed=1)
    with pytest.raises(targets.UsageError, match="dim= goes with a function"):
        variational.fit("banana", dim=2, seed=1)
    with pytest.raises(targets.UsageError, match="a name, a target or a function is"):
        variational.fit(3, seed=1)  # type: ignore[arg-type]
    with pytest.raises(targets.UsageError, match="draws=10"):
        variational.fit("banana", seed=1, draws=10)
