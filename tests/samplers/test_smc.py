"""Tempered SMC: its moves, weights and estimates against closed forms, and planted errors in each.

Moves start from 16000 exact draws and are judged as in `test_invariance`: beyond five standard errors of a mean change,
falsely once in 1e5 runs of a case; a shift of 0.07 standard deviations of the difference is found with probability
0.999. Estimates of the log normaliser are judged beyond five standard errors of the mean of 20 populations: falsely
once in 1e4, by Student's t; a bias of two standard deviations of one is found with probability 0.99.
"""

import inspect
import math
import pickle
import sys
from typing import Any

import numba
import numpy as np
import pytest
from scipy import stats

import samplers
import targets
from samplers import population as populations
from samplers import smc, smc_loop, smc_weights, tempering
from samplers.draws import Draws
from samplers.pointer import pointer
from samplers.population import Population, Settings
from samplers.smc import SMCRun
from samplers.tempering import Reference
from targets.kernel import FASTMATH, aligned, zeros
from targets.plain import counting, from_python
from targets.protocols import Phase, Status

ALARM = 5.0
DRAWS = 16000
SETTINGS = Settings(ess_fraction=0.5, target_accept=0.8, max_moves=10, max_leapfrogs=100, dense=True)
REFERENCE = Reference(np.array([0.5, -0.5, 0.0]), np.array([2.0, 1.5, 3.0]))


def finished(run: SMCRun, passes: int = 1) -> SMCRun:
    while run.status is Status.RUNNING and len(run.passes) < passes:
        run.advance(1_000)
    return run


def advanced(run: SMCRun, work: int, slices: int = 1_000_000) -> SMCRun:
    while run.status is Status.RUNNING and run.work.total < work:
        run.advance(min(slices, work - run.work.total))
    return run


@pytest.fixture(scope="module")
def gaussian() -> targets.Target:
    return targets.load("correlated_gaussian", dim=3, rho=0.5, mean=1.0)


# --- moves


def moved(
    target: targets.Target, beta: float, dense: bool, step: float, loop: Any = smc_loop.move
) -> tuple[float, float]:
    """Worst mean change of a feature in standard errors, after three sweeps from exact draws; and mean acceptance."""
    assert target.gaussian is not None
    precision = beta * target.gaussian.precision + (1.0 - beta) * np.diag(REFERENCE.sd**-2.0)
    pull = beta * target.gaussian.precision @ target.gaussian.mean + (1.0 - beta) * REFERENCE.centre / REFERENCE.sd**2
    covariance = np.linalg.inv(precision)
    rng = np.random.default_rng(3)
    starts = rng.multivariate_normal(covariance @ pull, covariance, DRAWS)
    points, (densities, gradients) = aligned(starts), target.evaluate(starts)
    densities, gradients, references = aligned(densities), aligned(gradients), aligned(REFERENCE.log_density(starts))
    diagonal, factor = aligned(np.full(3, 0.9)), aligned(np.eye(3) * 0.9 - np.eye(3, k=-1) * 0.3)
    acceptance = 0.0
    for _ in range(3):
        acceptance += loop(
            *(pointer(target.log_density_and_gradient), target.data, rng, points, gradients, densities, references),
            *(0, DRAWS, beta, REFERENCE.matrix, REFERENCE.log_height, diagonal, factor, dense, step, 2.0, 50),
            *(zeros(3), zeros(3), zeros(3)),
        )[1] / (3 * DRAWS)
    assert np.array_equal(densities, target.evaluate(points)[0])
    assert np.allclose(references, REFERENCE.log_density(points))
    change = features(points) - features(starts)
    return float(np.max(np.abs(change.mean(axis=0)) / (change.std(axis=0) / math.sqrt(DRAWS)))), acceptance


def features(x: np.ndarray) -> np.ndarray:
    products = [x[:, i] * x[:, j] for i in range(3) for j in range(i, 3)]
    return np.column_stack([x, np.abs(x), *products])


@pytest.mark.parametrize("beta", [1.0, 0.4])
@pytest.mark.parametrize("dense", [False, True])
def test_moves_leave_the_tempered_density_invariant(gaussian: targets.Target, beta: float, dense: bool) -> None:
    z, acceptance = moved(gaussian, beta, dense, 0.9)
    assert z < ALARM
    assert 0.75 < acceptance < 0.99


