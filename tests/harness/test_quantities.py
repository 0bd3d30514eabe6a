"""Errors and coverage of quantities, and the Pareto k of what a method believes."""

import dataclasses
import math

import numpy as np
import pytest

import targets
from harness import metrics
from harness.budget import Budget
from harness.cell import Cell, compute
from harness.metrics import quantities
from reports.records import open_folder
from samplers import Draws
from targets.quantity import Known, Quantity
from targets.target import Target
from variational.gaussian import Gaussian

FIRST = Quantity("first", "x[0]", lambda x: x[:, 0], interval=True)
SIGN = Quantity("sign", "P(x[1] > 0)", lambda x: (x[:, 1] > 0).astype(float), known=Known(0.5, 0.0, 0.5))


@pytest.fixture(scope="module")
def target() -> Target:
    """Two independent standard normals."""
    plain = targets.load("correlated_gaussian", dim=2, rho=0.0)
    return dataclasses.replace(plain, quantities=(FIRST, SIGN), registered=False)


def rows(target: Target, approximation: object, last: bool = True) -> dict[str, dict[str, object]]:
    of = quantities.asked(target)
    found = quantities.evaluate(approximation, target, of, 1, last)  # type: ignore[arg-type]
    return {str(row["quantity"]): row for row in found}


def test_independent_draws_have_the_error_that_their_number_implies(target: Target) -> None:
    found = rows(target, Draws(np.random.default_rng(1).standard_normal((4, 2_500, 2))))
    first = found["first"]
    assert first["scale"] == pytest.approx(1.0, rel=0.02)  # 100,000 draws: 0.002
    assert first["reference_floor"] == pytest.approx(1 / math.sqrt(100_000), rel=0.01)
    assert first["sampling_floor"] == pytest.approx(1.96 / 100, rel=1e-3)
    assert first["error"] < 0.05 and first["mcse"] == pytest.approx(0.01, rel=0.2)  # type: ignore[operator]
    assert first["interval_mass"] == pytest.approx(0.9, abs=0.03)
    assert first["low"] == pytest.approx(-1.645, abs=0.15)
    sign = found["sign"]
    assert sign["truth"] == 0.5 and sign["reference_floor"] == 0.0 and sign["mcse"] == pytest.approx(0.005, rel=0.2)
    assert all(math.isnan(sign[name]) for name in ("low", "high", "interval_mass"))  # type: ignore[arg-type]


def test_intervals_cover_as_often_as_they_say(target: Target) -> None:
    # of 400 sets of draws with autocorrelation 0.5, 380 +- 4.4: 0.91 to 0.99 is seven of them below and nine above;
    # a standard error that takes them for independent covers 74 %, and is refused
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((400, 4, 300, 2)) * math.sqrt(0.75)
    chains = np.empty_like(noise)
    chains[:, :, 0] = rng.standard_normal((400, 4, 2))
    for i in range(1, 300):
        chains[:, :, i] = 0.5 * chains[:, :, i - 1] + noise[:, :, i]
    of = quantities.asked(target)
    covered = [next(quantities.evaluate(Draws(each), target, of, 1, True))["covered"] for each in chains]
    assert 0.9 < np.mean(covered) < 0.99


def test_a_biased_fit_is_not_covered(target: Target) -> None:
    found = rows(target, Gaussian.from_moments(np.array([0.5, 0.0]), np.array([0.25, 1.0])))
    first = found["first"]
    assert first["error"] == pytest.approx(0.5, abs=0.05) and first["covered"] is False
    # the central 90 % of N(0.5, 0.5^2) holds Phi(1.322) - Phi(-0.322) of a standard normal
    assert first["interval_mass"] == pytest.approx(0.533, abs=0.03)
    assert found["sign"]["error"] < 0.1  # type: ignore[operator]


def test_only_the_last_checkpoint_has_a_standard_error(target: Target) -> None:
    found = rows(target, Draws(np.random.default_rng(1).standard_normal((4, 50, 2))), last=False)
    for row in found.values():
        assert math.isnan(row["mcse"]) and row["covered"] is None and row["meaning"] is None  # type: ignore[arg-type]


def test_draws_that_agree_have_no_standard_error(target: Target) -> None:
    row = rows(target, Draws(np.abs(np.random.default_rng(1).standard_normal((4, 50, 2)))))["sign"]
    assert row["error"] == 1.0 and math.isnan(row["mcse"]) and row["covered"] is None  # type: ignore[arg-type]


def test_an_answer_that_is_not_finite_is_infinitely_wrong(target: Target) -> None:
    row = rows(target, Draws(np.full((2, 8, 2), np.inf)))["first"]
    assert row["error"] == math.inf and row["covered"] is not True


def test_many_numbers_a_draw_are_taken_from_fewer_draws(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantities, "MOST_VALUES", 4_000)
    values = np.random.default_rng(3).standard_normal((4, 2_000, 2))
    first = rows(target, Draws(values))["first"]
    assert first["sampling_floor"] == pytest.approx(1.96 / math.sqrt(4_000), rel=1e-3)
    assert first["mcse"] == pytest.approx(1 / math.sqrt(4_000), rel=0.2)
    assert first["error"] < 0.1  # type: ignore[operator]


def test_a_target_without_truth_has_answers_without_errors(target: Target) -> None:
    bare = dataclasses.replace(target, truth=None, quantities=(FIRST,))
    row = rows(bare, Draws(np.random.default_rng(1).standard_normal((4, 50, 2))))["first"]
    assert math.isfinite(row["estimate"]) and row["covered"] is None  # type: ignore[arg-type]
    assert all(math.isnan(row[name]) for name in ("truth", "error", "interval_mass"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variance", "dim", "least", "most"), [(1.0, 2, -1.0, 0.2), (2.0, 2, -1.0, 0.3), (0.1, 20, 0.7, 9)]
)
def test_the_pareto_k_rings_where_a_fit_is_too_narrow(variance: float, dim: int, least: float, most: float) -> None:
    """In the limit 1 - variance, which a few thousand draws come close to in many dimensions."""
    target = targets.load("correlated_gaussian", dim=dim, rho=0.0)
    q = Gaussian.from_moments(np.zeros(dim), np.full(dim, variance))
    assert least <= metrics.k_hat(q, target, 1) < most


def test_draws_have_no_pareto_k(target: Target) -> None:
    assert math.isnan(metrics.k_hat(Draws(np.zeros((1, 8, 2))), target, 1))


def test_a_cell_keeps_its_answers_and_its_pareto_k(tmp_path: pytest.TempPathFactory) -> None:
    folder = open_folder(str(tmp_path), create=True)
    for method in ("laplace", "nuts"):
        folder.write(*compute(Cell("bioassay", method, 1, Budget(4_000, 60.0)), jobs=1))
    folder.consolidate()
    table, cells = folder.quantities(), folder.cells().set_index("method")
    asked = [quantity.name for quantity in targets.load("bioassay").quantities]
    for method, of in table.groupby("method"):
        last = of[of["checkpoint"] == of["checkpoint"].max()]
        assert list(last["quantity"]) == asked and last["meaning"].notna().all()
        assert len(of) == len(asked) * (folder.curves()["method"] == method).sum()
    assert cells.loc["laplace", "k_hat"] > 0 and math.isnan(cells.loc["nuts", "k_hat"])
    assert cells.loc["nuts", "draws"] > 0 and cells.loc["nuts", "ess_tail_min"] > 0
