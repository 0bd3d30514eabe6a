"""Running a grid of cells into a folder of records, and the same from Python."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness import registry
from harness.budget import Budget
from harness.cell import Cell, compute, failure
from harness.executor import Executor, Task
from harness.plugins import digest, loaded
from harness.spec import Spec
from harness.work import Check, Compute, Warmup
from reports.records import Folder, open_folder
from targets.options import UsageError
from targets.protocols import Method
from targets.target import Target

if TYPE_CHECKING:
    import pandas as pd

WARMUP_SECONDS = 600.0
CHECK_SECONDS = 60.0

Listener = Callable[[Cell, dict[str, Any]], None]


@dataclass(frozen=True)
class Race:
    """The records of a race as data frames: a row a cell, a row a checkpoint, a row a quantity at a checkpoint."""

    cells: "pd.DataFrame"
    curves: "pd.DataFrame"
    quantities: "pd.DataFrame"


def missing(cells: Iterable[Cell], folder: Folder) -> list[Cell]:
    """The cells that the folder does not hold."""
    return [cell for cell in cells if not folder.has(cell.cell_id)]


def check_plugin_targets(targets: Iterable[Spec], executor: Executor) -> None:
    """Check the targets that come from plug-ins before any time is spent on them, in processes of their own.

    Raises:
        UsageError: one of them is wrong; the message says how.
    """
    specs = [str(spec) for spec in targets if digest(spec.name)]
    for finished in executor.run([Task(spec, Check(spec, tuple(loaded())), CHECK_SECONDS) for spec in specs]):
        if wrong := finished.reason or finished.result:
            raise UsageError(f"target {finished.task.key} is wrong: {wrong}")


def run(cells: list[Cell], folder: Folder, executor: Executor, listener: Listener) -> None:
    """Compute the cells in processes, each written to the folder as soon as it ends."""
    if executor.jobs > 1 and cells:
        pairs = tuple(dict.fromkeys((cell.target, cell.method) for cell in cells))
        for _ in executor.run([Task("warm-up", Warmup(pairs, tuple(loaded())), WARMUP_SECONDS)]):
            pass
    by_id = {cell.cell_id: cell for cell in cells}
    tasks = [
        Task(key, Compute(cell, executor.jobs, tuple(loaded())), cell.budget.max_seconds) for key, cell in by_id.items()
    ]
    for finished in executor.run(tasks):
        cell = by_id[finished.task.key]
        row, columns, answers = finished.result or (failure(cell, finished.reason, executor.jobs), {}, {})
        folder.write(row, columns, answers)
        listener(cell, row)


def race(
    targets: Iterable[Target | str],
    methods: Iterable[Method | str],
    *,
    seeds: int = 5,
    max_gradients: int = 100_000,
    max_seconds: float = 60.0,
    folder: str | None = None,
) -> Race:
    """Race methods on targets in this process, one cell after the other.

    Args:
        targets: targets, or SPECs and globs of registered ones.
        methods: methods, or SPECs and globs of registered ones.
        seeds: seeds 1 to `seeds` are run; equal seeds pair the methods.
        max_gradients: evaluations (gradients, densities and sweeps) that a cell may spend.
        max_seconds: seconds that a cell may spend, as a guard.
        folder: where to keep the records and to take finished cells from; by default nothing is kept. Cells of targets
            and methods that no SPEC names are computed anew, since nothing tells whether these have changed.

    Raises:
        UsageError: a SPEC or a number is not accepted.
        RecordsError: the folder cannot be used.
    """
    budget = Budget(max_gradients, max_seconds)
    methods = [methods] if isinstance(methods, str) else list(methods)
    objects = {id(method) for method in methods if not isinstance(method, str)}
    sides = [*_made(targets, _targets)], [*_made(methods, _methods)]
    with contextlib.ExitStack() as stack:
        where = folder or stack.enter_context(tempfile.TemporaryDirectory())
        records = open_folder(where, create=True)
        for seed in range(1, seeds + 1):
            for target in sides[0]:
                for method in sides[1]:
                    cell = Cell(target.label, registry.label(method), seed, budget)
                    named = target.registered and id(method) not in objects
                    if not (named and records.has(cell.cell_id)):
                        records.write(*compute(replace(cell, target_made=target, method_made=method), jobs=1))
        records.consolidate()
        return Race(records.cells(), records.curves(), records.quantities())


def _targets(pattern: str) -> Iterator[Target]:
    yield from (registry.target(spec) for spec in registry.select_targets([pattern]))


def _methods(pattern: str) -> Iterator[Method]:
    yield from (registry.method(spec) for spec in registry.select_methods([pattern]))


def _made(wanted: Iterable[Any], make: Callable[[str], Iterator[Any]]) -> Iterator[Any]:
    for item in [wanted] if isinstance(wanted, str) else wanted:
        if isinstance(item, str):
            yield from make(item)
        else:
            yield item
