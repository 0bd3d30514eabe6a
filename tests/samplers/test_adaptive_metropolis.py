"""Haario's rule and RAM: what they learn is what they should, and frozen they leave targets invariant."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import float64, void

import samplers
import targets
from samplers import adaptive_metropolis as module
from samplers.adaptive_metropolis import WEIGHT, learner
from samplers.adaptive_walk import AdaptiveWalk
from samplers.chain import no_stats, tallies
from samplers.initial import Initial
from samplers.random_walk import RandomWalk
from samplers.scale import Scale, dense_scale, diagonal_scale, low_rank_scale
from targets.kernel import MATRIX, VECTOR, aligned, empty, loop
from targets.protocols import Phase, Status
from tests.tiers import always

ALARM = 5.5
SEEN = 10.0  # what a planted error must reach
RULES = ["haario", "ram"]


def mover(target: targets.Target, rule: str, run: Any = None, adapting: bool = False) -> Any:
    found = run or getattr(module, rule)
    sources = AdaptiveWalk(rule == "ram", 1, RandomWalk(1)).sources(target)
    goal = 0.234 if adapting else 0.0

    def move(chain: Any, tally: Any, rng: np.random.Generator, draws: np.ndarray, stats: np.ndarray) -> None:
        found(*sources, target.data, rng, chain, tally, draws, stats, 2, adapting if rule == "haario" else goal)

    return move


def begin(target: targets.Target, rule: str) -> Any:
    assert target.truth is not None
    factor = np.linalg.cholesky(target.truth.moments.covariance)
    size = 2.38 / np.sqrt(target.dim) if rule == "ram" else np.sqrt(WEIGHT)

    def at(positions: np.ndarray, heights: np.ndarray) -> Any:
        return learner(positions[0], dense_scale(factor), size)

    return at


@pytest.mark.parametrize("rule", RULES)
def test_it_leaves_the_target_invariant_once_frozen(
    exact: targets.Target, rule: str, drift: Callable[..., float]
) -> None:
    assert drift(exact, begin(exact, rule), mover(exact, rule)) < ALARM


PLANTED = {
    "the sign of the ratio": ("metropolis(there - here)", "metropolis(here - there)"),
    "a density that is not carried along": ("here = there\n", "here = here\n"),
    "a reach that depends on the state": (
        "proposal[i] = position[i] + {}shift[i]",
        "proposal[i] = position[i] + {}shift[i] * (1.0 + abs(position[0]))",
    ),
    "adaptation that never stops": ("if {}:", "if True:"),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("error", always(PLANTED, {"adaptation that never stops"}))
def test_planted_errors_are_caught(
    error: str,
    rule: str,
    telling: list[targets.Target],
    drift: Callable[..., float],
    planted: Callable[..., Any],
) -> None:
    """Adaptation is caught by the chain's own memory, which must stay what it is to the last bit."""
    right, wrong = (
        text.format(
            {"if {}:": "adapting" if rule == "haario" else "target > 0.0"}.get(text, "reach * " * (rule == "haario"))
        )
        for text in PLANTED[error]
    )
    broken = planted(module, rule, right, wrong)
    target = targets.load("bimodal_mixture", separation=3.0)
    if error == "adaptation that never stops":
        assert changes_when_frozen(target, rule, broken)
        assert not changes_when_frozen(target, rule, None)
    else:
        assert any(drift(t, begin(t, rule), mover(t, rule, broken), n=30_000) > SEEN for t in telling)


def changes_when_frozen(target: targets.Target, rule: str, run: Any) -> bool:
    chain, tally = begin(target, rule)(np.zeros((1, target.dim)), None), tallies(1)
    before = chain.columns.copy(), chain.mean.copy(), chain.seen.copy()
    mover(target, rule, run)(chain, tally, np.random.default_rng(1), empty(20, target.dim), no_stats(20))
    return not all(np.array_equal(a, b) for a, b in zip(before, (chain.columns, chain.mean, chain.seen), strict=True))


@loop(void(MATRIX, VECTOR, float64))
def update(columns, v, sign):  # type: ignore[no-untyped-def]
    module.rank_one(columns, v, sign)


