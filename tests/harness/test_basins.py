"""Chains in known modes: where they start, who may be put there, and what R-hat sees."""

import numpy as np
import pytest

import targets
from harness import registry
from harness.basins import placed
from targets.protocols import Status


@pytest.fixture(scope="module")
def apart():
    return targets.load("bimodal_mixture", dim=2, separation=12.0, weight=0.3)


def starts(method, target, seed: int = 1):
    """Where the first draws of the chains lie, by mode."""
    method.compile(target)
    run = method.start(target, seed)
    while run.status is Status.RUNNING and run.work.total < 20_000:
        run.advance(20_000)
    draws = run.approximation().values
    return [int(np.bincount(target.truth.modes.assign(chain), minlength=2).argmax()) for chain in draws], run


@pytest.mark.parametrize("sampler", ["hmc", "nuts"])
def test_one_basin_is_the_heaviest_and_all_basins_are_taken_in_turn(apart, sampler: str) -> None:
    one, blind = starts(registry.method(f"{sampler}[start=one_basin]"), apart)
    every, seeing = starts(registry.method(f"{sampler}[start=all_basins]"), apart)
    assert one == [1, 1, 1, 1] and every == [1, 0, 1, 0]
    assert blind.diagnostics()["r_hat"] < 1.1 < 1.5 < seeing.diagnostics()["r_hat"]


def test_points_are_draws_of_their_mode_and_differ(apart) -> None:
    points = placed(apart, np.arange(3_000), 1)
    mode = apart.truth.modes.assign(points)
    assert np.array_equal(mode, 1 - np.arange(3_000) % 2) and len(np.unique(points, axis=0)) == 3_000
    for k, centre in ((0, -6.0), (1, 6.0)):
        # 1,500 draws: five standard errors are 0.13
        assert np.all(np.abs(points[mode == k].mean(axis=0) - [centre, 0.0]) < 0.13)
    assert np.array_equal(points, placed(apart, np.arange(3_000), 1))
    assert not np.array_equal(points, placed(apart, np.arange(3_000), 2))


def test_it_uses_the_answer_and_says_so() -> None:
    method = registry.method("nuts[start=all_basins,num_chains=2]")
    assert {"oracle", "mcmc"} <= method.tags
    assert registry.label(method) == "nuts[start=all_basins,num_chains=2]"
    assert registry.label(registry.method(registry.label(method))) == registry.label(method)


@pytest.mark.parametrize("name", ["banana", "correlated_gaussian"])
def test_targets_without_modes_are_refused(name: str) -> None:
    assert registry.method("hmc[start=one_basin]").unfit(targets.load(name)) is not None
