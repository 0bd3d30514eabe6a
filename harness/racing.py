"""A grid of cells computed into a folder, told on the terminal: what the commands share that race."""

import functools
import pathlib
from dataclasses import dataclass
from typing import Any

import click

from harness import grid, plugins, progress, provenance, registry, runner
from harness.budget import Budget
from harness.cell import Cell
from harness.executor import Executor
from harness.presets import Preset
from reports.records import Folder, open_folder


@dataclass(frozen=True)
class Racing:
    """The options of such a command: None for what the preset says."""

    executor: Executor
    seeds: int | None
    max_gradients: int | None
    max_seconds: float | None
    dry_run: bool

    def compute(self, folder: pathlib.Path, preset: Preset, targets: list[str], methods: list[str]) -> bool:
        """Compute the cells that the folder does not hold, or show them; returns whether there are records now.

        The preset stands in for targets and methods that are not named.

        Raises:
            UsageError: a SPEC or a number is not accepted.
            RecordsError: the folder cannot be used.
        """
        budget = Budget(
            preset.budget.max_gradients if self.max_gradients is None else self.max_gradients,
            preset.budget.max_seconds if self.max_seconds is None else self.max_seconds,
        )
        chosen = registry.select_targets(targets or list(preset.targets), say)
        racing = registry.select_methods(methods or list(preset.methods))
        cells = grid.cells(chosen, racing, preset.seeds if self.seeds is None else self.seeds, budget)
        runner.check_plugin_targets(chosen, self.executor)
        if self.dry_run:
            show(folder, cells)
            return False
        records = open_folder(folder, create=True)
        todo = runner.missing(cells, records)
        say(f"{len(cells)} cells, {len(cells) - len(todo)} of them already in {folder}")
        for line in records.damaged:
            say(line)
        _warn_of_other_sources(records)
        _compute(todo, records, self.executor)
        records.consolidate()
        return True


def say(message: str) -> None:
    """A line for people, apart from what a command prints."""
    click.echo(message, err=True)


def show(folder: pathlib.Path, cells: list[Cell]) -> None:
    """Print each cell and what would become of it."""
    there = folder.exists() and any(folder.iterdir())
    todo = runner.missing(cells, open_folder(folder)) if there else cells
    targets = {label: registry.target(label) for label in {cell.target for cell in cells}}
    methods = {label: registry.method(label) for label in {cell.method for cell in cells}}
    for cell in cells:
        method, target = methods[cell.method], targets[cell.target]
        why = plugins.guarded(f"{cell.method} on {cell.target}", functools.partial(method.unfit, target))
        state = "there" if cell not in todo else f"skip: {why}" if why else "compute"
        click.echo(f"{cell.cell_id}  {cell.target}  {cell.method}  seed {cell.seed}  {state}")
    say(f"{len(cells)} cells, {len(cells) - len(todo)} of them there")


def _compute(todo: list[Cell], records: Folder, executor: Executor) -> None:
    if not todo:
        return
    counts: dict[str, int] = {}
    with progress.told(len(todo)) as tell:

        def listener(cell: Cell, row: dict[str, Any]) -> None:
            counts[row["status"]] = counts.get(row["status"], 0) + 1
            tell(cell, row)

        runner.run(todo, records, executor, listener)
    say("computed: " + ", ".join(f"{count} {status}" for status, count in sorted(counts.items())))


def _warn_of_other_sources(records: Folder) -> None:
    """Say so when cells of this folder were computed by other sources than the present ones."""
    ids = records.cell_ids()
    read = records.read_cell(ids[0]) if ids else None
    versions = (read[0].get("versions") or {}) if read else {}
    if versions and versions.get("sources") != provenance.versions()["sources"]:
        say("warning: cells in this folder were computed by other sources; for a fresh comparison name a new folder")
