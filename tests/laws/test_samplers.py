"""Laws of every registered sampler.

Statistical laws are seeded. Moments are compared with the truth at five standard errors as the chains' own effective
sample size gives them: a right sampler fails about once in 1e5 runs (20 moments), and a bias of 0.25 standard
deviations is found with probability above 0.99 at the 400 effective draws that are asked for.
"""

import pickle
from typing import Any

import numpy as np
import pytest

import samplers
import targets
from samplers.draws import Draws
from samplers.warmup import STUCK
from targets.plain import counting, from_python
from targets.protocols import Phase, Status
from tests.runs import advanced, warmed

SHORT = {"num_warmup": 60}
BIAS = 0.02  # relative, of the variances that a method tagged `unadjusted` gives: counted as an error beside the noise
# Options with which a sampler takes any target.
OPTIONS: dict[str, dict[str, Any]] = {"elliptical_slice": {"gaussian": "fitted"}}


def made(name: str, **options: Any) -> Any:
    return samplers.method(name, **OPTIONS.get(name, {}), **options)


# Chains that run on a bare density. Populations have no warm-up and no chain to look at, mini-batches take rows, sweeps
# take a conjugate model; these have laws of their own in tests/samplers/test_smc.py, test_sgld.py and test_gibbs.py.
APART = {"smc", "mini-batch", "conjugate"}
NAMES = [name for name in samplers.names() if not APART & samplers.method(name).tags]
# Those that take one starting point a chain, and those that gain by a covariance that is given: an ensemble is the same
# after any linear map, and slices learn their own.
SINGLE = [name for name in NAMES if name != "ensemble"]
GAINING = [name for name in SINGLE if "slice" not in name]
# Those with some hundred steps to an independent draw of five correlated coordinates.
SLOW = {"random_walk", "mala", "ensemble"}
Name = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def gaussian() -> targets.Target:
    return targets.load("correlated_gaussian", dim=5, rho=0.6, mean=2.0)


@Name
@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("correlated_gaussian", {"dim": 1, "mean": -3.0}),
        ("correlated_gaussian", {"dim": 5, "rho": 0.6, "mean": 2.0}),
        ("correlated_gaussian", {"dim": 8, "structure": "rotated", "condition": 20.0}),
        ("student_t", {"dim": 2, "df": 9.0}),
    ],
)
def test_moments_agree_with_the_truth(name: str, target: str, options: dict[str, Any]) -> None:
    found = targets.load(target, **options)
    assert found.truth is not None
    refused = made(name).unfit(found)
    if refused:
        pytest.skip(refused)
    moments = found.truth.moments
    draws = samplers.sample(found, name, **OPTIONS.get(name, {}), num_samples=6000, seed=3)
    assert np.max(draws.r_hat) < 1.02
    squares = Draws((draws.values - moments.mean) ** 2)
    assert np.min([draws.ess_bulk, squares.ess_bulk]) > 400
    z = (draws.mean - moments.mean) / np.sqrt(moments.variance / draws.ess_bulk)
    assert np.max(np.abs(z)) < 5
    bias = BIAS * moments.variance if "unadjusted" in samplers.method(name).tags else 0.0
    error = np.sqrt(moments.variance_of_centred_square / squares.ess_bulk + bias**2)
    assert np.max(np.abs(squares.mean - moments.variance) / error) < 5


@Name
def test_the_same_seed_gives_the_same_draws_and_another_seed_others(name: str, gaussian: targets.Target) -> None:
    runs = [advanced(made(name, **SHORT).start(gaussian, seed), 20_000).draws for seed in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1])
    n = min(runs[0].shape[1], runs[2].shape[1])
    assert not np.any(runs[0][:, :n] == runs[2][:, :n])