def test_the_rank_one_update_and_downdate_are_those_of_the_cholesky_factor() -> None:
    rng = np.random.default_rng(1)
    for dim in (1, 2, 7, 40):
        a, v = rng.standard_normal((dim, 2 * dim)), rng.standard_normal(dim)
        for sign, covariance in ((1.0, a @ a.T), (-1.0, a @ a.T + 1.5 * np.outer(v, v))):
            columns = aligned(np.linalg.cholesky(covariance).T)
            update(columns, aligned(v), sign)
            expected = np.linalg.cholesky(covariance + sign * np.outer(v, v))
            assert np.allclose(columns.T, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", ["diagonal", "dense", "low rank"])
def test_haario_s_factor_is_that_of_the_running_covariance(shape: str) -> None:
    """Of WEIGHT draws with the first covariance and all rows so far, to rounding."""
    target = targets.load("correlated_gaussian", dim=4, rho=0.6)
    scales: dict[str, Scale] = {
        "diagonal": diagonal_scale(np.array([1.0, 2.0, 0.5, 1.0])),
        "dense": dense_scale(np.eye(4) - 0.3 * np.eye(4, k=-1)),
        "low rank": low_rank_scale(np.ones(4), np.full((1, 4), 0.5), np.array([2.0])),
    }
    chain, tally, draws = learner(np.zeros(4), scales[shape], np.sqrt(WEIGHT)), tallies(1), empty(300, 4)
    tally["log_density"] = target.log_densities(np.zeros((1, 4)))
    mover(target, "haario", adapting=True)(chain, tally, np.random.default_rng(2), draws, no_stats(300))
    about = draws - draws.mean(axis=0)
    expected = np.linalg.cholesky(WEIGHT * scales[shape].covariance + about.T @ about)
    assert np.allclose(chain.columns.T, expected, rtol=1e-11, atol=1e-11)
    assert np.allclose(chain.mean, draws.mean(axis=0), rtol=1e-12)
    assert chain.seen[0] == 300


def warmed(adaptation: str, target: targets.Target, initial: Initial | None = None, **options: Any) -> Any:
    run = samplers.method("random_walk", adaptation=adaptation, **options).start(target, 3, initial)
    while run.status is Status.RUNNING and run.phase is Phase.WARMUP:
        run.advance(10**6)
    return run


@pytest.mark.parametrize(("dim", "acceptance"), [(1, 0.44), (3, 0.234), (10, 0.234)])
def test_ram_reaches_its_acceptance(dim: int, acceptance: float) -> None:
    run = warmed("ram", targets.load("correlated_gaussian", dim=dim))
    run.advance(200_000)
    assert run.diagnostics()["accept"] == pytest.approx(acceptance, abs=0.03)


def test_ram_and_haario_learn_the_shape_of_the_covariance() -> None:
    """Up to a factor RAM's is the target's: in its units the axes differ little. Haario's is the covariance."""
    target = targets.load("correlated_gaussian", dim=3, rho=0.9)
    assert target.truth is not None
    root = np.linalg.inv(np.linalg.cholesky(target.truth.moments.covariance))
    for rule in RULES:
        for chain in warmed(rule, target, num_warmup=20_000).chains:
            sizes = np.linalg.svd(root @ chain.columns.T, compute_uv=False)
            if rule == "haario":
                sizes /= np.sqrt(WEIGHT + chain.seen[0])
                assert sizes[-1] > 0.9
                assert sizes[0] < 1.1
            assert sizes[0] / sizes[-1] < 1.6


@pytest.mark.parametrize("rule", RULES)
def test_what_was_learned_is_frozen_after_warm_up(rule: str) -> None:
    run = warmed(rule, targets.load("correlated_gaussian", dim=5, rho=0.6), num_warmup=100)
    before = [[part.copy() for part in (chain.columns, chain.mean, chain.seen)] for chain in run.chains]
    run.advance(20_000)
    after = [(chain.columns, chain.mean, chain.seen) for chain in run.chains]
    assert all(np.array_equal(a, b) for x, y in zip(before, after, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("rule", [*RULES, "dense_windows"])
def test_a_covariance_that_is_given_is_kept_or_is_the_first(rule: str) -> None:
    """Kept, all adaptations are the same walk, draw for draw; else the chains begin with it."""
    target = targets.load("correlated_gaussian", dim=4, rho=0.9)
    assert target.truth is not None
    metric = target.truth.moments.covariance
    kept = [warmed(name, target, Initial(metric=metric)) for name in ("windows", rule)]
    for run in kept:
        run.advance(10_000)
    assert np.array_equal(kept[0].draws, kept[1].draws)
    if rule in RULES:
        run = samplers.method("random_walk", adaptation=rule).start(target, 1, Initial(metric=metric, keep=False))
        size = 2.38 / 2.0 if rule == "ram" else np.sqrt(WEIGHT)
        assert np.allclose(run.chains[0].columns.T, size * np.linalg.cholesky(metric))


def test_a_density_that_is_rarely_defined_never_enters_the_state() -> None:
    run = warmed("ram", targets.load("funnel", dim=3, parameterisation="centred"), num_warmup=300)
    assert all(np.all(np.isfinite(chain.columns)) for chain in run.chains)


def test_another_adaptation_is_refused() -> None:
    with pytest.raises(targets.UsageError, match="it takes windows, dense_windows, haario, ram"):
        samplers.method("random_walk", adaptation="am")
