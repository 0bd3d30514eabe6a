"""Gibbs over discrete sites: it leaves the exact posterior alone, counts what it spends, and converges."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from samplers.discrete_gibbs import Gibbs, gibbs
from targets.discrete import DiscreteModel, States
from targets.kernel import density
from targets.options import UsageError
from targets.plain import counting
from targets.protocols import Status
from targets.registry import discrete
from targets.target import Target

MODELS = {
    "net": discrete("sigmoid_belief_net", top=1, hidden=3, visible=4),
    "mixture": discrete("mixture_assignments", n=4),
}


@pytest.fixture(params=MODELS)
def model(request) -> DiscreteModel:  # type: ignore[no-untyped-def]
    return MODELS[request.param]


def after_a_sweep(model: DiscreteModel, starts: States) -> States:
    """One sweep from each of the states."""
    run = Gibbs(model, 5)
    ends = np.empty_like(starts)
    for n, (x, height) in enumerate(zip(model.encode(starts), model.log_joint(starts), strict=True)):
        run.x[:], run.height[0] = x, height
        ends[n] = run.sweep(1)[0]
    return ends


def p_value(model: DiscreteModel, states: States) -> float:
    """Chi-squared over all states."""
    masses = model.enumeration.masses
    counts = np.bincount(np.ravel_multi_index(tuple(states.T), masses.shape), minlength=masses.size)
    expected = len(states) * masses.ravel()
    often = expected >= 5
    seen, wanted = np.append(counts[often], counts[~often].sum()), np.append(expected[often], expected[~often].sum())
    kept = wanted > 0.1
    return float(stats.chi2.sf(np.sum((seen[kept] - wanted[kept]) ** 2 / wanted[kept]), kept.sum() - 1))


def test_a_sweep_leaves_the_posterior_as_it_is(model: DiscreteModel) -> None:
    """3,000 exact draws, one sweep each; false alarms 1e-6. A chain of another posterior is told apart."""
    starts = model.enumeration.sample(np.random.default_rng(1), 3_000)
    assert p_value(model, after_a_sweep(model, starts)) > 1e-6
    other = discrete(model.name, **{**model.options, "seed": 7})
    assert p_value(model, after_a_sweep(other, starts)) < 1e-6


def test_marginals_converge_and_conditionals_are_less_noisy_than_states(model: DiscreteModel) -> None:
    """20 chains of 2,000 sweeps: their mean within six standard errors of the exact marginals; false alarms 1e-7."""
    exact, runs = model.enumeration.marginals, [Gibbs(model, seed) for seed in range(20)]
    for run in runs:
        run.sweep(100)
        run.forget()
        run.sweep(2_000)
    smooth = np.array([run.marginals for run in runs])
    raw = np.array([np.eye(model.categories)[run.states].mean(axis=0) for run in runs])
    for found in (smooth, raw):
        error = found.std(axis=0, ddof=1) / np.sqrt(len(runs))
        assert np.all(np.abs(found.mean(axis=0) - exact) < 8 * error + 1e-6)
    assert smooth.var(axis=0).sum() < raw.var(axis=0).sum()
    assert np.allclose(smooth.sum(axis=2), 1.0)


def test_work_is_counted_exactly_and_no_cut_changes_the_chain(model: DiscreteModel) -> None:
    whole = Gibbs(model, 2)
    whole.advance(500)
    target, counter = counting(Target("counted", model.dim, model.kernel, model.data, log_density=model.density))
    cut = Gibbs(
        replace(model, kernel=target.log_density_and_gradient, density=target.log_density, data=target.data, name=""), 2
    )
    for _ in range(100):
        cut.advance(5)
    assert np.array_equal(cut.states, whole.states) and np.array_equal(cut.marginals, whole.marginals)
    assert cut.work == whole.work and counter.densities == cut.work.density_evaluations and counter.gradients == 0
    assert whole.work.density_evaluations == 1 + whole.cost * whole.work.sweeps
    assert whole.height[0] == model.log_joint(whole.states[-1:])[0]


@density
def holes(x, data):  # type: ignore[no-untyped-def]
    """Values 1 of the first site, and 2 of the second, have no density; the latter's is NaN."""
    if x[1] == 1.0:
        return -np.inf
    return np.nan if x[5] == 1.0 else 0.3 * x[2] + x[3]


def test_values_without_density_are_never_drawn() -> None:
    model = DiscreteModel(2, 3, MODELS["net"].kernel, holes, MODELS["net"].data, ("a", "b"))
    runs = [Gibbs(model, seed) for seed in range(30)]
    alive = [run for run in runs if run.status is Status.RUNNING]
    assert 0 < len(alive) < len(runs)
    for run in alive:
        states = run.sweep(200)
        assert not np.any(states[:, 0] == 1) and not np.any(states[:, 1] == 2)
        assert np.all(run.marginals[[0, 1], [1, 2]] == 0.0)
    dead = next(run for run in runs if run.status is Status.FAILED)
    dead.advance(100)
    assert dead.work.sweeps == 0 and "not finite" in dead.reason and np.all(np.isnan(dead.marginals))


def test_draws_of_several_chains() -> None:
    model = MODELS["net"]
    draws = gibbs(model, seed=3, num_samples=2_000, num_chains=3)
    assert draws.values.shape == (3, 2_000, model.sites) and draws.coordinates == model.coordinates
    assert draws.r_hat.max() < 1.05
    assert not np.array_equal(draws.values[0], draws.values[1])
    assert np.array_equal(draws.values, gibbs(model, seed=3, num_samples=2_000, num_chains=3).values)
    with pytest.raises(UsageError, match="num_samples"):
        gibbs(model, seed=3, num_samples=0)
