"""Models with discrete latents: their formulas once more in plain Python, and enumeration against brute force."""

import itertools
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from targets.discrete import DiscreteModel
from targets.options import UsageError
from targets.registry import DISCRETE, discrete

MODELS = [
    ("sigmoid_belief_net", {"top": 2, "hidden": 3, "visible": 4}),
    ("sigmoid_belief_net", {"top": 0, "hidden": 4, "visible": 3, "seed": 1}),
    ("mixture_assignments", {"n": 4}),
    ("mixture_assignments", {"n": 5, "components": 2, "alpha": 0.3, "prior_sd": 2.0, "separation": 0.0, "seed": 1}),
]


@pytest.fixture(params=MODELS, ids=lambda made: f"{made[0]}-{len(made[1])}")
def model(request) -> DiscreteModel:  # type: ignore[no-untyped-def]
    name, options = request.param
    made = discrete(name, **options)
    made.compile()
    return made


def belief_net(model: DiscreteModel, state: tuple[int, ...]) -> float:
    """The product of Bernoulli probabilities, unit by unit."""
    top, hidden = model.options["top"], model.options["hidden"]
    values = [*state, *model.data[1 + top + hidden :, 1]]
    total = 0.0
    for unit, row in enumerate(model.data[1:]):
        parents = [] if unit < top else range(top) if unit < top + hidden else range(top, top + hidden)
        level = row[0] + sum(row[2 + j] * values[parent] for j, parent in enumerate(parents))
        total += stats.bernoulli.logpmf(int(values[unit]), 1 / (1 + math.exp(-level)))
    return total


def mixture(model: DiscreteModel, state: tuple[int, ...]) -> float:
    """One datum after the other: a Polya urn for its component, and the predictive density there."""
    alpha, variance, categories = model.data[0, :3]
    total, counts = 0.0, np.zeros(int(categories))
    precision = np.full(int(categories), 1 / variance)
    mean = model.data[1, : int(categories)].copy()
    for k, y in zip(state, model.data[2], strict=False):
        total += math.log((counts[k] + alpha) / (counts.sum() + alpha * categories))
        total += stats.norm.logpdf(y, mean[k], math.sqrt(1 + 1 / precision[k]))
        mean[k] = (precision[k] * mean[k] + y) / (precision[k] + 1)
        precision[k] += 1
        counts[k] += 1
    return total


def brute_force(model: DiscreteModel) -> dict[tuple[int, ...], float]:
    formula = {"sigmoid_belief_net": belief_net, "mixture_assignments": mixture}[model.name]
    states = itertools.product(range(model.categories), repeat=model.sites)
    return {state: float(formula(model, state)) for state in states}


def test_every_model_is_among_these() -> None:
    assert {name for name, _ in MODELS} == set(DISCRETE.entries)


def test_enumeration_is_brute_force(model: DiscreteModel) -> None:
    expected = brute_force(model)
    enumeration = model.enumeration
    found = {state: enumeration.log_joint[state] for state in expected}
    assert found == pytest.approx(expected, abs=1e-10)
    total = sum(map(math.exp, expected.values()))
    assert enumeration.log_evidence == pytest.approx(math.log(total), abs=1e-10)
    marginals = np.zeros((model.sites, model.categories))
    for state, value in expected.items():
        marginals[range(model.sites), state] += math.exp(value) / total
    assert np.allclose(enumeration.marginals, marginals, atol=1e-12)
    product = {state: np.prod(marginals[range(model.sites), state]) for state in expected}
    divergence = sum(math.exp(v) / total * (v - math.log(total * product[s])) for s, v in expected.items())
    assert enumeration.total_correlation == pytest.approx(divergence, abs=1e-9)


def test_a_wrong_formula_would_be_seen(model: DiscreteModel) -> None:
    data = model.data.copy()
    data[1, 0] += 0.01  # a bias of a unit, or the centre of a component
    wrong = replace(model, data=data)
    expected = brute_force(model)
    assert max(abs(wrong.enumeration.log_joint[state] - value) for state, value in expected.items()) > 1e-4


def test_kernel_and_density_agree_and_the_gradient_is_right(model: DiscreteModel) -> None:
    """At corners and between them, by central differences; the kernel overwrites its gradient."""
    rng = np.random.default_rng(1)
    corner = model.encode(rng.integers(model.categories, size=(1, model.sites)))[0]
    for x in (corner, rng.dirichlet(np.ones(model.categories), model.sites).ravel()):
        gradient = rng.normal(size=model.dim)
        value = model.kernel(x, gradient, model.data)
        assert value == pytest.approx(model.density(x, model.data), abs=1e-12)
        for i in range(model.dim):
            step = np.zeros(model.dim)
            step[i] = 1e-6
            rise = model.density(x + step, model.data) - model.density(x - step, model.data)
            assert gradient[i] == pytest.approx(rise / 2e-6, abs=1e-6)


def test_log_joint_of_states_is_that_of_the_table(model: DiscreteModel) -> None:
    states = np.random.default_rng(2).integers(model.categories, size=(7, model.sites))
    assert np.array_equal(model.log_joint(states), model.enumeration.log_joint[tuple(states.T)])


def test_exact_draws_are_exact(model: DiscreteModel) -> None:
    """Chi-squared over all states that expect five draws or more, and the rest; false alarms 1e-6."""
    enumeration, n = model.enumeration, 20_000
    drawn = enumeration.sample(np.random.default_rng(3), n)
    counts = np.bincount(np.ravel_multi_index(tuple(drawn.T), enumeration.masses.shape), minlength=model.states)
    assert goodness(counts, enumeration.masses.ravel()) > 1e-6
    assert goodness(counts, np.roll(enumeration.masses.ravel(), 1)) < 1e-6


def goodness(counts: np.ndarray, masses: np.ndarray) -> float:
    expected = counts.sum() * masses
    often = expected >= 5
    seen, wanted = np.append(counts[often], counts[~often].sum()), np.append(expected[often], expected[~often].sum())
    kept = wanted > 0.1
    statistic = float(np.sum((seen[kept] - wanted[kept]) ** 2 / wanted[kept]))
    return float(stats.chi2.sf(statistic, kept.sum() - 1))


def test_models_are_pickled_by_name(model: DiscreteModel) -> None:
    again = pickle.loads(pickle.dumps(model))
    assert again.label == model.label and np.array_equal(again.data, model.data)
    assert again.label.startswith(model.name)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sigmoid_belief_net", {"hidden": 0}),
        ("sigmoid_belief_net", {"top": -1}),
        ("sigmoid_belief_net", {"weight_sd": 0.0}),
        ("mixture_assignments", {"components": 1}),
        ("mixture_assignments", {"n": 0}),
        ("mixture_assignments", {"alpha": math.nan}),
        ("mixture_assignments", {"separation": -1.0}),
        ("mixture_assignments", {"unknown": 1}),
        ("mixture_of_experts", {}),
    ],
)
def test_what_is_not_accepted_is_said_in_a_line(name: str, options: dict) -> None:
    with pytest.raises(UsageError, match=r"accepted|did you mean|known"):
        discrete(name, **options)


def test_too_many_states_are_not_enumerated() -> None:
    with pytest.raises(UsageError, match="states"):
        _ = discrete("sigmoid_belief_net", hidden=40).enumeration
