"""MCLMC: how its bias falls, that its step size and lengths are found and then stay, and what it survives.

Its stationary law has no closed form, so that its bias is measured on Gaussians, where the truth is known. Statistical
tests alarm at five standard errors, of batch means: falsely once in 1e6 runs.
"""

import inspect
import math
from typing import Any

import numba
import numpy as np
import pytest

import samplers
import targets
from samplers import isokinetic
from samplers.autocorrelation import autocorrelation_times
from samplers.chain import no_stats, tallies
from samplers.microcanonical import LARGEST, SQUARES, STEPS, learn_step, particle_at, wander
from samplers.pointer import pointer
from samplers.scale import diagonal_scale
from targets.kernel import aligned, zeros
from targets.plain import counting, from_python
from tests.runs import advanced, warmed

BATCHES = 100


def second_moment_error(dim: int, step: float, stages: int, n: int = 400_000) -> tuple[float, float]:
    """Mean of x^2, less one, over the coordinates of a standard Gaussian, and its standard error."""
    target = targets.load("correlated_gaussian", dim=dim, rho=0.0)
    rng = np.random.default_rng(1)
    x, gradient, tally = rng.standard_normal(dim), zeros(dim), tallies(1)
    tally["log_density"] = target.kernel(aligned(x), gradient, target.data)
    tally["log_step"] = math.log(step)
    draws, stats = zeros(n, dim), no_stats(n)
    chain = particle_at(x, gradient, x / np.linalg.norm(x))
    wander(
        *(pointer(target.log_density_and_gradient), target.data, rng, chain, tally),
        *(diagonal_scale(np.ones(dim)), draws, stats, 1.0, 0.5, 1, stages, 0.0),
    )
    batches = (draws**2).mean(axis=1).reshape(BATCHES, -1).mean(axis=1) - 1.0
    return float(batches.mean()), float(batches.std() / math.sqrt(BATCHES))


@pytest.mark.parametrize(("stages", "step"), [(1, 0.6), (2, 0.7)])
def test_the_bias_is_of_second_order(stages: int, step: float) -> None:
    """Doubling the step multiplies it by four or, where higher orders show, a little more."""
    one, two = second_moment_error(50, step, stages), second_moment_error(50, 2 * step, stages)
    assert abs(one[0]) > 5 * one[1]
    noise = math.hypot(5 * one[1] * two[0] / one[0], 5 * two[1]) / abs(one[0])
    assert 4.0 - noise < two[0] / one[0] < 5.0 + noise
    assert noise < 2.0, "first order, a ratio of two, and third, of eight, must be seen"


@pytest.mark.parametrize("dim", [10, 100])
@pytest.mark.parametrize("integrator", ["minimal_norm", "leapfrog"])
def test_it_is_tuned_to_its_energy_error_and_its_bias_is_small(dim: int, integrator: str) -> None:
    """On a correlated Gaussian the error of second moments stays below 0.05 of them: a b^2 of 1e-3.

    Steps are learned to within a fifth, and the variance of energies grows as their sixth power: its logarithm has a
    standard deviation of 0.3 in ten dimensions, and less in more.
    """
    target = targets.load("correlated_gaussian", dim=dim, rho=0.5)
    run = warmed(samplers.method("mclmc", integrator=integrator).start(target, 2))
    advanced(run, run.work.total + 400_000)
    assert 1 / 3 < run.diagnostics()["energy_variance"] / 5e-4 < 3
    assert abs(float(np.mean(run.draws**2)) - 1.0) < 0.05
    assert 0.3 < run.tuning.path < 4.0


@pytest.mark.parametrize("wanted", [1e-5, 1e-2])
def test_other_energy_errors_are_found(wanted: float) -> None:
    target = targets.load("correlated_gaussian", dim=20, rho=0.5)
    run = warmed(samplers.method("mclmc", energy_variance=wanted).start(target, 3))
    advanced(run, run.work.total + 100_000)
    assert 1 / 3 < run.diagnostics()["energy_variance"] / wanted < 3


def test_tuning_is_frozen_after_warm_up() -> None:
    target = targets.load("correlated_gaussian", dim=5)
    run = warmed(samplers.method("mclmc", num_warmup=100).start(target, 1))

    def tuned() -> tuple[Any, ...]:
        memory = [chain.memory[: LARGEST + 1].tolist() for chain in run.chains]
        return run.tuning.path, run.tuning.scale.diagonal.tolist(), run.counters["log_step"].tolist(), memory

    before = tuned()
    assert run.diagnostics() == {}
    advanced(run, run.work.total + 20_000)
    assert tuned() == before
    assert all(chain.memory[STEPS] > 0 and chain.memory[SQUARES] > 0 for chain in run.chains)


