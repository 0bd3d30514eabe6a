"""Commands that race, and that report on what was raced."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from harness.cli.shared import folder_argument, interruptible, load_plugins, race_options

if TYPE_CHECKING:
    from harness.racing import Racing
    from harness.studies import Inquiry


@click.command()
@folder_argument
@click.option("--preset", "preset_name", metavar="NAME", help="quick (default), standard or full.")
@click.option(
    "-t", "--target", "target_patterns", metavar="GLOB", multiple=True, help="SPEC, glob or tag:WORD; repeatable."
)
@click.option(
    "-m", "--method", "method_patterns", metavar="SPEC", multiple=True, help="SPEC, glob or tag:WORD; repeatable."
)
@race_options
def run(
    folder: pathlib.Path,
    preset_name: str | None,
    target_patterns: tuple[str, ...],
    method_patterns: tuple[str, ...],
    **asked: Any,
) -> None:
    """Race methods on targets, and keep the records in DIR. What is there already is not computed again."""
    with _racing(**asked) as race:
        from harness import presets

        race.compute(folder, presets.choose(preset_name), list(target_patterns), list(method_patterns))


@click.command()
@click.argument("name", metavar="NAME")
@folder_argument
@click.option("--corpus", metavar="PATH", help="Of the study topics: a file of bags of words, or a folder of texts.")
@race_options
def study(name: str, folder: pathlib.Path, corpus: str | None, **asked: Any) -> None:
    """Run the study NAME into DIR, as `run` does, and write its tables to NAME.md and NAME.json, and report.html.

    A study that is no race takes --seeds and --max-gradients alone, and writes pictures in place of the report; what
    `coverage` finds is a section of it.
    """
    from harness import studies
    from reports import study as pages

    chosen = studies.choose(name)
    if isinstance(chosen, studies.Inquiry):
        _inquire(chosen, name, folder, corpus, **asked)
        return
    if corpus is not None:
        raise click.UsageError(f"--corpus is not accepted by the study {name}; it is for the study topics")
    with _racing(**asked) as race:
        if not race.compute(folder, chosen.grid(), [], []):
            return
        measured = chosen.measure()
    import reports

    for path in [
        *pages.write(folder, name, chosen.summary, chosen.tables, measured, chosen.picture),
        reports.write(folder, folder / "report.html"),
    ]:
        click.echo(os.fsencode(path.resolve()))


def _inquire(
    chosen: "Inquiry",
    name: str,
    folder: pathlib.Path,
    corpus: str | None,
    seeds: int | None,
    max_gradients: int | None,
    max_seconds: float | None,
    jobs: int,
    plugin_files: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Answer a question that no race answers, of the options of a race those alone that it knows."""
    from reports import study as pages
    from reports.records import open_folder

    for option, given in (
        ("--max-seconds", max_seconds is not None),
        ("--jobs", jobs != 1),
        ("--plugin", bool(plugin_files)),
        ("--dry-run", dry_run),
    ):
        if given:
            raise click.UsageError(
                f"{option} is not accepted by the study {name}; it takes --seeds and --max-gradients"
            )
    if folder.exists():
        open_folder(folder, create=True)  # somebody else's is refused before the answer is computed, not after
    with interruptible():
        numbers = chosen.compute(seeds, max_gradients, corpus)
    for path in pages.inquiry(folder, name, chosen.summary, numbers):
        click.echo(os.fsencode(path.resolve()))


@click.command()
@folder_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=pathlib.Path), metavar="FILE.html", help="Default: DIR/report.html."
)
def report(folder: pathlib.Path, output: pathlib.Path | None) -> None:
    """Write one self-contained HTML file about the records in DIR, and what studies found there; it opens offline."""
    import reports

    if str(output) == "-":
        raise click.UsageError("-o - is not accepted; it takes the name of a file")
    path = output or folder / "report.html"
    reports.write(folder, path)
    click.echo(os.fsencode(path.resolve()))


@contextlib.contextmanager
def _racing(
    seeds: int | None,
    max_gradients: int | None,
    max_seconds: float | None,
    jobs: int,
    plugin_files: tuple[str, ...],
    dry_run: bool,
) -> "Iterator[Racing]":
    """What computes cells as asked, with its processes."""
    from harness.executor import Executor

    with interruptible(), Executor(jobs) as executor:  # the server loads while this process reads the arguments
        from harness.racing import Racing

        load_plugins(plugin_files)
        yield Racing(executor, seeds, max_gradients, max_seconds, dry_run)
