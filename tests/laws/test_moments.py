"""Every exact sampler against the truth, on every kind of target that it claims to handle.

A run goes on until the slowest coordinate has `EFFECTIVE` draws, of x and of the square about the true mean; one that
does not get there within `MOST` evaluations fails. Then means and variances of all coordinates are compared with the
truth, in standard errors by their own effective sample size and that of the reference.

False alarms: fewer than 4000 numbers are compared at `ALARM` = 6 standard errors, each beyond it with probability 2e-9,
or 2e-7 if the effective sample size is overestimated by 30 %; so the whole alarms falsely less than once in a thousand
runs. Power: at 1000 effective draws a mean that is off by a quarter of a standard deviation lies 7.9 standard errors
away, and is seen with probability 0.97; so is a variance that is off by 30 %, on targets with Gaussian tails. The last
test plants both.
"""

from typing import Any

import numpy as np
import pytest

import samplers
import targets
from samplers.draws import Draws
from targets.protocols import Phase, Status

EFFECTIVE = 1000
MOST = 3_000_000
ALARM = 6.0

EXACT = [name for name in samplers.names() if not {"unadjusted", "conjugate"} & samplers.method(name).tags]
TEMPERED = ("smc", "parallel_tempering")

# Targets of one mode, or of two that touch: for every sampler.
EVERYBODY: dict[str, tuple[str, dict[str, Any]]] = {
    "gaussian": ("correlated_gaussian", {"dim": 5, "rho": 0.6, "mean": 2.0}),
    "rotated": ("correlated_gaussian", {"dim": 8, "structure": "rotated", "condition": 20.0}),
    "banana": ("banana", {"dim": 2, "scale": 1.0, "curvature": 0.5}),
    "funnel": ("funnel", {"dim": 5}),
    "student": ("student_t", {"dim": 2, "df": 12.0}),
    "two near modes": ("bimodal_mixture", {"dim": 2, "separation": 3.0}),
    "eight schools": ("eight_schools", {}),
    "logistic": ("logistic_regression", {}),
}
# Modes far apart: for those that temper.
FAR_MODES: dict[str, tuple[str, dict[str, Any]]] = {
    "two far modes": ("bimodal_mixture", {"dim": 2, "separation": 10.0, "weight": 0.3}),
    "labels": ("gmm_posterior", {}),
}
UNCLAIMED = {
    ("elliptical_slice", "eight schools"): "the fitted Gaussian's tails are lighter than log tau's: rare, long stays",
    ("mala", "logistic"): "ten million evaluations: one step of a diagonal scale, where coefficients are correlated",
}
OPTIONS = {"elliptical_slice": {"gaussian": "fitted"}}  # with which a sampler takes any target
DENSE = {("random_walk", "logistic"): {"adaptation": "dense_windows"}}  # where a diagonal scale takes ten times as long

CASES = [
    (name, case)
    for name in EXACT
    for case in (*EVERYBODY, *(FAR_MODES if name in TEMPERED else ()))
    if (name, case) not in UNCLAIMED
]


LONG = {("ensemble", "logistic"), ("smc", "logistic")}  # half a minute each; see `--long`


def squares(draws: Draws, target: targets.Target) -> Draws:
    assert target.truth is not None
    return Draws((draws.values - target.truth.moments.mean) ** 2)


def effective(draws: Draws, target: targets.Target) -> float:
    return float(min(np.min(draws.ess_bulk), np.min(squares(draws, target).ess_bulk)))


def sampled(name: str, target: targets.Target, seed: int, **options: str) -> Draws:
    run = samplers.method(name, **OPTIONS.get(name, {}), **options).start(target, seed)
    goal = 20_000
    while run.status is Status.RUNNING:
        run.advance(max(1, goal - run.work.total))
        if run.phase is not Phase.RUN or run.work.total < goal:
            continue
        draws = run.approximation()
        if draws is not None and effective(draws, target) >= EFFECTIVE:
            return draws
        assert run.work.total < MOST, f"{effective(draws, target) if draws else 0:.0f} effective draws"
        goal = 2 * run.work.total
    raise AssertionError(run.reason)


def alarm(draws: Draws, target: targets.Target) -> float:
    """The largest deviation of a mean or a variance from the truth, in standard errors."""
    assert target.truth is not None
    moments, about = target.truth.moments, squares(draws, target)
    found = []
    for values, truth, variance, error in (
        (draws, moments.mean, moments.variance, moments.mean_error),
        (about, moments.variance, about.flat.var(axis=0), moments.variance_error),
    ):
        found.append(np.abs(values.mean - truth) / np.sqrt(variance / values.ess_bulk + error**2))
    return float(np.max(found))


@pytest.mark.parametrize(
    ("name", "case"), [pytest.param(*case, marks=pytest.mark.long if case in LONG else ()) for case in CASES]
)
def test_means_and_variances_are_those_of_the_truth(name: str, case: str) -> None:
    where, options = (EVERYBODY | FAR_MODES)[case]
    target = targets.load(where, **options)
    assert alarm(sampled(name, target, 1, **DENSE.get((name, case), {})), target) < ALARM


@pytest.mark.parametrize("case", EVERYBODY)
def test_a_mean_or_a_width_that_is_off_would_be_seen(case: str) -> None:
    """A quarter of a standard deviation in one coordinate, or a standard deviation that is 15 % off."""
    where, options = EVERYBODY[case]
    target = targets.load(where, **options)
    assert target.truth is not None
    exact = target.truth.draws(4 * EFFECTIVE, 5)
    assert exact is not None
    sd, mean = target.truth.moments.sd, target.truth.moments.mean
    off = np.zeros(target.dim)
    off[-1] = 0.25 * sd[-1]
    values = exact.reshape(4, -1, target.dim)
    assert alarm(Draws(values), target) < ALARM
    assert alarm(Draws(values + off), target) > ALARM
    assert alarm(Draws(mean + 1.15 * (values - mean)), target) > ALARM
