"""Stretch moves leave targets invariant; planted errors do not (see `drift` for rates and power)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import samplers
import targets
from samplers import stretches as module
from samplers.chain import no_stats, tallies
from samplers.draws import Draws
from samplers.ensemble import Stretch
from samplers.initial import Initial
from samplers.stretches import ensemble_at
from targets.kernel import density, empty, kernel
from targets.plain import counting

ALARM = 5.5
SEEN = 10.0  # what a planted error must reach


def mover(target: targets.Target, loop: Any = None) -> Any:
    run = loop or module.stretches
    sources = Stretch(None, 2.0, 1).sources(target)

    def move(chain: Any, tally: Any, rng: np.random.Generator, draws: np.ndarray, stats: np.ndarray) -> None:
        run(*sources, target.data, rng, chain, tally, draws, stats, 2, 2.0)

    return move


def test_it_leaves_the_target_invariant(exact: targets.Target, drift: Callable[..., float]) -> None:
    walkers = 2 * exact.dim + 4
    assert drift(exact, ensemble_at, mover(exact), members=walkers) < ALARM


PLANTED = {
    "the exponent dim": ("(dim - 1.0) * math.log(s)", "dim * math.log(s)"),
    "the exponent left out": ("(dim - 1.0) * math.log(s) +", "0.0 +"),
    "a uniform stretch": ("s = root * root / stretch", "s = 1.0 / stretch + (stretch - 1.0 / stretch) * (root - 1.0)"),
    "densities that are not carried along": ("log_densities[k] = there", "log_densities[k] += 0.0"),
    "a partner that follows from the state": (
        "j = other + min(int(half * rng.random()), half - 1)",
        "j = other + (0 if positions[k, 0] > positions[other, 0] else 1)",
    ),
}


@pytest.mark.parametrize("error", PLANTED)
def test_planted_errors_are_caught(
    error: str, telling: list[targets.Target], drift: Callable[..., float], planted: Callable[..., Any]
) -> None:
    broken = planted(module, "stretches", *PLANTED[error])
    assert any(drift(target, ensemble_at, mover(target, broken), members=8) > SEEN for target in telling)


@kernel
def standard_kernel(x, gradient, data):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = -x[i]
        total += x[i] * x[i]
    return -0.5 * total


@density
def mapped(x, data):  # type: ignore[no-untyped-def]
    """The standard normal of z = B (x - b): rows of B, then b."""
    total = 0.0
    dim = x.shape[0]
    for i in range(dim):
        z = 0.0
        for j in range(dim):
            z += data[i, j] * (x[j] - data[dim, j])
        total += z * z
    return -0.5 * total


def test_it_is_affine_invariant() -> None:
    """The same random numbers on a Gaussian mapped by x = A z + b give the chain mapped by it, to rounding."""
    dim, walkers = 4, 12
    rng = np.random.default_rng(3)
    A, b = np.diag([1.0, 1e3, 1e-2, 5.0]) @ rng.standard_normal((dim, dim)), rng.standard_normal(dim)
    chains = []
    z = rng.standard_normal((walkers, dim))
    for inverse, offset, starts in (
        (np.eye(dim), np.zeros(dim), z),
        (np.linalg.inv(A), b, z @ A.T + b),
    ):
        target = targets.Target(
            name="mapped",
            dim=dim,
            log_density_and_gradient=standard_kernel,
            log_density=mapped,
            data=targets.data_matrix(np.vstack([inverse, offset])),
        )
        draws, stats, tally = empty(40, walkers * dim), no_stats(40), tallies(1)
        chain = ensemble_at(starts, -0.5 * (z**2).sum(axis=1))
        mover(target)(chain, tally, np.random.default_rng(4), draws, stats)
        assert 0.3 < stats["acceptance_rate"].mean() < 0.9
        chains.append(draws.reshape(40, walkers, dim))
    assert np.allclose(chains[0] @ A.T + b, chains[1], rtol=1e-6, atol=1e-6 * np.abs(A).max(axis=1))


def test_every_walker_is_shown_as_a_chain_and_evaluations_are_counted_exactly() -> None:
    counted, counter = counting(targets.load("banana"))
    run = samplers.method("ensemble", num_walkers=10, num_warmup=20, num_chains=3).start(counted, 1)
    assert run.work.density_evaluations == counter.densities >= 30
    run.advance(10**6)
    run.advance(3000)
    assert run.work.density_evaluations == counter.densities
    assert counter.gradients == 0
    assert run.draws.shape == (30, run.done, 2)
    last = np.concatenate([chain.positions for chain in run.chains])
    assert np.array_equal(run.draws[:, -1], last)


def test_memory_does_not_grow_with_the_dimension() -> None:
    """32 bytes an evaluation at most: the usual thinning keeps one position in dim / 4."""
    run = samplers.method("ensemble", num_chains=1, num_warmup=20).start(
        targets.load("correlated_gaussian", dim=100), 1
    )
    run.advance(1)
    assert run.values.shape == (1, 20, 200 * 100)
    assert 8 * run.values[:, : run.done].size <= 33 * run.work.total


def test_too_few_walkers_are_refused_in_one_line() -> None:
    reason = samplers.method("ensemble", num_walkers=8).unfit(targets.load("correlated_gaussian", dim=8))
    assert reason is not None
    assert "8 walkers do not span 8 dimensions" in reason
    for options in ({"num_walkers": 7}, {"num_walkers": 2}, {"stretch": 1.0}, {"thin": 0}):
        with pytest.raises(targets.UsageError, match="is not accepted; it takes"):
            samplers.method("ensemble", **options)


def test_walkers_that_start_at_one_point_are_scattered() -> None:
    """As after a warm start from a mean; the evaluations are counted, and the answer is right."""
    target, counter = counting(targets.load("correlated_gaussian", dim=3, rho=0.5, mean=1.0))
    initial = Initial(positions=np.ones((64, 3)))
    run = samplers.method("ensemble").start(target, 1, initial)
    assert run.work.density_evaluations == counter.densities >= 128
    assert all(np.linalg.matrix_rank(chain.positions - 1.0) == 3 for chain in run.chains)
    draws = samplers.sample(target, "ensemble", initial=initial, seed=2)
    assert np.all(np.abs(draws.mean - 1.0) < 5 / np.sqrt(draws.ess_bulk))


def test_the_effective_sample_size_of_walkers_taken_as_chains_is_right() -> None:
    """Against the spread of the mean over 60 runs x 4 coordinates: a ratio's standard error is about 0.13."""
    target = targets.load("correlated_gaussian", dim=4, rho=0.5)
    assert target.truth is not None
    found = []
    for seed in range(60):
        draws = samplers.sample(target, "ensemble", num_samples=400, num_chains=1, num_warmup=200, seed=seed)
        found.append((draws.mean, Draws(draws.values).ess_bulk))
    means, claimed = np.array([f[0] for f in found]), np.array([f[1] for f in found])
    real = target.truth.moments.variance / np.mean(means**2, axis=0)
    assert 0.5 < claimed.mean() / real.mean() < 1.6
