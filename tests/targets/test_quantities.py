"""Quantities of interest: reductions against closed forms, and laws of every quantity that a target declares.

The laws take exact draws, and alarm at six standard errors: about once in 5e8 right quantities.
"""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

import targets
from targets import bioassay, eight_schools
from targets.quantity import Answer, Quantity
from targets.registry import TARGETS
from targets.target import Target

DRAWS = 100_000
SPECS: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name, entry in TARGETS.entries.items() if "posteriordb" not in entry.tags),  # they declare none
    ("eight_schools", {"parameterisation": "centred"}),
    ("logistic_regression", {"dataset": "synthetic", "n": 50, "dim": 3}),
    ("logistic_regression", {"dataset": "synthetic", "n": 50, "dim": 1}),
]
ASKED = [
    pytest.param(target, quantity, id=f"{target.label}: {quantity.name}")
    for name, options in SPECS
    for target in [targets.load(name, **options)]
    for quantity in target.quantities
]


def test_there_are_quantities_to_hold_to_the_laws() -> None:
    assert {param.values[0].name for param in ASKED} >= {"bioassay", "eight_schools", "logistic_regression"}


@pytest.mark.parametrize(("target", "quantity"), ASKED)
def test_a_quantity_is_a_number_for_every_draw(target: Target, quantity: Quantity) -> None:
    assert target.truth is not None and quantity.description
    draws = target.truth.draws(400, 3)
    assert draws is not None
    values = quantity.values(draws)
    assert values.dtype == np.float64 and len(values) == len(draws) and np.all(np.isfinite(values))
    assert values.ndim == (2 if quantity.reduction in ("log_predictive", "least") else 1)
    assert not quantity.interval or values.ndim == 1
    np.testing.assert_allclose(quantity.values(draws[:1])[0], values[0], rtol=1e-10)
    answer = quantity.answer(draws)
    assert math.isfinite(answer.value) and answer.influence.shape == (len(draws),)


def distance(target: Target, quantity: Quantity) -> float:
    """Standard errors between what is known and what exact draws say."""
    assert target.truth is not None and target.truth.sample is not None and quantity.known is not None
    value, influence = quantity.answer(target.truth.sample(np.random.default_rng(5), DRAWS))
    spread = influence.std() if math.isnan(quantity.known.scale) else quantity.known.scale
    return float(abs(value - quantity.known.value) / (spread / math.sqrt(DRAWS) + quantity.known.error))


@pytest.mark.parametrize(("target", "quantity"), [case for case in ASKED if case.values[1].known])
def test_a_known_answer_is_that_of_exact_draws(target: Target, quantity: Quantity) -> None:
    assert distance(target, quantity) < 6
    assert quantity.known is not None
    value = quantity.known.value
    scale = quantity.known.scale if quantity.known.scale > 0 else 0.06
    shifted = dataclasses.replace(quantity, known=quantity.known._replace(value=value + 0.04 * scale))
    assert distance(target, shifted) > 6, "a truth that is off by 0.04 of the scale is found"


def calibration(quantity: Quantity, draws: np.ndarray, blocks: int = 50) -> float:
    """The sd of answers of blocks of independent draws over what their influence says."""
    found = [quantity.answer(block) for block in np.array_split(draws, blocks)]
    said = np.mean([answer.influence.std() for answer in found]) / math.sqrt(len(draws) / blocks)
    return float(np.std([answer.value for answer in found], ddof=1) / said)


@pytest.mark.parametrize(
    ("target", "quantity"), [c for c in ASKED if c.values[0].truth.sample and c.values[1].name != "P(beta > 0)"]
)
def test_the_influence_tells_how_far_answers_spread(target: Target, quantity: Quantity) -> None:
    # the sd of 50 answers has a standard error of a tenth: five of them, once in 2e6; half the influence is seen
    assert target.truth is not None and target.truth.sample is not None
    draws = target.truth.sample(np.random.default_rng(9), DRAWS)
    assert 0.5 < calibration(quantity, draws) < 1.6
    assert quantity.answer(draws).influence.mean() == pytest.approx(
        0.0, abs=0.01 * quantity.answer(draws).influence.std()
    )


Z = np.random.default_rng(1).standard_normal(DRAWS)


