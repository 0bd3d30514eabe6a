"""What a worker hands back."""

from harness import cell, work
from harness.budget import Budget


def test_a_value_that_no_record_holds_fails_its_cell_alone(monkeypatch) -> None:
    monkeypatch.setattr(cell, "compute", lambda *_: ({"cell_id": "a", "r_hat": "high"}, {}))
    task = work.Compute(cell.Cell("banana", "hmc", 1, Budget(100, 1.0)), 1, ())
    assert work.perform(task) == (None, "RecordsError: column 'r_hat' takes float, not 'high'")


def test_a_reason_is_one_line(monkeypatch) -> None:
    def fail(which: cell.Cell, jobs: int) -> None:
        raise ArithmeticError("the square root of a fish\nand more lines")

    monkeypatch.setattr(cell, "compute", fail)
    task = work.Compute(cell.Cell("banana", "hmc", 1, Budget(100, 1.0)), 1, ())
    assert work.perform(task) == (None, "ArithmeticError: the square root of a fish")