PLANTED = {
    "momentum left out of the energy": ("energy - (0.5 * kinetic - tempered", "energy - (- tempered"),
    "the reference left out of the energy": ("beta * log_density + (1.0 - beta) * log_reference", "beta * log_density"),
    "beta left out of the energy": ("beta * log_density + (1.0", "log_density + (1.0"),
    "sign of the reference's slope": ("slope - (1.0 - beta)", "slope + (1.0 - beta)"),
    "sign of the target's slope": ("return beta * slope", "return -beta * slope"),
}


@pytest.mark.parametrize("error", PLANTED)
def test_planted_errors_in_moves_are_caught(gaussian: targets.Target, error: str) -> None:
    """A wrong slope leaves the density invariant: Metropolis corrects it. It shows in the acceptance."""
    broken = planted(*PLANTED[error])
    assert moved(gaussian, 0.4, True, 1.5, broken)[0] > 2 * ALARM or moved(gaussian, 0.4, True, 0.9, broken)[1] < 0.6


def planted(right: str, wrong: str) -> Any:
    """`smc_loop.move` and the helpers of the tempered path, with an error in one."""
    source = inspect.getsource(tempering) + inspect.getsource(smc_loop)
    source = source.replace("from samplers.tempering import tempered, tempered_slope\n", "")
    assert source.count(right) == 1
    names: dict[str, Any] = {"__name__": tempering.__name__}
    exec(source.replace(right, wrong), names)  # noqa: S102
    return numba.njit(names["move"].signature, error_model="numpy", fastmath=set(FASTMATH))(names["move"].function)


def test_slopes_are_those_of_the_tempered_density() -> None:
    x, step = np.array([[0.3, -1.0, 2.0]]), 1e-6
    for i in range(3):
        beside = x.copy()
        beside[0, i] += step
        rise = float((REFERENCE.log_density(beside) - REFERENCE.log_density(x))[0]) / step
        found = tempering.tempered_slope(0.3, 0.7, x[0, i], *REFERENCE.matrix[:, i])
        assert found == pytest.approx(0.3 * 0.7 + 0.7 * rise, abs=1e-5)
    exact = stats.norm(REFERENCE.centre, REFERENCE.sd).logpdf(x).sum()
    assert REFERENCE.log_density(x)[0] == pytest.approx(exact)


# --- weights


def test_resampling_is_unbiased_and_even() -> None:
    """Mean counts over a grid of u are n w to the grid's width, and no count is off by one or more."""
    weights = np.array([0.0, 0.13, 0.4, 0.0, 0.07, 0.4, 0.0])
    counts = np.array(
        [np.bincount(smc_weights.systematic(weights, 9, u), minlength=7) for u in np.arange(0.0005, 1, 1e-3)]
    )
    assert np.allclose(counts.mean(axis=0), 9 * weights, atol=2e-3)
    assert np.all(np.abs(counts - 9 * weights) < 1.0)
    assert np.all(counts[:, weights == 0.0] == 0)


def test_the_next_temperature_keeps_the_fraction_asked_for() -> None:
    rng = np.random.default_rng(1)
    for scale in (1e-3, 1.0, 1e6, 1e200):
        ratios = scale * rng.standard_normal(1000)
        beta = smc_weights.next_temperature(0.0, ratios, 0.6)
        assert 0.0 < beta <= 1.0
        share = smc_weights.effective(beta, ratios) / 1000
        assert share == pytest.approx(0.6, abs=1e-6) if beta < 1.0 else share >= 0.6
    ratios[:900] = -np.inf
    assert 0.0 < smc_weights.next_temperature(0.0, ratios, 0.6) < 1.0


def test_the_dense_metric_of_a_gaussian_is_its_covariance(gaussian: targets.Target) -> None:
    assert gaussian.truth is not None
    points = gaussian.truth.draws(2000, 1)
    assert points is not None
    slopes = gaussian.evaluate(points)[1]
    _, factor = smc_weights.metric(points, slopes, np.full(2000, 1 / 2000), dense=True)
    assert np.allclose(factor @ factor.T, gaussian.truth.moments.covariance, atol=0.15)
    diagonal, none = smc_weights.metric(points, slopes, np.full(2000, 1 / 2000), dense=False)
    assert none.size == 0
    assert diagonal.shape == (3,)