@pytest.mark.parametrize(
    ("reduction", "values", "expected"),
    [
        ("mean", Z**2, 1.0),
        ("median", np.exp(0.5 + Z), math.exp(0.5)),
        # log E exp N(m, s^2) = m + s^2 / 2, for two rows
        ("log_predictive", np.stack([0.5 * Z - 3.0, -0.4 * Z - 900.0], axis=1), -903.0 + 0.125 + 0.08),
        ("least", np.stack([Z + 2.0, -Z + 1.0, Z**2 + 1.0], axis=1), 1.0),
        ("odds", np.exp(Z), math.exp(0.5) / (1 + math.exp(0.5))),
    ],
)
def test_reductions_have_their_closed_forms(reduction: str, values: np.ndarray, expected: float) -> None:
    quantity = Quantity("q", "a test", lambda x: values[: len(x)], reduction)  # type: ignore[arg-type]
    answer: Answer = quantity.reduce(values)
    error = answer.influence.std() / math.sqrt(DRAWS)
    assert abs(answer.value - expected) < 5 * error
    assert error < 0.02


def test_the_scale_of_a_gaussian_median_is_known() -> None:
    assert Quantity("m", "median", lambda x: x[:, 0], "median").reduce(Z).influence.std() == pytest.approx(
        math.sqrt(math.pi / 2), rel=0.03
    )


def test_two_quantities_of_one_name_are_refused() -> None:
    target = targets.load("banana")
    twice = Quantity("q", "a test", lambda x: x[:, 0])
    with pytest.raises(ValueError, match="the same name"):
        dataclasses.replace(target, quantities=(twice, twice))


def test_the_bioassay_is_that_of_the_book() -> None:
    """Its mode, (0.8, 7.7) there, and LD50 about -0.1 log g/ml."""
    target = targets.load("bioassay")
    grid = np.stack(np.meshgrid(np.linspace(0.6, 1.1, 51), np.linspace(7.0, 8.5, 151), indexing="ij"), -1).reshape(
        -1, 2
    )
    mode = grid[np.argmax(target.log_densities(grid))]
    np.testing.assert_allclose(mode, [0.85, 7.75], atol=0.02)
    assert target.quantities[0].known is not None
    assert target.quantities[0].known.value == pytest.approx(-0.11, abs=0.005)


def test_the_density_of_the_bioassay_is_a_product_of_binomials() -> None:
    target = targets.load("bioassay")
    x = np.random.default_rng(4).normal([1.0, 10.0], [1.0, 6.0], (50, 2))
    p = 1 / (1 + np.exp(-(x[:, :1] + x[:, 1:] * bioassay.LOG_DOSE)))
    expected = stats.binom.logpmf(bioassay.DEATHS, bioassay.ANIMALS, p).sum(axis=1)
    np.testing.assert_allclose(target.log_densities(x), expected, rtol=1e-10)
    np.testing.assert_allclose([target.density(point, target.data) for point in x], expected, rtol=1e-10)
    np.testing.assert_allclose(bioassay.log_posterior(x), expected, rtol=1e-10)


def test_the_better_action_is_found() -> None:
    target = targets.load("bioassay")
    loss = next(quantity for quantity in target.quantities if quantity.reduction == "least")
    safe, harmful = np.array([[-1.0, 8.0]]), np.array([[3.0, 1.0]])
    assert loss.answer(safe).value == pytest.approx(20 / (1 + math.exp(5.0)))
    assert loss.answer(harmful).value == 1.0


def test_the_evidence_of_pooled_schools_is_a_gaussian_density() -> None:
    covariance = np.diag(eight_schools.ERROR**2) + eight_schools.PRIOR
    expected = stats.multivariate_normal(np.zeros(8), covariance).logpdf(eight_schools.EFFECT)
    assert eight_schools.log_evidence_of_pooling() == pytest.approx(expected, abs=1e-9)


def test_the_predictive_density_sums_over_rows() -> None:
    target = targets.load("logistic_regression", dataset="synthetic", n=50, dim=3)
    rows = target.quantities[-1]
    x = np.random.default_rng(2).standard_normal((7, 3))
    signed = target.data[:, :3]
    p = 1 / (1 + np.exp(-(x @ signed.T)))
    np.testing.assert_allclose(rows.values(x), np.log(p), rtol=1e-10)
    assert rows.answer(x).value == pytest.approx(np.log(p.mean(axis=0)).sum())