@Name
def test_chains_are_independent(name: str, gaussian: targets.Target) -> None:
    """Correlations within six standard errors of zero, which is far below that of chains with one generator, 1."""
    options = {**OPTIONS.get(name, {}), "num_samples": 24_000 if name in SLOW else 6000}
    draws = samplers.sample(gaussian, name, num_chains=3, seed=5, **options).values
    draws = draws[:: len(draws) // 3, :, :1]  # of an ensemble one walker
    limit = 6 / np.sqrt(min(samplers.Draws(chain[None]).ess_bulk[0] for chain in draws))
    assert limit < 0.7
    assert np.max(np.abs(np.corrcoef(draws[:, :, 0]) - np.eye(3))) < limit


@Name
@pytest.mark.parametrize("slices", [1, 777])
def test_results_do_not_depend_on_how_the_work_is_cut(name: str, slices: int, gaussian: targets.Target) -> None:
    whole = advanced(made(name, **SHORT).start(gaussian, 4), 20_000)
    cut = advanced(made(name, **SHORT).start(gaussian, 4), 20_000, slices)
    assert whole.phase is Phase.RUN
    assert whole.work == cut.work
    assert np.array_equal(whole.draws, cut.draws)
    assert whole.diagnostics() == cut.diagnostics()


@Name
@pytest.mark.parametrize("before", [0, 300, 12_000])
def test_a_pickled_run_resumes_with_the_same_bits(name: str, before: int, gaussian: targets.Target) -> None:
    run = advanced(made(name, **SHORT).start(gaussian, 6), before)
    resumed = advanced(pickle.loads(pickle.dumps(run)), 20_000)
    advanced(run, 20_000)
    assert run.work == resumed.work
    assert np.array_equal(run.draws, resumed.draws)


@Name
def test_advance_stops_where_warm_up_ends(name: str, gaussian: targets.Target) -> None:
    run = made(name, **SHORT).start(gaussian, 7)
    run.advance(10_000_000)
    assert run.phase is Phase.RUN
    assert run.approximation() is None
    assert run.diagnostics() == {}


@Name
def test_adaptation_is_frozen_after_warm_up(name: str, gaussian: targets.Target) -> None:
    run = warmed(made(name, **SHORT).start(gaussian, 8))
    frozen = pickle.dumps((run.counters["log_step"], run.tuning))
    advanced(run, run.work.total + 20_000)
    assert pickle.dumps((run.counters["log_step"], run.tuning)) == frozen


@Name
def test_an_approximation_stays_what_it_is(name: str, gaussian: targets.Target) -> None:
    run = made(name, **SHORT).start(gaussian, 9)
    run.advance(200)
    early = run.approximation()
    warmed(run)
    advanced(run, run.work.total + 2_000)
    late = run.approximation()
    assert early is not None
    assert late is not None
    copies = early.values.copy(), late.values.copy()
    advanced(run, run.work.total + 30_000)
    assert np.array_equal(early.values, copies[0])
    assert np.array_equal(late.values, copies[1])


@Name
@pytest.mark.parametrize("target", ["correlated_gaussian", "banana"])
def test_evaluations_are_counted_exactly(name: str, target: str) -> None:
    plain = targets.load(target)
    counted, counter = counting(plain)
    run = made(name, num_warmup=30).start(counted, 1)
    assert (run.work.gradient_evaluations, run.work.density_evaluations) == (counter.gradients, counter.densities)
    same = made(name, num_warmup=30).start(plain, 1)
    for work in (50, 500, 20_000):
        advanced(run, work)
        advanced(same, work)
        assert (run.work.gradient_evaluations, run.work.density_evaluations) == (counter.gradients, counter.densities)
    n = min(run.done, same.done)  # rounds may be cut otherwise, since the counting target is slow
    assert run.phase is same.phase is Phase.RUN
    assert n > 0
    assert np.array_equal(run.draws[:, :n], same.draws[:, :n])


@Name
def test_a_density_that_is_nowhere_finite_fails_with_its_reason(name: str) -> None:
    nowhere = from_python(lambda x: (-np.inf, np.zeros_like(x)), 2)
    run = made(name).start(nowhere, 1)
    assert run.status is Status.FAILED
    assert run.reason == "no finite log density and gradient in 100 starting points drawn for chain 0"
    assert run.work.total == 100
    run.advance(1000)
    assert run.work.total == 100
    assert run.approximation() is None
    with pytest.raises(samplers.SamplingError, match="no finite log density"):
        samplers.sample(nowhere, name, **OPTIONS.get(name, {}))


@Name
def test_a_density_without_width_fails_with_its_reason(name: str) -> None:
    """A target that is finite at one point alone: every proposal is rejected and the step size collapses."""

    def spike(x: np.ndarray) -> tuple[float, np.ndarray]:
        return (0.0 if np.all(x == 1.0) else -np.inf), np.zeros_like(x)

    target = from_python(spike, 2, initial=lambda _: np.ones(2))
    run = warmed(made(name, **{**SHORT, "num_warmup": STUCK}).start(target, 1))
    assert run.status is Status.FAILED
    assert "step size" in run.reason or "rejected every proposal" in run.reason


@Name
def test_exceptions_of_plain_python_come_out(name: str) -> None:
    def broken(x: np.ndarray) -> tuple[float, np.ndarray]:
        raise ZeroDivisionError("of mine")

    with pytest.raises(ZeroDivisionError, match="of mine"):
        made(name).start(from_python(broken, 2), 1)


@pytest.mark.parametrize("name", SINGLE)
def test_starting_points_are_kept_and_shapes_are_checked(name: str, gaussian: targets.Target) -> None:
    count = made(name).starts(gaussian)
    positions = np.arange(5.0 * count).reshape(count, 5) / count
    run = made(name).start(gaussian, 1, samplers.Initial(positions))
    assert np.array_equal(np.reshape([chain[0] for chain in run.chains], (count, 5)), positions)
    for wrong in (samplers.Initial(positions[:2]), samplers.Initial(metric=np.ones(3))):
        with pytest.raises(targets.UsageError, match="not accepted"):
            made(name).start(gaussian, 1, wrong)
    far = made(name).start(gaussian, 1, samplers.Initial(np.full((count, 5), np.inf)))
    assert far.status is Status.FAILED
    assert far.reason == "no finite log density and gradient at the starting point given for chain 0"


@Name
def test_a_metric_that_is_not_one_fails_with_its_reason(name: str, gaussian: targets.Target) -> None:
    for metric in (np.zeros(5), -np.eye(5), np.full((5, 5), np.nan), np.full(5, np.inf), np.ones((5, 5))):
        run = made(name).start(gaussian, 1, samplers.Initial(metric=metric))
        assert run.status is Status.FAILED
        assert run.reason == "the initial metric is not positive definite"


@pytest.mark.parametrize("name", GAINING)
def test_a_given_covariance_is_kept_and_warm_up_is_short(name: str) -> None:
    target = targets.load("correlated_gaussian", dim=20, structure="rotated", condition=1000.0)
    assert target.truth is not None
    covariance = target.truth.moments.covariance
    cold = warmed(made(name).start(target, 1))
    starts = target.truth.draws(made(name).starts(target), 1)
    warm = warmed(made(name).start(target, 1, samplers.Initial(starts, covariance)))
    assert warm.status is Status.RUNNING
    assert warm.work.total < cold.work.total / 3
    assert np.allclose(warm.tuning.scale.covariance, covariance)
    advanced(warm, warm.work.total + 20_000)
    advanced(cold, cold.work.total + 20_000)
    assert warm.diagnostics()["ess_min"] > 4 * cold.diagnostics()["ess_min"]


@Name
def test_options_are_checked(name: str) -> None:
    for options in ({"num_chains": 0}, {"num_warmup": 3}, {"no_such": 1}):
        with pytest.raises(targets.UsageError):
            samplers.method(name, **options)
    method = samplers.method(name, num_chains=3)
    assert method.label == f"{name}[num_chains=3]"
    assert method.changed == ("num_chains",)
    assert "mcmc" in method.tags
    assert samplers.method(name).label == name
