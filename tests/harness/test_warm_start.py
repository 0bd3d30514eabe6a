"""A sampler that starts from a fit: what is handed over, what is charged, and what failure looks like."""

import pickle

import numpy as np
import pytest

import targets
from harness import registry
from harness.handover import METRICS, TAKES, Handover
from targets.options import UsageError
from targets.plain import counting, from_python
from targets.protocols import Phase, Status
from variational.gaussian import Gaussian

CORRELATED = Gaussian(np.array([3.0, -1.0]), np.linalg.cholesky(np.array([[4.0, 1.0], [1.0, 2.0]])))


@pytest.fixture(scope="module")
def target():
    return targets.load("correlated_gaussian", dim=4, rho=0.8)


def finished(method, target, seed=1, budget=30_000):
    method.compile(target)
    run = method.start(target, seed)
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(budget - run.work.total)
    return run


def test_mean_puts_every_chain_at_the_mean() -> None:
    initial = taken(CORRELATED, "mean", 3, 1)
    assert initial.positions is not None and np.array_equal(initial.positions, np.tile(CORRELATED.mean, (3, 1)))
    assert initial.metric is None


def test_draws_put_every_chain_elsewhere_and_follow_the_approximation() -> None:
    initial = taken(CORRELATED, "draws", 4_000, 1)
    assert initial.positions is not None
    # 4,000 draws: five standard errors of a mean are 0.16, of a variance 0.45; once in a million runs
    assert np.all(np.abs(initial.positions.mean(axis=0) - CORRELATED.mean) < 0.16)
    assert np.all(np.abs(np.cov(initial.positions.T) - CORRELATED.covariance) < 0.45)


def test_the_metric_is_the_covariance_or_the_variances_of_a_factorised_family() -> None:
    full = taken(CORRELATED, "mean+metric", 2, 1).metric
    assert full is not None and np.allclose(full, CORRELATED.covariance)
    factorised = taken(Gaussian(np.zeros(2), np.array([2.0, 3.0])), "draws+metric", 2, 1).metric
    assert factorised is not None and np.allclose(factorised, [4.0, 9.0])


@pytest.mark.parametrize("sampler", ["hmc", "random_walk"])
@pytest.mark.parametrize("take", TAKES)
def test_every_composition_charges_the_fit_and_finds_the_mean(target, sampler: str, take: str) -> None:
    counted, counter = counting(target)
    method = registry.method(f"{sampler}[warm_start=laplace,take={take}]")
    run = finished(method, counted, budget=20_000)
    assert run.status is Status.RUNNING and run.phase is Phase.RUN, run.reason
    assert (run.work.gradient_evaluations, run.work.density_evaluations) == (counter.gradients, counter.densities)
    assert run.work.gradient_evaluations > run.sampler.work.gradient_evaluations > -1
    assert run.fit.work.total > 0
    approximation = run.approximation()
    assert approximation is not None and np.all(np.abs(approximation.mean) < 0.5)


def test_the_fit_is_warm_up_and_says_nothing(target) -> None:
    method = registry.method("hmc[warm_start=advi_fullrank,take=draws,fit_budget=100]")
    method.compile(target)
    run = method.start(target, 1)
    run.advance(10)
    assert run.phase is Phase.WARMUP and run.approximation() is None and run.diagnostics() == {}
    while run.sampler is None:
        run.advance(10)
    assert run.fit.status is Status.RUNNING and 100 <= run.fit.work.total < 200, "the fit ends at its budget"


def test_cold_and_warm_runs_of_one_seed_share_their_random_numbers(target) -> None:
    """The sampler of a warm start gets the seed itself, so that it pairs with the cold run."""
    warm = registry.method("hmc[warm_start=laplace,take=mean]").start(target, 7)
    while warm.sampler is None:
        warm.advance(1_000)
    cold = registry.method("hmc").start(target, 7)
    states = [run.rngs[0].bit_generator.seed_seq.entropy for run in (warm.sampler, cold)]
    assert states[0] == states[1]


def test_a_warm_run_resumes_from_a_pickle_in_either_phase(target) -> None:
    method = registry.method("hmc[warm_start=advi_meanfield,take=mean+metric,fit_budget=2000]")
    method.compile(target)
    for before in (1_000, 6_000):
        run = method.start(target, 3)
        while run.work.total < before:
            run.advance(before - run.work.total)
        revived = pickle.loads(pickle.dumps(run))
        for each in (run, revived):
            while each.work.total < 12_000:
                each.advance(12_000 - each.work.total)
        assert np.array_equal(run.approximation().mean, revived.approximation().mean)


def test_a_fit_that_fails_is_the_reason() -> None:
    nowhere = from_python(lambda x: (-np.inf, np.zeros_like(x)), 2)
    run = finished(registry.method("hmc[warm_start=laplace,take=mean]"), nowhere)
    assert run.status is Status.FAILED
    assert run.reason.startswith("the fit to start from failed: ")


def test_labels_read_back() -> None:
    text = "hmc[warm_start=advi_meanfield[tolerance=0.1],take=draws,num_chains=2]"
    label = registry.label(registry.method(text))
    assert registry.label(registry.method(label)) == label
    assert "tolerance=0.1" in label and "num_chains=2" in label


def test_a_target_that_the_fit_refuses_is_refused_with_its_reason() -> None:
    assert registry.method("hmc[warm_start=cavi]").unfit(targets.load("banana")) is not None


@pytest.mark.parametrize("bad", ["hmc[take=mean]", "hmc[warm_start=3]", "hmc[warm_start=laplace,fit_budget=0]"])
def test_bad_options_are_refused(bad: str) -> None:
    with pytest.raises(UsageError):
        registry.method(bad)


def test_an_oracle_fit_makes_an_oracle_of_the_sampler() -> None:
    assert "oracle" in registry.method("hmc[warm_start=forward_kl_oracle]").tags