def test_the_step_is_found_where_errors_grow_as_its_sixth_power() -> None:
    memory, log_step = np.array([0.0, 0.0, np.inf, 0.0, 0.0]), 0.0
    for _ in range(20):
        log_step = learn_step(memory, log_step, math.exp(6.0 * (log_step + 2.0)))
    assert log_step == pytest.approx(-2.0, abs=1e-6)


@pytest.mark.parametrize("error", [math.inf, math.nan, 1e300])
def test_an_error_that_tells_nothing_bounds_the_step(error: float) -> None:
    memory, log_step = np.array([0.0, 0.0, np.inf, 0.0, 0.0]), 0.0
    for k in range(1, 4):
        log_step = learn_step(memory, log_step, error)
        assert log_step == pytest.approx(k * math.log(0.8))
    assert learn_step(memory, log_step, 1e-3) == pytest.approx(3 * math.log(0.8))


def test_points_without_a_finite_density_are_survived_and_counted() -> None:
    """A half-normal: no draw leaves it, every taken-back stretch is said, and evaluations are counted."""

    def half(x: np.ndarray) -> tuple[float, np.ndarray]:
        inside = x[0] > 0.0
        return (-0.5 * float(x @ x) if inside else -np.inf), (-x if inside else np.full(2, np.nan))

    target, counter = counting(from_python(half, 2, initial=lambda rng: np.abs(rng.standard_normal(2))))
    run = warmed(samplers.method("mclmc", num_warmup=100).start(target, 1))
    advanced(run, run.work.total + 8000)
    draws = run.approximation()
    assert draws is not None
    assert np.all(draws.values[:, :, 0] > 0.0)
    assert np.all(np.isfinite(draws.values))
    assert 0 < draws.divergences < 0.7 * draws.stats["diverging"].size
    assert np.array_equal(draws.stats["acceptance_rate"], 1.0 - draws.stats["diverging"])
    assert run.work.gradient_evaluations == counter.gradients


def test_steps_between_draws_grow_with_the_decoherence_length() -> None:
    target = targets.load("correlated_gaussian", dim=10)
    counts = []
    for length in (0.5, 8.0):
        run = warmed(samplers.method("mclmc", decoherence=length, num_warmup=100).start(target, 1))
        advanced(run, run.work.total + 1000)
        assert run.tuning.path == length
        counts.append(run.stats["n_steps"][:, : run.done].mean())
    assert counts[1] > 5 * counts[0]


def test_a_given_covariance_is_kept_as_any_scale() -> None:
    """In the coordinates of the covariance a rotated Gaussian is standard: a step as there."""
    rotated = targets.load("correlated_gaussian", dim=20, structure="rotated", condition=1000.0)
    standard = targets.load("correlated_gaussian", dim=20, rho=0.0)
    assert rotated.truth is not None
    steps = []
    for target, metric in ((rotated, rotated.truth.moments.covariance), (standard, np.eye(20))):
        run = warmed(samplers.method("mclmc").start(target, 1, samplers.Initial(metric=metric)))
        steps.append(float(run.counters["log_step"][0]))
    assert steps[0] == pytest.approx(steps[1], abs=0.15)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_autocorrelation_times_of_an_autoregression(rho: float) -> None:
    """(1 + rho) / (1 - rho); a tenth off is allowed, some three standard errors of the mean over eight coordinates."""
    rng, x = np.random.default_rng(3), np.zeros((4, 4000, 8))
    noise = rng.standard_normal(x.shape) * math.sqrt(1.0 - rho**2)
    x[:, 0] = rng.standard_normal((4, 8))
    for k in range(1, x.shape[1]):
        x[:, k] = rho * x[:, k - 1] + noise[:, k]
    assert np.mean(autocorrelation_times(x)) == pytest.approx((1.0 + rho) / (1.0 - rho), rel=0.1)


def test_autocorrelation_times_of_what_never_moves() -> None:
    assert np.array_equal(autocorrelation_times(np.ones((2, 10, 3))), np.ones(3))
    assert autocorrelation_times(np.random.default_rng(0).standard_normal((2, 50, 200))).shape == (64,)


def test_a_refreshment_that_forgets_the_norm_is_seen() -> None:
    """What the law of refreshment looks at, that norms are one, does not hold with the error in it."""
    source = inspect.getsource(isokinetic)
    right = "        velocity[i] *= norm\n"
    assert source.count(right) == 1
    for wrong, seen in ((right, False), ("        velocity[i] *= 1.0\n", True)):
        names: dict[str, Any] = {}
        exec(source.replace(right, wrong), names)  # noqa: S102
        velocity = aligned([1.0, 0.0, 0.0])
        numba.njit(lambda rng, u, refresh=names["refresh"]: refresh(rng, u, 0.5))(np.random.default_rng(0), velocity)
        assert (abs(np.linalg.norm(velocity) - 1.0) > 1e-3) == seen