def judged(target: targets.Target, n: int = 20, particles: int = 300) -> float:
    """Mean error of so many estimates of the log normaliser, in standard errors."""
    assert target.truth is not None
    errors = []
    for seed in range(n):
        population = Population(target, np.random.default_rng(seed), REFERENCE, particles, SETTINGS)
        while not population.finished:
            population.advance()
        errors.append(population.log_normaliser - target.truth.log_normaliser)
    return abs(float(np.mean(errors))) / (float(np.std(errors)) / math.sqrt(n))


@pytest.mark.parametrize("error", ["none", "exponent", "resampling", "normaliser"])
def test_planted_errors_in_weights_are_caught(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = targets.load("correlated_gaussian", dim=3, rho=0.9, mean=3.0)
    right = smc_weights.log_weights
    if error == "exponent":  # beta instead of its increment: the temperatures are sought as ever

        def all_of_beta(change: float, ratios: np.ndarray) -> np.ndarray:
            caller = sys._getframe(1).f_locals
            return right(caller["beta"], ratios)

        monkeypatch.setattr(populations, "log_weights", all_of_beta)
    elif error == "resampling":
        flat = lambda weights, n, u: smc_weights.systematic(np.sqrt(weights), n, u)  # noqa: E731
        monkeypatch.setattr(populations, "systematic", flat)
    elif error == "normaliser":
        monkeypatch.setattr(Reference, "log_height", 0.0)
    if error == "none":
        assert judged(target) < ALARM
    else:
        assert judged(target) > 2 * ALARM


def test_estimates_of_the_normaliser_are_unbiased() -> None:
    """300 populations of 60 in two steps or three: the mean is known to 2 %, and adaptation may cost as much."""
    target = targets.load("correlated_gaussian", dim=3, rho=0.5, mean=1.0)
    assert target.truth is not None
    ratios = []
    for seed in range(300):
        population = Population(target, np.random.default_rng(seed), REFERENCE, 60, SETTINGS)
        while not population.finished:
            population.advance()
        ratios.append(math.exp(population.log_normaliser - target.truth.log_normaliser))
    error = float(np.std(ratios)) / math.sqrt(len(ratios))
    assert error < 0.03
    assert abs(np.mean(ratios) - 1.0) < 4 * error + 1.0 / 60


# --- what runs report


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("correlated_gaussian", {"dim": 1, "mean": -3.0}),
        ("correlated_gaussian", {"dim": 5, "rho": 0.6, "mean": 2.0}),
        ("correlated_gaussian", {"dim": 8, "structure": "rotated", "condition": 20.0}),
        ("student_t", {"dim": 2, "df": 9.0}),
    ],
)
def test_moments_agree_with_the_truth(name: str, options: dict[str, Any]) -> None:
    """As in the laws of samplers: five standard errors, falsely once in 1e5 runs, at 400 effective draws and more."""
    target = targets.load(name, **options)
    assert target.truth is not None
    moments = target.truth.moments
    draws = samplers.sample(target, "smc", num_samples=6000, num_particles=1000, seed=3)
    assert draws.values.shape == (4, 6000, target.dim)
    assert np.max(draws.r_hat) < 1.02
    squares = Draws((draws.values - moments.mean) ** 2)
    assert np.min([draws.ess_bulk, squares.ess_bulk]) > 400
    z = (draws.mean - moments.mean) / np.sqrt(moments.variance / draws.ess_bulk)
    assert np.max(np.abs(z)) < ALARM
    z = (squares.mean - moments.variance) / np.sqrt(moments.variance_of_centred_square / squares.ess_bulk)
    assert np.max(np.abs(z)) < ALARM


@pytest.mark.parametrize("dim", [2, 10])
def test_masses_of_modes_ten_sd_apart(dim: int) -> None:
    """Their standard deviation is 0.003 in 2 dimensions and 0.005 in 10: falsely once in 1e3 runs of four seeds."""
    target = targets.load("bimodal_mixture", dim=dim, separation=10.0, weight=0.3)
    assert target.truth is not None
    assert target.truth.modes is not None
    for seed in range(4):
        run = finished(samplers.method("smc").start(target, seed))
        assert run.work.total <= 200_000
        assert np.mean(target.truth.modes.assign(run.approximation().flat) == 0) == pytest.approx(0.3, abs=0.02)


