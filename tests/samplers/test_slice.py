"""Slice sampling leaves every exact target invariant; planted errors do not (`drift` states rates and power)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import samplers
import targets
from samplers import slices as module
from samplers.chain import no_stats, tallies
from samplers.initial import Initial
from samplers.scale import Scale, dense_scale, diagonal_scale, low_rank_scale
from samplers.slice import Slice
from samplers.slices import slicer
from targets.kernel import aligned, density, empty, kernel
from targets.plain import counting
from targets.protocols import Phase, Status
from tests.tiers import always

ALARM = 5.5
SEEN = 10.0  # what a planted error must reach


def scale_of(shape: str, target: targets.Target) -> Scale:
    assert target.truth is not None
    sd = np.sqrt(target.truth.moments.variance)
    dim = target.dim
    if shape == "dense":
        return dense_scale(sd[:, None] * (np.eye(dim) * 0.9 - np.eye(dim, k=-1) * 0.3))
    along = np.ones((1, dim)) / np.sqrt(dim)
    return diagonal_scale(sd) if shape == "diagonal" else low_rank_scale(sd, along, np.array([1.3]))


def mover(target: targets.Target, scale: Scale, loop: Any = None, in_order: bool = True, most: int = 4) -> Any:
    run = loop or module.slices
    sources = Slice(False, in_order, most).sources(target)

    def move(chain: Any, tally: Any, rng: np.random.Generator, draws: np.ndarray, stats: np.ndarray) -> None:
        run(*sources, target.data, rng, chain, tally, scale, draws, stats, in_order, most, False)

    return move


def begin(width: float) -> Any:
    def at(positions: np.ndarray, heights: np.ndarray) -> Any:
        chain = slicer(positions[0])
        chain.widths[:] = width
        return chain

    return at


@pytest.mark.parametrize(("shape", "in_order"), [("diagonal", True), ("dense", False), ("low rank", True)])
def test_it_leaves_the_target_invariant(
    exact: targets.Target, shape: str, in_order: bool, drift: Callable[..., float]
) -> None:
    """With brackets that are often cut off: widths of 0.7 sd, four at most."""
    assert drift(exact, begin(0.7), mover(exact, scale_of(shape, exact), in_order=in_order), 2000) < ALARM


def test_it_needs_no_density_of_its_own(drift: Callable[..., float]) -> None:
    target = dataclasses.replace(targets.load("banana", dim=2, scale=1.0, curvature=0.5), log_density=None)
    assert drift(target, begin(1.0), mover(target, scale_of("diagonal", target))) < ALARM


PLANTED = {
    "the level drawn wrong": ("here - rng.standard_exponential()", "here - rng.random()"),
    "shrinking that forgets a side": ("right = t\n", "left = left\n"),
    "a bracket that is not put at random": ("-width * rng.random()", "-0.1 * width"),
    "a share of steps that is not put at random": ("int(most * rng.random())", "most - 1"),
    "stepping out one step too far": ("left -= width\n", "left -= width * (1.0 + 2.0 * steps_left)\n"),
    "directions chosen by the state": ("j = k if in_order", "j = 0 if position[0] > 0.5 else k if in_order"),
    "a bracket about the mean": ("right = left + width", "right = left + width * (1.0 + abs(position[j]))"),
}


BRIEF = {"the level drawn wrong"}


@pytest.mark.parametrize("error", always(PLANTED, BRIEF))
def test_planted_errors_are_caught(
    error: str, telling: list[targets.Target], drift: Callable[..., float], planted: Callable[..., Any]
) -> None:
    broken = planted(module, "slices", *PLANTED[error])
    assert any(
        drift(target, begin(width), mover(target, scale_of("diagonal", target), broken), n=60_000) > SEEN
        for target in telling
        for width in (0.7, 3.0)
    )


def test_evaluations_are_counted_exactly() -> None:
    counted, counter = counting(targets.load("banana"))
    for options in ({"directions": "factor"}, {"directions": "coordinates", "order": "random", "max_widths": 3}):
        before = counter.densities
        run = samplers.method("slice", num_warmup=30, **options).start(counted, 1)
        while run.work.total < 3000:
            run.advance(500)
        assert run.work.density_evaluations == counter.densities - before
        assert run.stats["n_steps"][:, : run.done].sum() > 0
    assert counter.gradients == 0


def test_statistics_count_the_evaluations_of_every_row() -> None:
    target = targets.load("correlated_gaussian", dim=3, rho=0.5)
    draws, stats, tally = empty(50, 3), no_stats(50), tallies(1)
    tally["log_density"] = target.log_densities(np.zeros((1, 3)))[0]
    mover(target, diagonal_scale(np.ones(3)))(slicer(np.zeros(3)), tally, np.random.default_rng(1), draws, stats)
    assert stats["n_steps"].sum() == tally["evaluations"][0]
    assert np.allclose(stats["lp"], target.log_densities(draws), rtol=1e-12)


@kernel
def box_kernel(x, gradient, data):  # type: ignore[no-untyped-def]
    gradient[0] = 0.0
    return 0.0 if 0.0 < x[0] < 1.0 else -np.inf


@density
def box(x, data):  # type: ignore[no-untyped-def]
    return 0.0 if 0.0 < x[0] < 1.0 else np.nan if x[0] > 1.0 else -np.inf


def test_boundaries_are_kept() -> None:
    """The uniform on (0, 1), -inf to the left and nan to the right: mean within five standard errors."""
    base = targets.load("correlated_gaussian", dim=1)
    target = targets.Target(
        name="box", dim=1, log_density_and_gradient=box_kernel, log_density=box, data=base.data, initial=_half
    )
    draws = samplers.sample(target, "slice", num_samples=2000, seed=1)
    assert np.all((draws.values > 0.0) & (draws.values < 1.0))
    assert abs(draws.mean[0] - 0.5) < 5 * np.sqrt(1 / 12 / draws.ess_bulk[0])


def _half(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.2, 0.8, 1)


def test_widths_are_learned_and_then_frozen() -> None:
    """Of a Gaussian a mean move is sqrt(128 / 9 pi) / 2 = 1.06 sd, so a width is 2.66 sd; and nothing moves later.

    Moves vary by 0.8 of their mean; 4 x 1500 of the last window leave 1 % of noise, and 5 sd of it are allowed.
    """
    target = targets.load("funnel", dim=4)
    run = samplers.method("slice", directions="coordinates", num_warmup=10_000).start(target, 3)
    while run.status is Status.RUNNING and run.phase is Phase.WARMUP:
        run.advance(10**6)
    widths = [chain.widths.copy() * run.tuning.scale.diagonal for chain in run.chains]
    assert np.allclose(np.mean(widths, axis=0), 2.66, rtol=0.05)
    run.advance(50_000)
    assert all(np.array_equal(a, c.widths * run.tuning.scale.diagonal) for a, c in zip(widths, run.chains, strict=True))


def test_a_far_start_with_widths_of_a_thousandth_is_left() -> None:
    target = targets.load("correlated_gaussian", dim=2, rho=0.5)
    initial = Initial(positions=aligned(np.full((4, 2), 1e3)), metric=np.full(2, 1e-6))
    run = samplers.method("slice", num_warmup=200, directions="coordinates").start(target, 1, initial)
    while run.phase is Phase.WARMUP:
        run.advance(10**6)
    run.advance(100_000)
    assert np.max(np.abs(run.draws.mean(axis=(0, 1)))) < 0.3


def test_a_covariance_that_is_given_makes_slices_nearly_independent() -> None:
    target = targets.load("correlated_gaussian", dim=20, rho=0.95)
    assert target.truth is not None
    initial = Initial(metric=target.truth.moments.covariance)
    found = [
        samplers.sample(target, "slice", num_samples=500, seed=2, initial=start, directions="coordinates")
        for start in (initial, None)
    ]
    assert found[0].ess_bulk.min() > 20 * found[1].ess_bulk.min()


@pytest.mark.parametrize("options", [{"directions": "x"}, {"order": "x"}, {"max_widths": 0}])
def test_bad_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(targets.UsageError, match="is not accepted; it takes"):
        samplers.method("slice", **options)
