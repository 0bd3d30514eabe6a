"""How a race is told: a bar where somebody watches a terminal, a line a cell elsewhere."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from harness.cell import Cell
from harness.runner import Listener


@contextlib.contextmanager
def told(total: int) -> Iterator[Listener]:
    """A listener for `harness.runner.run` that tells of each cell as it ends."""
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        with _bar(total) as listener:
            yield listener
    else:
        yield _lines(total)


def describe(cell: Cell, row: dict[str, Any]) -> str:
    """One line about a finished cell."""
    seconds = sum(row.get(f"{part}_seconds") or 0.0 for part in ("setup", "warmup", "run"))
    line = f"{cell.target}  {cell.method}  seed {cell.seed}: {row['status']}, {seconds:.2f} s"
    return f"{line} ({row['reason']})" if row.get("reason") and row["status"] in {"failed", "skipped"} else line


def _lines(total: int) -> Listener:
    done = 0

    def listener(cell: Cell, row: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        print(f"[{done}/{total}] {describe(cell, row)}", file=sys.stderr, flush=True)  # noqa: T201  the command line's own voice

    return listener


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Listener]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    from rich.console import Console
    from rich.markup import escape

    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=total)
        begun = time.monotonic()

        def listener(cell: Cell, row: dict[str, Any]) -> None:
            progress.update(task, advance=1, description=escape(f"{cell.target} {cell.method}"))
            if row["status"] == "failed":
                progress.console.print(escape(describe(cell, row)), style="yellow", highlight=False)
            if progress.finished:
                progress.update(task, description=f"done in {time.monotonic() - begun:.0f} s")

        yield listener