def scores(seeds: int) -> np.ndarray:
    """(seeds,) errors of log normalisers in their own standard errors, of three degrees of freedom."""
    target = targets.load("correlated_gaussian", dim=3, rho=0.9)
    assert target.truth is not None
    found = []
    for seed in range(seeds):
        run = finished(samplers.method("smc", num_particles=200).start(target, seed))
        said = run.diagnostics()
        found.append((said["log_normaliser"] - target.truth.log_normaliser) / said["log_normaliser_error"])
    return np.array(found)


def test_standard_errors_of_the_log_normaliser_are_calibrated() -> None:
    """Kolmogorov-Smirnov against Student's t of 60 seeds: falsely once in 1e4. Errors three times too small, or five
    times too large, are seen."""
    z = scores(60)
    assert stats.kstest(z, stats.t(3).cdf).pvalue > 1e-4
    for factor in (3.0, 1 / 5):
        assert stats.kstest(factor * z, stats.t(3).cdf).pvalue < 1e-4


def test_passes_double_combine_and_lower_the_error() -> None:
    """Particles that are to be weighted 3 to 1 by their populations' normalisers are resampled so."""
    target = targets.load("bimodal_mixture", dim=2, separation=10.0, weight=0.3)
    run = finished(samplers.method("smc", num_particles=200, num_chains=2).start(target, 1), passes=3)
    assert [each.points.shape for each in run.passes] == [(2, 200, 2), (2, 400, 2), (2, 800, 2)]
    assert run.done == 1400
    said = run.diagnostics()
    assert said["log_normaliser"] == pytest.approx(math.log(2 * math.pi), abs=6 * said["log_normaliser_error"] + 0.02)
    one, two = (
        smc.Pass(np.full((1, n, 1), x), np.array([z]), 1.0, 1.0) for n, x, z in ((400, 0.0, 0.0), (100, 1.0, 1.0))
    )
    drawn = smc.combined([one, two], np.random.default_rng(1))
    assert drawn.shape == (1, 500, 1)
    assert drawn.mean() == pytest.approx(math.e / (4.0 + math.e), abs=0.003)
    assert smc.log_normaliser([one, two])[0] == pytest.approx(math.log((4.0 + math.e) / 5.0))


# --- laws of runs


def test_the_same_seed_gives_the_same_draws_and_another_seed_others(gaussian: targets.Target) -> None:
    runs = [finished(samplers.method("smc", num_particles=100).start(gaussian, seed)) for seed in (1, 1, 2)]
    assert np.array_equal(runs[0].draws, runs[1].draws)
    assert not np.any(runs[0].draws == runs[2].draws)


@pytest.mark.parametrize("slices", [1, 777])
def test_results_do_not_depend_on_how_the_work_is_cut(gaussian: targets.Target, slices: int) -> None:
    whole = advanced(samplers.method("smc", num_particles=200).start(gaussian, 4), 40_000)
    cut = advanced(samplers.method("smc", num_particles=200).start(gaussian, 4), 40_000, slices)
    assert whole.phase is Phase.RUN
    assert whole.work == cut.work
    assert np.array_equal(whole.draws, cut.draws)
    assert whole.diagnostics() == cut.diagnostics()


@pytest.mark.parametrize("before", [0, 300, 5_000, 12_000, 30_000])
def test_a_pickled_run_resumes_with_the_same_bits(gaussian: targets.Target, before: int) -> None:
    run = advanced(samplers.method("smc", num_particles=200).start(gaussian, 6), before)
    resumed = advanced(pickle.loads(pickle.dumps(run)), 40_000)
    advanced(run, 40_000)
    assert run.work == resumed.work
    assert np.array_equal(run.draws, resumed.draws)
    assert run.diagnostics() == resumed.diagnostics()


def test_advance_stops_where_the_first_pass_ends_and_approximations_stay(gaussian: targets.Target) -> None:
    run = samplers.method("smc", num_particles=100).start(gaussian, 7)
    assert run.approximation() is None
    assert run.diagnostics() == {}
    run.advance(10_000_000)
    assert run.phase is Phase.RUN
    assert run.done == 100
    early = run.approximation()
    assert early is not None
    copy = early.values.copy()
    finished(run, 3)
    assert np.array_equal(early.values, copy)


@pytest.mark.parametrize("name", ["correlated_gaussian", "banana"])
def test_evaluations_are_counted_exactly(name: str) -> None:
    plain = targets.load(name)
    counted, counter = counting(plain)
    run, same = (samplers.method("smc", num_particles=50).start(each, 1) for each in (counted, plain))
    for work in (0, 50, 500, 20_000):
        advanced(run, work)
        advanced(same, work)
        assert (run.work.gradient_evaluations, run.work.density_evaluations) == (counter.gradients, counter.densities)
        assert run.work == same.work
    assert np.array_equal(run.draws, same.draws)


