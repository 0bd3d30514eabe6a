"""A sampler that starts from a fit: what is handed over, what is charged, and what failure looks like."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

import targets
from harness import registry
from harness.budget import Budget
from harness.cell import race
from harness.handover import METRICS, TAKES, Handover
from samplers import Initial
from samplers.metric import adapt, reduced, standard_deviations, weighed
from samplers.registry import METHODS as SAMPLERS
from samplers.scale import Scale, dense_scale, diagonal_scale
from samplers.transition import Tuning
from targets.options import UsageError
from targets.plain import counting, from_python
from targets.protocols import Phase, Status
from variational.gaussian import Gaussian
from variational.registry import METHODS as VARIATIONAL

COVARIANCE = np.array([[4.0, 1.0], [1.0, 2.0]])
CORRELATED = Gaussian(np.array([3.0, -1.0]), np.linalg.cholesky(COVARIANCE))
FACTORISED = Gaussian(np.zeros(2), np.array([2.0, 3.0]))


@pytest.fixture(scope="module")
def target():
    return targets.load("correlated_gaussian", dim=4, rho=0.8)


def finished(method, target, seed=1, budget=30_000):
    method.compile(target)
    run = method.start(target, seed)
    while run.status is Status.RUNNING and run.work.total < budget:
        run.advance(budget - run.work.total)
    return run


def taken(approximation, take: str, points: int = 2, target=None, **options) -> Initial:
    return Handover(take, **options).begin(approximation, target, points, 1).initial


# ---- what is taken -------------------------------------------------------------------------------------------------


def test_mean_puts_every_chain_at_the_mean() -> None:
    initial = taken(CORRELATED, "mean", 3)
    assert initial.positions is not None and np.array_equal(initial.positions, np.tile(CORRELATED.mean, (3, 1)))
    assert initial.metric is None and not initial.kept


def test_draws_put_every_chain_elsewhere_and_follow_the_approximation() -> None:
    initial = taken(CORRELATED, "draws", 4_000)
    assert initial.positions is not None
    # 4,000 draws: five standard errors of a mean are 0.16, of a variance 0.45; once in a million runs
    assert np.all(np.abs(initial.positions.mean(axis=0) - CORRELATED.mean) < 0.16)
    assert np.all(np.abs(np.cov(initial.positions.T) - CORRELATED.covariance) < 0.45)


def test_a_full_fit_hands_over_any_form_of_its_covariance() -> None:
    dense, diagonal = taken(CORRELATED, "draws+dense"), taken(CORRELATED, "draws+diagonal")
    assert np.allclose(dense.metric, COVARIANCE) and dense.kept
    assert np.allclose(diagonal.metric, [4.0, 2.0]) and not diagonal.kept
    assert np.allclose(taken(CORRELATED, "mean+metric").metric, COVARIANCE)


def test_a_factorised_fit_hands_over_its_variances_whatever_is_asked() -> None:
    for metric in METRICS:
        initial = taken(FACTORISED, f"draws+{metric}")
        assert np.allclose(initial.metric, [4.0, 9.0]) and not initial.kept


def test_low_rank_keeps_the_directions_that_are_far_off() -> None:
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.standard_normal((9, 2)))[0].T
    sd = np.exp(rng.standard_normal(9))
    covariance = sd[:, None] * (np.eye(9) + (directions.T * [30.0, 8.0]) @ directions) * sd
    whole = taken(Gaussian(np.zeros(9), np.linalg.cholesky(covariance)), "draws+low_rank").metric
    one = taken(Gaussian(np.zeros(9), np.linalg.cholesky(covariance)), "draws+low_rank", rank=1).metric
    assert isinstance(whole, Scale) and isinstance(one, Scale)
    assert len(one.stretches) == 1 < len(whole.stretches) < 9

    def off(scale: Scale) -> float:
        """Largest factor between the two variances along any direction."""
        return float(np.max(np.abs(np.log(np.linalg.eigvals(np.linalg.solve(covariance, scale.covariance)).real))))

    assert off(whole) < off(one) < off(diagonal_scale(np.sqrt(np.diagonal(covariance))))
    assert off(whole) < np.log(2.0) + 1e-9, "what is left out lies within the cutoff"
    assert reduced(np.diag([1.0, 4.0])).is_diagonal


# ---- keep and strength -----------------------------------------------------------------------------------------------


@pytest.fixture
def window():
    return np.random.default_rng(2).standard_normal((4, 50, 3)) * [1.0, 2.0, 3.0]


def learned(window, given: Scale, strength: float, kept: bool = False) -> Scale:
    tuning = Tuning(given, kept, given=None if kept else given, strength=strength)
    adapt(tuning, standard_deviations, window)
    return tuning.scale


DENSE = dense_scale(np.linalg.cholesky(np.array([[9.0, 2.0, 0.0], [2.0, 4.0, 1.0], [0.0, 1.0, 1.0]])))
GIVEN = {"diagonal": diagonal_scale(np.array([3.0, 2.0, 1.0])), "dense": DENSE}
GIVEN["low rank"] = reduced(np.diag([4.0, 1.0, 1.0]) + 5.0)


@pytest.mark.parametrize("form", GIVEN)
def test_a_metric_without_strength_is_forgotten_and_one_with_all_strength_stays(window, form: str) -> None:
    given = GIVEN[form]
    forgotten = learned(window, given, 0.0)
    assert forgotten.is_diagonal and np.allclose(forgotten.diagonal, window.reshape(-1, 3).std(axis=0))
    assert learned(window, given, np.inf) is given
    assert learned(window, given, 5.0, kept=True) is given
    nearly = learned(window, given, 1e12).covariance
    assert np.allclose(nearly, given.covariance, rtol=1e-6, atol=1e-6)


def test_a_dense_metric_is_mixed_with_the_covariance_of_the_draws(window) -> None:
    mixed = learned(window, DENSE, 100.0)
    ours = np.cov(window.reshape(-1, 3).T, bias=True)
    assert np.allclose(mixed.covariance, (200 * ours + 100 * DENSE.covariance) / 300)
    few = weighed(diagonal_scale(np.ones(3)), window[:, :1], DENSE, 4.0)  # eight draws in all: too few for a covariance
    assert np.allclose(few.covariance, (4 * np.eye(3) + 4 * DENSE.covariance) / 8)


def test_variances_are_mixed_as_logarithms_and_always_with_those_given(window) -> None:
    given = GIVEN["diagonal"]
    once = learned(window, given, 200.0)
    assert np.allclose(once.diagonal, np.sqrt(given.diagonal * window.reshape(-1, 3).std(axis=0)))
    tuning = Tuning(given, False, given=given, strength=200.0)
    for _ in range(3):
        adapt(tuning, standard_deviations, window)
    assert np.allclose(tuning.scale.diagonal, once.diagonal), "later windows weigh it as the first"


def test_without_a_metric_given_windows_learn_as_ever(window) -> None:
    tuning = Tuning(GIVEN["diagonal"], False)
    adapt(tuning, standard_deviations, window)
    assert np.array_equal(tuning.scale.diagonal, standard_deviations(window, GIVEN["diagonal"]).diagonal)


@pytest.mark.parametrize("metric", ["nutpie", "nutpie_low_rank", "stan", "stan_dense"])
@pytest.mark.parametrize("take", ["draws+diagonal", "draws+dense", "draws+low_rank"])
def test_every_metric_of_nuts_can_forget_what_it_was_given(target, metric: str, take: str) -> None:
    wrong = Gaussian(np.zeros(4), np.linalg.cholesky(np.diag([1e4, 1e-4, 1.0, 1.0]) + 0.1 * np.eye(4)))
    scales = {}
    for strength in (0.0, 20.0, np.inf):
        method = registry.method(f"nuts[metric={metric},num_warmup=400]")
        initial = replace(taken(wrong, take, 4), positions=target.truth.sample(np.random.default_rng(1), 4))
        run = method.start(target, 1, replace(initial, keep=False, strength=strength))
        while run.phase is Phase.WARMUP and run.status is Status.RUNNING:
            run.advance(10_000)
        assert run.status is Status.RUNNING, run.reason
        scales[strength] = np.abs(np.log(run.tuning.scale.deviations)).max()
    assert scales[0.0] < scales[20.0] + 0.5 and scales[0.0] < 1.0 < 4.0 < scales[np.inf]


def test_keep_and_strength_reach_the_sampler(target) -> None:
    def begun(options: str):
        method = registry.method(f"hmc[warm_start=laplace,{options}]")
        method.compile(target)
        run = method.start(target, 1)
        while run.sampler is None:
            run.advance(1_000)
        return run.sampler.tuning

    assert begun("take=draws+dense").kept and begun("take=draws+diagonal,keep=true").kept
    loose = begun("take=draws+dense,keep=false,strength=30")
    assert not loose.kept and loose.strength == 30.0 and loose.given is loose.scale
    assert begun("take=draws").given is None


# ---- starting points by importance weights ---------------------------------------------------------------------------


def test_importance_weights_bring_the_starting_points_nearer_to_the_target() -> None:
    wide = Gaussian(np.zeros(4), np.full(4, 2.0))
    narrow = targets.load("correlated_gaussian", dim=4, rho=0.0)
    start = Handover("draws", psis=True).begin(wide, narrow, 50, 1)
    assert start.diagnostics["start_fallback"] == 0.0 and start.diagnostics["start_k_hat"] < 0.7 and start.note == ""
    positions = start.initial.positions
    assert positions is not None and len(np.unique(positions, axis=0)) == 50
    plain = taken(wide, "draws", 50).positions
    # 50 draws of 4 coordinates: mean squares of 1 and 4, each with a relative standard error of 0.1
    assert np.mean(positions**2) < 2.0 < np.mean(plain**2)


@pytest.mark.parametrize(
    ("fit", "points", "why"),
    [
        (Gaussian(np.zeros(4), np.full(4, 0.05)), 4, "k-hat"),  # far too narrow: a few draws would hold all the weight
        (Gaussian(np.zeros(4), np.full(4, 3.0)), 9_000, "draws for 9000 starting points"),
    ],
)
def test_weights_that_are_no_guide_leave_plain_draws_and_a_note(fit, points: int, why: str) -> None:
    narrow = targets.load("correlated_gaussian", dim=4, rho=0.0)
    start = Handover("draws", psis=True).begin(fit, narrow, points, 1)
    assert start.diagnostics["start_fallback"] == 1.0 and why in start.note
    assert np.array_equal(start.initial.positions, taken(fit, "draws", points).positions)


def test_a_fit_without_a_density_leaves_plain_draws(target) -> None:
    from samplers import Draws

    draws = Draws(np.random.default_rng(1).standard_normal((2, 100, 4)))
    start = Handover("draws", psis=True).begin(draws, target, 4, 1)
    assert "no density" in start.note and start.work.total == 0


def test_the_weights_are_charged_and_told(target) -> None:
    counted, counter = counting(target)
    method = registry.method("hmc[warm_start=advi_meanfield,take=draws,psis=true]")
    run = finished(method, counted, budget=20_000)
    assert (run.work.gradient_evaluations, run.work.density_evaluations) == (counter.gradients, counter.densities)
    assert run.handed.work.total == 1000
    assert {"start_k_hat", "start_fallback"} <= set(run.diagnostics())
    assert ("plain draws" in run.reason) == (run.diagnostics()["start_fallback"] == 1.0)


# ---- the run ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["hmc", "random_walk"])
@pytest.mark.parametrize("take", TAKES)
def test_every_composition_charges_the_fit_and_finds_the_mean(target, sampler: str, take: str) -> None:
    counted, counter = counting(target)
    method = registry.method(f"{sampler}[warm_start=laplace,take={take}]")
    run = finished(method, counted, budget=20_000)
    assert run.status is Status.RUNNING and run.phase is Phase.RUN, run.reason
    assert (run.work.gradient_evaluations, run.work.density_evaluations) == (counter.gradients, counter.densities)
    assert run.fit.work.total > 0
    assert run.work.total == run.fit.work.total + run.sampler.work.total
    approximation = run.approximation()
    assert approximation is not None and np.all(np.abs(approximation.mean) < 0.5)


def met(sampler: str, fit: str) -> bool:
    """Whether a pair is tried always: every fit has one sampler, and every sampler one fit or two."""
    return (list(VARIATIONAL.entries).index(fit) + list(SAMPLERS.entries).index(sampler)) % len(SAMPLERS.entries) == 0


@pytest.mark.parametrize(
    ("sampler", "fit"),
    [
        pytest.param(sampler, fit, marks=() if met(sampler, fit) else pytest.mark.long)
        for sampler in SAMPLERS.entries
        for fit in VARIATIONAL.entries
    ],
)
def test_any_sampler_starts_from_any_fit(target, sampler: str, fit: str) -> None:
    method = registry.method(f"{sampler}[warm_start={fit},take=draws+metric,fit_budget=2000]")
    if (why := method.unfit(target)) is not None:
        pytest.skip(why)
    outcome = race(target, method, 1, Budget(20_000, 60.0))
    assert outcome.status in (Status.SPENT, Status.CONVERGED), outcome.reason
    assert (outcome.ledger.evaluations[Phase.FIT].total > 0) == (fit != "forward_kl_oracle")
    assert outcome.ledger.evaluations[Phase.WARMUP].total + outcome.ledger.evaluations[Phase.RUN].total > 0


def test_the_fit_is_a_phase_of_its_own_and_says_nothing(target) -> None:
    method = registry.method("hmc[warm_start=advi_fullrank,take=draws,fit_budget=100]")
    method.compile(target)
    run = method.start(target, 1)
    run.advance(10)
    assert run.phase is Phase.FIT and run.approximation() is None and run.diagnostics() == {}
    while run.sampler is None:
        run.advance(10)
    assert run.phase is Phase.WARMUP
    assert run.fit.status is Status.RUNNING and 100 <= run.fit.work.total < 200, "the fit ends at its budget"


def test_cold_and_warm_runs_of_one_seed_share_their_random_numbers(target) -> None:
    """The sampler of a warm start gets the seed itself, so that it pairs with the cold run."""
    warm = registry.method("hmc[warm_start=laplace,take=mean]").start(target, 7)
    while warm.sampler is None:
        warm.advance(1_000)
    cold = registry.method("hmc").start(target, 7)
    states = [run.rngs[0].bit_generator.seed_seq.entropy for run in (warm.sampler, cold)]
    assert states[0] == states[1]


@pytest.mark.parametrize("options", ["take=mean+metric", "take=draws+diagonal,psis=true,strength=50"])
def test_a_warm_run_resumes_from_a_pickle_in_either_phase(target, options: str) -> None:
    method = registry.method(f"hmc[warm_start=advi_meanfield,{options},fit_budget=2000]")
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


# ---- SPECs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "hmc[warm_start=advi_meanfield[tolerance=0.1],take=draws,num_chains=2]",
        "nuts[warm_start=laplace,take=draws+dense,keep=false,strength=inf,psis=true]",
        "nuts[warm_start=laplace,take=mean+low_rank,rank=3,fit_budget=900,metric=stan]",
    ],
)
def test_labels_read_back(text: str) -> None:
    label = registry.label(registry.method(text))
    assert registry.label(registry.method(label)) == label == text


def test_a_target_that_the_fit_refuses_is_refused_with_its_reason() -> None:
    assert registry.method("hmc[warm_start=cavi]").unfit(targets.load("banana")) is not None


@pytest.mark.parametrize(
    "bad",
    [
        "take=mean",
        "warm_start=3",
        "warm_start=laplace,fit_budget=0",
        "warm_start=laplace,take=draws+hope",
        "warm_start=laplace,take=draws,keep=true",
        "warm_start=laplace,take=draws,strength=3",
        "warm_start=laplace,take=draws+dense,strength=-1",
        "warm_start=laplace,take=draws+dense,strength=much",
        "warm_start=laplace,take=draws+dense,keep=true,strength=3",
        "warm_start=laplace,take=draws+dense,rank=3",
        "warm_start=laplace,take=draws+low_rank,rank=0",
        "warm_start=laplace,take=mean,psis=true",
        "warm_start=laplace,take=draws,psis=3",
        "warm_start=laplace,start=one_basin",
        "start=somewhere",
    ],
)
def test_bad_options_are_refused(bad: str) -> None:
    with pytest.raises(UsageError):
        registry.method(f"hmc[{bad}]")


def test_an_oracle_fit_makes_an_oracle_of_the_sampler() -> None:
    assert "oracle" in registry.method("hmc[warm_start=forward_kl_oracle]").tags
