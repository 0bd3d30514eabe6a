"""The factorised family over discrete states: exact ELBOs, coordinate ascent, and stochastic ascent to its optimum."""

import itertools
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest

from targets.discrete import DiscreteModel
from targets.kernel import density, kernel
from targets.options import UsageError
from targets.plain import counting
from targets.protocols import Status
from targets.registry import discrete
from targets.target import Target
from variational.discrete import Cavi, Descent, Factorised, exact, fit, optima
from variational.registry import ESTIMATORS, estimator

SMALL = {
    "net": discrete("sigmoid_belief_net", top=2, hidden=3, visible=4),
    "mixture": discrete("mixture_assignments", n=4),
}


@pytest.fixture(params=SMALL)
def model(request) -> DiscreteModel:  # type: ignore[no-untyped-def]
    made = SMALL[request.param]
    made.compile()
    return made


def drawn(model: DiscreteModel, seed: int = 1) -> Factorised:
    return Factorised(np.random.default_rng(seed).normal(size=(model.sites, model.categories)))


def counted(model: DiscreteModel) -> tuple[DiscreteModel, object]:
    """The same model with its evaluations counted: its kernel has the signature of all kernels."""
    target, counter = counting(Target("counted", model.dim, model.kernel, model.data, log_density=model.density))
    return replace(
        model, kernel=target.log_density_and_gradient, density=target.log_density, data=target.data, name=""
    ), counter


def test_the_family_sums_to_one_and_its_draws_follow_it(model: DiscreteModel) -> None:
    """40,000 draws: each frequency within six standard errors, false alarms 1e-7."""
    q, n = drawn(model), 40_000
    states = np.array(list(itertools.product(range(model.categories), repeat=model.sites)))
    masses = np.exp(q.log_probability(states))
    assert masses.sum() == pytest.approx(1.0, abs=1e-12)
    assert q.entropy == pytest.approx(-masses @ np.log(masses), abs=1e-10)
    p = q.probabilities
    frequencies = np.eye(model.categories)[q.sample(np.random.default_rng(2), n)].mean(axis=0)
    assert np.all(np.abs(frequencies - p) < 6 * np.sqrt(p * (1 - p) / n))
    assert np.allclose(Factorised(q.logits + 700.0).probabilities, p)


def test_the_elbo_is_the_sum_over_states_and_its_gradient_that_of_differences(model: DiscreteModel) -> None:
    q = drawn(model)
    states = np.array(list(itertools.product(range(model.categories), repeat=model.sites)))
    log_q = q.log_probability(states)
    found = exact(model.enumeration, q)
    assert found.elbo == pytest.approx(np.exp(log_q) @ (model.log_joint(states) - log_q), abs=1e-10)
    assert found.elbo < model.enumeration.log_evidence
    assert np.allclose(found.gradient.sum(axis=1), 0.0, atol=1e-12)
    for site, value in itertools.product(range(model.sites), range(model.categories)):
        step = np.zeros(q.logits.shape)
        step[site, value] = 1e-5
        rise = [exact(model.enumeration, Factorised(q.logits + sign * step)).elbo for sign in (1, -1)]
        assert found.gradient[site, value] == pytest.approx((rise[0] - rise[1]) / 2e-5, abs=1e-8)


def test_cavi_never_lowers_the_elbo_and_ends_where_its_gradient_vanishes(model: DiscreteModel) -> None:
    for seed in range(5):
        run = Cavi(model, 3.0 * drawn(model, seed).logits)
        bounds = [run.diagnostics()["elbo"]]
        while run.status is Status.RUNNING:
            run.advance(1)
            bounds.append(run.diagnostics()["elbo"])
        assert run.status is Status.CONVERGED and np.all(np.diff(bounds) > -1e-12)
        assert bounds[-1] - bounds[0] > 0.01
        assert np.abs(exact(model.enumeration, run.approximation()).gradient).max() < 1e-7
        assert run.work.density_evaluations == model.states and run.work.sweeps == len(bounds) - 1
        whole = Cavi(model, 3.0 * drawn(model, seed).logits)
        whole.advance(10_000)
        assert np.array_equal(whole.log_p, run.log_p) and whole.work == run.work


def test_cavi_is_exact_where_the_sites_are_independent() -> None:
    """No weights: sites do not touch each other, and the ELBO is the log evidence."""
    model = SMALL["net"]
    data = model.data.copy()
    data[1:, 2:] = 0.0
    alone = replace(model, data=data)
    best = optima(alone, starts=3)
    assert len(best) == 1 and best[0].elbo == pytest.approx(alone.enumeration.log_evidence, abs=1e-10)
    assert np.allclose(best[0].q.probabilities, alone.enumeration.marginals)


def test_exchangeable_labels_have_as_many_optima_of_one_height() -> None:
    """All starts end at the same ELBO; q does not: marginals of some pair of optima differ."""
    model = discrete("mixture_assignments", n=5, separation=0.0, prior_sd=4.0)
    best = optima(model, starts=12)
    assert sum(optimum.starts for optimum in best) == 12
    ends = []
    for seed in range(6):
        run = Cavi(model, drawn(model, seed).logits)
        run.advance(10_000)
        ends.append(run.approximation().probabilities)
    assert max(np.abs(a - b).max() for a, b in itertools.combinations(ends, 2)) > 0.1