def test_densities_that_are_not_finite_somewhere() -> None:
    """Half a Gaussian, beyond which the density is -inf, nan or +inf: half its normaliser, and no draw there."""
    for beyond in (-np.inf, np.nan, np.inf):

        def half(x: np.ndarray, beyond: float = beyond) -> tuple[float, np.ndarray]:
            return (float(-0.5 * x @ x) if x[0] > 0.0 else beyond), -x

        run = finished(samplers.method("smc", num_particles=300).start(from_python(half, 2), 2))
        said = run.diagnostics()
        assert np.all(run.draws[..., 0] > 0.0)
        assert run.draws[..., 0].mean() == pytest.approx(math.sqrt(2.0 / math.pi), abs=0.1)
        assert said["log_normaliser"] == pytest.approx(math.log(math.pi), abs=0.1)


def test_a_density_that_is_nowhere_finite_fails_with_its_reason() -> None:
    nowhere = from_python(lambda x: (-np.inf, np.zeros_like(x)), 2)
    run = finished(samplers.method("smc").start(nowhere, 1))
    assert run.status is Status.FAILED
    assert run.reason == "population 0: no finite log density at 200 points drawn from the reference"
    assert run.work.total == 200
    run.advance(1000)
    assert run.work.total == 200
    assert run.approximation() is None
    with pytest.raises(samplers.SamplingError, match="no finite log density"):
        samplers.sample(nowhere, "smc")


def test_a_slope_that_leads_astray_fails_with_its_reason() -> None:
    run = finished(samplers.method("smc").start(from_python(lambda x: (-0.5 * x @ x, 1e30 * x), 2), 1))
    assert run.status is Status.FAILED
    assert "the step size fell to" in run.reason


def test_exceptions_of_plain_python_come_out() -> None:
    def broken(x: np.ndarray) -> tuple[float, np.ndarray]:
        raise ZeroDivisionError("of mine")

    with pytest.raises(ZeroDivisionError, match="of mine"):
        samplers.method("smc").start(from_python(broken, 2), 1).advance(1)


def test_a_warm_start_places_the_reference(gaussian: targets.Target) -> None:
    positions = np.arange(12.0).reshape(4, 3)
    method = samplers.method("smc")
    run = method.start(gaussian, 1, samplers.Initial(positions, 4.0 * np.eye(3)))
    assert np.array_equal(run.populations[0].reference.centre, positions.mean(axis=0))
    assert np.allclose(run.populations[0].reference.sd, 2.0 * smc.WIDER)
    assert np.all(method.start(gaussian, 1).populations[0].reference.sd == 10.0)
    for wrong in (samplers.Initial(positions[:2]), samplers.Initial(metric=np.ones(2))):
        with pytest.raises(targets.UsageError, match="not accepted"):
            method.start(gaussian, 1, wrong)
    far = method.start(gaussian, 1, samplers.Initial(np.full((4, 3), np.inf)))
    assert (far.status, far.reason) == (Status.FAILED, "the starting points given are not finite")
    flat = method.start(gaussian, 1, samplers.Initial(metric=np.zeros(3)))
    assert (flat.status, flat.reason) == (Status.FAILED, "the initial metric is not positive definite")


def test_options_are_checked() -> None:
    wrong: list[dict[str, Any]] = [
        *({"num_chains": 0}, {"num_particles": 3}, {"ess_fraction": 1.0}, {"target_accept": 0.0}, {"no_such": 1}),
        *({"max_moves": 0}, {"max_leapfrogs": 0}, {"metric": "round"}, {"reference_scale": -1.0}),
        {"reference_scale": math.nan},
    ]
    for options in wrong:
        with pytest.raises(targets.UsageError):
            samplers.method("smc", **options)
    method = samplers.method("smc", num_chains=2)
    assert method.label == "smc[num_chains=2]"
    assert {"mcmc", "smc"} <= method.tags


def test_a_single_population_has_no_error_to_tell(gaussian: targets.Target) -> None:
    said = finished(samplers.method("smc", num_chains=1, num_particles=100).start(gaussian, 1)).diagnostics()
    assert math.isfinite(said["log_normaliser"])
    assert math.isnan(said["log_normaliser_error"])
