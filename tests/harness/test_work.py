"""What a worker hands back."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import cell, compiling, registry, work
from harness.budget import Budget
from harness.executor import Executor, Finished, Task


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


class Recorded:
    """In the place of the registry: notes what is made, and what is compiled with what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loaded: list[str] = []
        self.compiled: list[tuple[str, str]] = []
        monkeypatch.setattr(work, "registry", self)
        monkeypatch.setattr(work.metrics, "compile_for", lambda _: None)

    def target(self, name: str) -> str:
        self.loaded.append(name)
        return name

    def method(self, name: str) -> Any:
        return SimpleNamespace(
            unfit=lambda target: "no" if (target, name) == ("b", "y") else None,
            compile=lambda target: self.compiled.append((target, name)),
        )


def test_a_target_is_loaded_once_for_all_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Recorded(monkeypatch)
    pairs = tuple((target, method) for method in "xyz" for target in "ab")
    assert work.compile_pairs(pairs) == 5
    assert seen.loaded == ["a", "b"]
    assert seen.compiled == [pair for pair in pairs if pair != ("b", "y")]


def test_processes_that_share_claims_take_each_method_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = Recorded(monkeypatch)
    (tmp_path / "1").touch()  # the second method is another process's
    forward = tuple((target, method) for method in "xyz" for target in "ab")
    backward = tuple((target, method) for method in "xyz" for target in "ba")
    assert work.compile_pairs(forward, str(tmp_path)) == 4
    assert seen.compiled == [(target, method) for method in "xz" for target in "ab"]
    assert work.compile_pairs(backward, str(tmp_path)) == 0


def test_every_process_is_given_every_pair_and_begins_at_another_target() -> None:
    given: list[Any] = []

    class Serial(Executor):
        def run(self, tasks: list[Task]) -> Iterator[Finished]:
            for task in tasks:
                given.append(task.payload)
                yield Finished(task, 1)

    methods = ["nuts", "hmc", "slice"]
    assert compiling.everything(["a", "b", "c", "d"], methods, Serial(2)) == 2
    assert len({warmup.claims for warmup in given}) == 1
    for warmup in given:
        assert set(warmup.pairs) == set(itertools.product("abcd", methods))
        assert [name for name, _ in itertools.groupby(m for _, m in warmup.pairs)] == ["hmc", "nuts", "slice"]
    assert [warmup.pairs[0] for warmup in given] == [("a", "hmc"), ("c", "hmc")]


def test_the_order_names_methods_that_there_are() -> None:
    taken = compiling.order(registry.names())
    assert sorted(taken) == sorted(registry.names())
    assert tuple(taken[: len(compiling.FIRST)]) == compiling.FIRST