UNBIASED = [name for name, entry in ESTIMATORS.entries.items() if "unbiased" in entry.tags]


@pytest.mark.parametrize("name", [name for name in UNBIASED if name != "reinforce"])
def test_unbiased_estimators_lead_to_the_optimum(name: str, model: DiscreteModel) -> None:
    best = optima(model, starts=5)[0].elbo
    run = fit(model, name, seed=1, max_evaluations=40_000)
    assert run.status is Status.SPENT
    gap = best - exact(model.enumeration, run.approximation()).elbo
    assert -1e-9 < gap < 0.01
    assert run.diagnostics()["elbo"] == pytest.approx(best, abs=0.3)


def test_plain_reinforce_gets_there_and_straight_through_does_not() -> None:
    model = SMALL["net"]
    best = optima(model, starts=5)[0].elbo
    gaps = {
        name: best - exact(model.enumeration, fit(model, name, seed=1, max_evaluations=40_000).approximation()).elbo
        for name in ("reinforce", "straight_through")
    }
    assert -1e-9 < gaps["reinforce"] < 0.05
    assert gaps["straight_through"] > 0.01


def test_an_annealed_relaxation_ends_nearer_than_a_warm_one() -> None:
    model = SMALL["net"]
    best = optima(model, starts=5)[0].elbo
    ends = []
    for options in ({"temperature": 1.0}, {"temperature": 1.0, "halving": 1000}):
        run = fit(model, "gumbel_softmax", seed=1, max_evaluations=40_000, **options)
        ends.append(best - exact(model.enumeration, run.approximation()).elbo)
    assert ends[1] < 0.5 * ends[0]
    assert run.tuning[0] == pytest.approx(0.1)


@pytest.mark.parametrize("name", ESTIMATORS.entries)
def test_work_is_counted_exactly_and_no_cut_changes_the_result(name: str) -> None:
    model = SMALL["mixture"]
    chosen = estimator(name)
    whole = Descent(model, chosen, 3)
    whole.advance(600)
    other, counter = counted(model)
    cut = Descent(other, chosen, 3)
    for _ in range(24):
        cut.advance(25)
    assert cut.work == whole.work and np.array_equal(cut.logits, whole.logits)
    assert np.array_equal(cut.control, whole.control) and cut.diagnostics() == whole.diagnostics()
    assert (counter.densities, counter.gradients) == (cut.work.density_evaluations, cut.work.gradient_evaluations)
    assert 600 <= whole.work.total < 600 + whole.cost


@pytest.mark.parametrize("name", ["local_expectation", "relax"])
def test_a_pickled_run_goes_on_with_the_same_bits(name: str) -> None:
    run = Descent(SMALL["mixture"], estimator(name, samples=2), 4)
    run.advance(500)
    again = pickle.loads(pickle.dumps(run))
    run.advance(500)
    again.advance(500)
    assert np.array_equal(run.average, again.average) and run.work == again.work
    other = Descent(SMALL["mixture"], estimator(name, samples=2), 5)
    other.advance(1000)
    assert not np.array_equal(run.average, other.average)


@kernel
def broken(x, gradient, data):  # type: ignore[no-untyped-def]
    """A log joint that is not finite in half of the states."""
    for i in range(x.shape[0]):
        gradient[i] = 0.0
    return np.nan if x[1] > 0.5 else 0.0


@density
def broken_density(x, data):  # type: ignore[no-untyped-def]
    return np.nan if x[1] > 0.5 else 0.0


def test_a_log_joint_that_is_not_finite_ends_the_run_with_its_reason() -> None:
    model = DiscreteModel(3, 2, broken, broken_density, SMALL["net"].data, ("a", "b", "c"))
    for name in ("rloo", "gumbel_softmax", "relax"):
        run = fit(model, name, seed=1, max_evaluations=1_000)
        assert run.status is Status.FAILED and "not finite" in run.reason and run.work.total < 1_000
    ascent = Cavi(model, np.zeros((3, 2)))
    ascent.advance(5)
    assert ascent.status is Status.FAILED and "not finite" in ascent.reason


def test_what_is_not_accepted_is_said_in_a_line() -> None:
    model = SMALL["net"]
    for call in (
        lambda: estimator("rloo", samples=1),
        lambda: estimator("reinforce", samples=0),
        lambda: estimator("gumbel_softmax", temperature=0.0),
        lambda: estimator("gumbel_softmax", halving=-1),
        lambda: estimator("rebar", temperature=math.nan),
        lambda: estimator("relax", units=0),
        lambda: estimator("vimco"),
        lambda: fit(model, "rloo", seed=1, max_evaluations=0),
        lambda: Descent(model, estimator("rloo"), 1, rate=0.0),
        lambda: Cavi(model, np.zeros((2, 2))),
        lambda: optima(model, starts=0),
    ):
        with pytest.raises(UsageError):
            call()
