"""Laws of the integrator: reversible, volume-preserving, of second order; and of what surrounds it."""

import math
from typing import Any

import numpy as np
import pytest

import targets
from samplers import leapfrog
from samplers.pointer import pointer
from samplers.scale import Scale, dense_scale, diagonal_scale, low_rank_scale
from targets.kernel import aligned

SHAPES = ["diagonal", "dense", "low rank"]


def scale_of(shape: str, dim: int) -> Scale:
    """A scale with different entries."""
    rng = np.random.default_rng(5)
    sd = rng.uniform(0.5, 1.5, dim)
    if shape == "diagonal":
        return diagonal_scale(sd)
    if shape == "low rank":
        return low_rank_scale(sd, np.linalg.qr(rng.standard_normal((dim, 2)))[0].T, np.array([4.0, 0.1]))
    return dense_scale(np.linalg.cholesky(np.cov(rng.standard_normal((dim, 5 * dim)))))


def integrate(target: targets.Target, scale: Scale, x: np.ndarray, r: np.ndarray, step: float, steps: int) -> Any:
    """Position and momentum at the end, the log density there, and the steps made."""
    position, momentum, gradient = aligned(x), aligned(r), aligned(np.zeros_like(x))
    target.kernel(position, gradient, target.data)
    kernel = pointer(target.log_density_and_gradient)
    if scale.is_dense or len(scale.stretches):
        end, made = leapfrog.scaled_trajectory(
            *(kernel, target.data, position, gradient, momentum, scale, step, steps),
            *(np.empty_like(position), np.empty_like(position)),
        )
    else:
        end, made = leapfrog.diagonal_trajectory(
            kernel, target.data, position, gradient, momentum, scale.diagonal, step, steps
        )
    return position, momentum, end, made


def follow(
    target: targets.Target, shape: str, x: np.ndarray, r: np.ndarray, step: float, steps: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """End, momentum at the end, and energy at the end less energy at the start."""
    position, momentum, end, made = integrate(target, scale_of(shape, target.dim), x, r, step, steps)
    assert made == steps
    start = target.log_densities(x)[0]
    return position, momentum, float((momentum @ momentum - r @ r) / 2 - end + start)


@pytest.fixture(scope="module", params=["banana", "funnel", "correlated_gaussian"])
def target(request: pytest.FixtureRequest) -> targets.Target:
    return targets.load(request.param, dim=3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steps", [1, 2, 25])
def test_the_way_back_leads_to_the_start(target: targets.Target, shape: str, steps: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        x, r = rng.standard_normal((2, target.dim))
        there, momentum, _ = follow(target, shape, x, r, 0.1, steps)
        assert np.linalg.norm(there - x) > 1e-2
        back, returned, _ = follow(target, shape, there, -momentum, 0.1, steps)
        assert np.allclose(back, x, atol=1e-10)
        assert np.allclose(returned, -r, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_volume_is_preserved(target: targets.Target, shape: str) -> None:
    """The Jacobian of (x, r) -> (x, r) has determinant one; by central differences, to 1e-6."""
    dim, h = target.dim, 1e-5
    state = np.random.default_rng(2).standard_normal(2 * dim)

    def flow(state: np.ndarray) -> np.ndarray:
        x, r, _ = follow(target, shape, state[:dim], state[dim:], 0.15, 7)
        return np.concatenate([x, r])

    jacobian = np.array([(flow(state + h * e) - flow(state - h * e)) / (2 * h) for e in np.eye(2 * dim)])
    assert abs(np.linalg.det(jacobian) - 1.0) < 1e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_the_energy_error_is_of_second_order(target: targets.Target, shape: str) -> None:
    """Halving the step over the same length divides the error by four; a missing half-step would make it two."""
    rng = np.random.default_rng(3)
    errors = np.zeros(3)
    for _ in range(20):
        x, r = rng.standard_normal((2, target.dim))
        for k in range(3):
            errors[k] += follow(target, shape, x, r, 0.04 / 2**k, 10 * 2**k)[2] ** 2
    orders = np.diff(np.log2(np.sqrt(errors)))
    assert np.allclose(orders, -2.0, atol=0.2)


def test_other_scales_that_are_diagonal_do_the_same(target: targets.Target) -> None:
    rng = np.random.default_rng(4)
    x, r = rng.standard_normal((2, target.dim))
    scale = scale_of("diagonal", target.dim)
    flat = low_rank_scale(scale.diagonal, np.eye(target.dim)[:1], np.ones(1))
    ends = [integrate(target, each, x, r, 0.1, 9)[:2] for each in (scale, dense_scale(np.diag(scale.diagonal)), flat)]
    assert np.allclose(ends[0], ends[1], rtol=1e-12)
    assert np.allclose(ends[0], ends[2], rtol=1e-12)


def test_it_stops_where_the_density_is_not_finite() -> None:
    banana = targets.load("banana")
    for scale in (diagonal_scale(np.ones(2)), dense_scale(np.eye(2))):
        *_, end, made = integrate(banana, scale, np.ones(2), np.ones(2), 1e6, 1000)
        assert not math.isfinite(end)
        assert made < 100


@pytest.mark.parametrize(
    ("length", "step", "most", "steps"),
    [(1.0, 0.1, 100, 10), (1.0, 0.1, 5, 5), (0.01, 1.0, 9, 1), (math.inf, 1.0, 7, 7), (math.nan, 1.0, 7, 7)],
)
def test_steps_of_a_trajectory(length: float, step: float, most: int, steps: int) -> None:
    assert leapfrog.steps_of(length, step, most) == steps


def test_dual_averaging_finds_the_step_that_accepts_what_is_asked_for() -> None:
    """On acceptance = exp(-step), noise-free, the averaged step tends to -log(target)."""
    error, log_step, mean = 0.0, 0.0, 0.0
    for t in range(1, 5001):
        error, log_step, mean = leapfrog.dual_average(error, mean, 0.0, math.exp(-math.exp(log_step)), 0.8, t)
    assert math.exp(mean) == pytest.approx(-math.log(0.8), rel=0.02)
