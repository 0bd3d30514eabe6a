"""The race of one cell: checkpoints, phases, budgets, and every way to end."""

import itertools
import json
import math
import time

import numpy as np
import pytest

import targets
from harness.budget import Budget
from harness.cell import FIRST_CHECKPOINT, Cell, compute, goals, race, stream
from harness.clock import Clock
from reports.records import encoded
from targets.options import UsageError
from targets.protocols import Phase, Status

LONG = Budget(3_000, 60.0)


@pytest.fixture(scope="module")
def target():
    return targets.load("correlated_gaussian", dim=2)


def test_checkpoints_grow_geometrically() -> None:
    first = list(itertools.islice(goals(), 21))
    assert first[0] == FIRST_CHECKPOINT
    assert first[20] == FIRST_CHECKPOINT * 2**10
    assert all(a < b for a, b in itertools.pairwise(first))


def test_phases_have_their_own_checkpoints_and_their_own_costs(exact, target) -> None:
    outcome = race(target, exact(), 1, LONG)
    assert outcome.status is Status.SPENT
    work = {phase: [p.work.total for p in outcome.checkpoints if p.phase is phase] for phase in Phase}
    assert work[Phase.WARMUP][-1] == 100, "warm-up ends at a checkpoint of its own"
    since = [total - 100 for total in work[Phase.RUN]]
    assert since[:5] == list(itertools.islice(goals(), 5)), "after warm-up the checkpoints grow anew"
    assert since[-1] == 2_900, "the end of the budget is a checkpoint"
    assert outcome.ledger.evaluations[Phase.WARMUP].total == 100
    assert outcome.ledger.evaluations[Phase.RUN].total == 2_900
    seconds = [point.seconds for point in outcome.checkpoints]
    assert seconds == sorted(seconds) and seconds[-1] == pytest.approx(outcome.ledger.total_seconds)


def test_converging_ends_the_run_with_a_checkpoint(exact, target) -> None:
    outcome = race(target, exact(converge_at=777), 1, LONG)
    assert (outcome.status, outcome.reason) == (Status.CONVERGED, "as it was told")
    assert outcome.checkpoints[-1].work.total == 777


def test_what_a_method_raises_is_a_reason_and_keeps_what_was_there(exact, target) -> None:
    outcome = race(target, exact(raise_at=500), 1, LONG)
    assert outcome.status is Status.FAILED
    assert outcome.reason == "ArithmeticError: the square root of a fish"
    assert len(outcome.checkpoints) > 3
    assert outcome.work.total == 501


def test_a_run_that_does_nothing_is_found_out(exact, target) -> None:
    outcome = race(target, exact(stuck=True), 1, LONG)
    assert outcome.status is Status.FAILED
    assert "evaluated nothing" in outcome.reason


def test_a_pair_that_does_not_fit_is_skipped_with_the_reason(exact, target) -> None:
    outcome = race(target, exact(refuse="it takes two"), 1, LONG)
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "it takes two")


def test_the_cap_ends_a_slow_run(exact, target, monkeypatch) -> None:
    method = exact()
    begin = type(method.start(target, 1))
    slow = begin.advance

    def advance(self, work):
        time.sleep(0.02)
        slow(self, work)

    monkeypatch.setattr(begin, "advance", advance)
    outcome = race(target, method, 1, Budget(10**9, 0.1))
    assert outcome.status is Status.CAPPED
    assert outcome.checkpoints


def test_errors_do_not_depend_on_the_speed_of_the_machine(exact, target, monkeypatch) -> None:
    """Slices follow the clock; what is kept at the checkpoints must not."""

    def totals() -> list[int]:
        return [p.work.total for p in race(target, exact(), 1, LONG).checkpoints]

    usual = totals()
    monkeypatch.setattr("harness.cell.SLICE_SECONDS", 1e-7)
    assert totals() == usual


def test_records_hold_every_cost_and_error(exact, target) -> None:
    cell = Cell(target.label, "exact", 3, LONG, target_made=target, method_made=exact())
    row, columns, _ = compute(cell, jobs=1)
    assert row["gradient_evaluations"] == 3_000 and row["density_evaluations"] == 0
    assert row["warmup_evaluations"] == 100 and row["run_evaluations"] == 2_900
    assert row["status"] == "budget spent" and row["seed"] == 3 and row["dim"] == 2
    lengths = {len(values) for values in columns.values()}
    assert len(lengths) == 1
    error = np.array(columns["mean_error"])
    assert error[-1] < 4 * math.sqrt(1 / 2_900)
    assert row["summary"]["coordinates"] == ["x[0]", "x[1]"]


def test_all_that_a_run_says_of_itself_is_kept(exact, target, monkeypatch) -> None:
    """What has a column goes there too; what has none is in `diagnostics` alone."""
    said = {"divergences": 2.0, "round_trips": 7.0, "ess_square_min": np.float64(12.5), "swaps": math.nan}
    monkeypatch.setattr(type(exact().start(target, 1)), "diagnostics", lambda _: said)
    row, columns, _ = compute(Cell(target.label, "exact", 3, LONG, target_made=target, method_made=exact()), jobs=1)
    assert (row["divergences"], row["round_trips"], row["ess_square_min"]) == (2, 7.0, 12.5)
    assert row["diagnostics"] == said and "swaps" not in row
    kept = json.loads(encoded(row, columns))["cell"]
    assert kept["diagnostics"] == {"divergences": 2.0, "round_trips": 7.0, "ess_square_min": 12.5, "swaps": None}


def test_a_sampler_tells_its_energies_its_trees_and_its_squares(target) -> None:
    row, *_ = compute(Cell(target.label, "nuts", 1, Budget(10_000, 60.0)), jobs=1)
    for name in ("ess_min", "ess_square_min", "ess_tail_min", "draws", "e_bfmi", "tree_depth"):
        assert row[name] == row["diagnostics"][name] > 0.1


def test_cells_are_named_by_what_they_depend_on() -> None:
    cell = Cell("banana", "hmc", 1, LONG)
    others = [
        Cell("funnel", "hmc", 1, LONG),
        Cell("banana", "hmc[num_chains=2]", 1, LONG),
        Cell("banana", "hmc", 2, LONG),
        Cell("banana", "hmc", 1, Budget(3_001, 60.0)),
    ]
    assert cell.cell_id == Cell("banana", "hmc", 1, Budget(3_000, 60.0)).cell_id
    assert len({cell.cell_id, *(other.cell_id for other in others)}) == 5


@pytest.mark.parametrize(("gradients", "seconds"), [(0, 1.0), (-1, 1.0), (1, 0.0)])
def test_an_empty_budget_is_refused(gradients: int, seconds: float) -> None:
    with pytest.raises(UsageError, match="is not accepted"):
        Budget(gradients, seconds)


def test_the_clock_counts_its_own_stretches_only() -> None:
    clock = Clock()
    with clock.running():
        time.sleep(0.01)
    time.sleep(0.05)
    with pytest.raises(KeyError), clock.running():
        raise KeyError
    assert 0.01 <= clock.seconds < 0.05


def test_seeds_pair_methods_and_part_targets() -> None:
    given = {stream(target, seed) for target in ("banana", "funnel", "funnel[dim=2]") for seed in range(1, 101)}
    assert len(given) == 300
    assert all(0 <= each < 2**63 for each in given)
    assert stream("banana", 1) == stream("banana", 1)
