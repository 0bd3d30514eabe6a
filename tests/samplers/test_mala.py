"""MALA is HMC with one step: the same draws from the same random numbers as a Langevin proposal with its ratio."""

import math
from typing import Any

import numpy as np
import pytest

import samplers
import targets
from samplers import leapfrog
from samplers.chain import chain_at, no_stats, tallies
from samplers.pointer import pointer
from samplers.scale import dense_scale, diagonal_scale, low_rank_scale
from targets.kernel import aligned, zeros

STEP = 0.9


def langevin(target: targets.Target, matrix: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One transition as Roberts & Tweedie 1996 write it, preconditioned by A A', its random numbers in our order."""
    step = STEP * (1.0 - leapfrog.STEP_JITTER * rng.random())
    rng.random()  # the jitter of a length that is one step anyway
    noise = np.array([rng.standard_normal() for _ in x])
    covariance = matrix @ matrix.T
    (here,), (slope,) = target.evaluate(x)
    y = x + 0.5 * step**2 * covariance @ slope + step * matrix @ noise
    (there,), (slope_there,) = target.evaluate(y)

    def log_proposal(end: np.ndarray, start: np.ndarray, gradient: np.ndarray) -> float:
        away = np.linalg.solve(matrix, end - start - 0.5 * step**2 * covariance @ gradient)
        return float(-0.5 * away @ away / step**2)

    ratio = there - here + log_proposal(x, y, slope_there) - log_proposal(y, x, slope)
    return y if rng.random() < min(1.0, math.exp(ratio)) else x


@pytest.mark.parametrize(
    ("name", "options"),
    [("banana", {"dim": 3}), ("student_t", {"dim": 3}), ("funnel", {"dim": 3, "parameterisation": "centred"})],
)
@pytest.mark.parametrize(
    "scale",
    [
        diagonal_scale(np.array([0.5, 1.0, 2.0])),
        dense_scale(np.eye(3) * 0.9 - np.eye(3, k=-1) * 0.3),
        low_rank_scale(np.array([0.5, 1.0, 2.0]), np.ones((1, 3)) / np.sqrt(3.0), np.array([3.0])),
    ],
    ids=["diagonal", "dense", "low rank"],
)
def test_hmc_with_one_step_is_mala_draw_by_draw(name: str, options: dict[str, Any], scale: Any) -> None:
    target = targets.load(name, **options)
    x, gradient, tally = np.ones(3), zeros(3), tallies(1)
    tally["log_density"], tally["log_step"] = target.kernel(aligned(x), gradient, target.data), math.log(STEP)
    chain, draws, stats = chain_at(x, gradient), zeros(200, 3), no_stats(200)
    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    kernel = pointer(target.log_density_and_gradient)
    leapfrog.advance(kernel, target.data, rng, chain, tally, scale, draws, stats, 1.0, 0.75, 1, 1, 0.0)
    for draw in draws:
        x = langevin(target, scale.matrix, x, same)
        assert np.allclose(draw, x, rtol=1e-6)
    moved = np.mean(np.any(draws[1:] != draws[:-1], axis=1))
    assert 0.1 < moved < 1.0, "both outcomes must occur"


def test_the_sampler_called_mala_is_that_one() -> None:
    target = targets.load("correlated_gaussian", dim=4)
    one = samplers.sample(target, "mala", num_samples=300, seed=2)
    other = samplers.sample(target, "hmc", max_leapfrogs=1, target_accept=0.574, num_samples=300, seed=2)
    assert np.array_equal(one.values, other.values)
    assert np.all(one.stats["n_steps"] == 1)


def test_a_thinned_chain_is_every_third_state_of_the_chain_with_statistics_of_all() -> None:
    target = targets.load("banana")
    x, gradient, kernel = np.ones(2), zeros(2), pointer(target.log_density_and_gradient)
    value = target.kernel(aligned(x), gradient, target.data)

    def chain(rows: int, thin: int) -> tuple[np.ndarray, np.ndarray, int]:
        tally = tallies(1)
        tally["log_density"], tally["log_step"] = value, math.log(STEP)
        draws, stats, scale = zeros(rows, 2), no_stats(rows), diagonal_scale(np.ones(2))
        inputs = target.data, np.random.default_rng(1), chain_at(x, gradient), tally, scale, draws, stats
        leapfrog.advance(kernel, *inputs, 1.0, 0.75, 4, thin, 0.0)
        return draws, stats, int(tally["evaluations"][0])

    every, of_every, spent = chain(300, 1)
    third, of_third, same = chain(100, 3)
    assert np.array_equal(third, every[2::3])
    assert np.array_equal(of_third["n_steps"], of_every["n_steps"].reshape(100, 3).sum(axis=1))
    assert np.allclose(of_third["acceptance_rate"], of_every["acceptance_rate"].reshape(100, 3).mean(axis=1))
    assert np.array_equal(of_third["lp"], of_every["lp"][2::3])
    assert spent == same
