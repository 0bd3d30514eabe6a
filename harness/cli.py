"""The command line. Every command defers its imports, so that `--help` and `list` are quick."""

import contextlib
import errno
import json
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from harness.racing import Racing
    from harness.studies import Inquiry

USAGE = 2  # exit code for what the user has to change
WRONG = 1  # exit code of `check` for what is wrong
INTERRUPTED = 130

folder_argument = click.argument("folder", metavar="DIR", type=click.Path(path_type=pathlib.Path))
plugin_option = click.option(
    "--plugin", "plugin_files", metavar="FILE", multiple=True, help="Load targets and methods from FILE."
)


def race_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that all commands have which compute cells."""
    for option in reversed(
        (
            click.option("--seeds", type=int, metavar="N", help="Run seeds 1 to N."),
            click.option("--max-gradients", type=int, metavar="N", help="Evaluations that a cell may spend."),
            click.option("--max-seconds", type=float, metavar="S", help="Seconds that a cell may spend, as a guard."),
            click.option(
                "--jobs",
                type=click.IntRange(1, 128),
                default=1,
                metavar="N",
                help="Cells at once; seconds are then marked so.",
            ),
            plugin_option,
            click.option("--dry-run", is_flag=True, help="Show what would be computed."),
        )
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="crossover", prog_name="crossover")
@click.option(
    "--posteriordb",
    type=click.Path(path_type=pathlib.Path),
    metavar="DIR",
    help="A clone of stan-dev/posteriordb; by default the environment variable CROSSOVER_POSTERIORDB names it.",
)
def cli(posteriordb: pathlib.Path | None) -> None:
    """Race variational inference against Markov chain Monte Carlo on the same densities."""
    if posteriordb is not None:
        from targets.posteriordb.folder import ENVIRONMENT

        os.environ[ENVIRONMENT] = str(posteriordb.absolute())  # inherited by the processes of cells


@cli.command("list")
@click.argument("what", type=click.Choice(["targets", "methods", "metrics", "presets", "studies"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_option
def list_(what: str | None, as_json: bool, plugin_files: tuple[str, ...]) -> None:
    """List targets, methods, metrics, presets and studies."""
    from harness import listing

    _load_plugins(plugin_files)
    sections = listing.sections([what] if what else listing.SECTIONS)
    click.echo(json.dumps(sections, indent=2) if as_json else listing.text(sections))


@cli.command()
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


@cli.command()
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
    open_folder(folder, create=True)  # refused before it is computed, not after
    with _interruptible():
        numbers = chosen.compute(seeds, max_gradients, corpus)
    for path in pages.inquiry(folder, name, chosen.summary, numbers):
        click.echo(os.fsencode(path.resolve()))


@cli.command()
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


@cli.command()
@folder_argument
@click.option(
    "--only",
    metavar="N,N",
    help="The figures to make, such as 1,4: numbers, or gradients, amortisation or vae, which are no part of all.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def figures(folder: pathlib.Path, only: str | None, seed: int) -> None:
    """Reproduce the figures of the chapter in DIR, each as SVG, PNG, and JSON with the numbers drawn."""
    from harness import figures as numbers
    from reports import figures as drawing

    for figure in _chosen_figures(only, numbers.NUMBERS, tuple(numbers.NAMED)):
        for path in drawing.draw(figure, numbers.compute(figure, seed), folder):
            click.echo(str(path))


@cli.command()
@folder_argument
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--fast", is_flag=True, help="Repeat as little as the verdicts allow.")
def claims(folder: pathlib.Path, seed: int, fast: bool) -> None:
    """Run the chapter's claims, and write each with its number and its verdict to DIR/claims.html, .md and .json."""
    from dataclasses import asdict

    from harness import claims as checks
    from reports import claims as pages

    lines: Any = []
    for claim, found in checks.run(checks.Effort(seed, fast)):
        _say(f"{found.verdict:<14} {claim.place}: {claim.says}")
        told = {"name": claim.name, "place": claim.place, "says": claim.says}
        lines.append({**told, **asdict(found), "verdict": str(found.verdict)})
    command = f"crossover claims DIR --seed {seed}" + (" --fast" if fast else "")
    for path in pages.write(lines, folder, command):
        click.echo(os.fsencode(path.resolve()))


@cli.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is random.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=pathlib.Path),
    metavar="FILE.html",
    help="Also write a page, with pictures.",
)
@plugin_option
def check(name: str, seed: int, output: pathlib.Path | None, plugin_files: tuple[str, ...]) -> None:
    """Say whether a target or a method is right, with reasons; exit code 1 if it is not."""
    from harness import check as checks

    if str(output) == "-":
        raise click.UsageError("-o - is not accepted; it takes the name of a file")
    _load_plugins(plugin_files)
    subjects = {}
    for subject, findings in checks.check(name, seed):
        click.echo(subject)
        subjects[subject] = findings
        for finding in findings:
            click.echo(f"  {'ok   ' if finding.ok else 'WRONG'} {finding.what}: {finding.detail}")
    right = all(finding.ok for findings in subjects.values() for finding in findings)
    click.echo("right" if right else "wrong")
    if output is not None:
        from reports import verdict

        lines: Any = {subject: list(map(vars, findings)) for subject, findings in subjects.items()}
        click.echo(os.fsencode(verdict.write(lines, output, f"crossover check {name} --seed {seed}").resolve()))
    if not right:
        raise SystemExit(WRONG)


@cli.command()
@click.argument("target", metavar="TARGET")
@click.option("-m", "--method", "methods", metavar="SPEC", multiple=True, help="SPEC, glob or tag:WORD; default nuts.")
@click.option("--repetitions", type=int, default=200, show_default=True, metavar="N", help="Data sets to simulate.")
@click.option("--max-gradients", type=int, default=100_000, show_default=True, metavar="N", help="Evaluations a fit.")
@click.option("--max-seconds", type=float, default=60.0, show_default=True, metavar="S", help="Of a fit, as a guard.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is random.")
@click.option("--level", type=float, default=0.01, show_default=True, help="At which a right method is called wrong.")
@click.option("--jobs", type=click.IntRange(1, 128), default=1, metavar="N", help="Processes at once.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=pathlib.Path),
    default="calibration",
    show_default=True,
    metavar="DIR",
    help="A new folder, or one with results: their report then has the alarm.",
)
@plugin_option
def calibrate(
    target: str,
    methods: tuple[str, ...],
    repetitions: int,
    max_gradients: int,
    max_seconds: float,
    seed: int,
    level: float,
    jobs: int,
    output: pathlib.Path,
    plugin_files: tuple[str, ...],
) -> None:
    """Simulation-based calibration of methods on TARGET; exit code 1 if one is not calibrated.

    Draws from the prior, simulates data, and ranks the draw in the posterior that a method finds, many times over.
    """
    from harness.executor import Executor

    with _interruptible(), Executor(jobs) as executor:
        from harness.budget import Budget
        from harness.calibration import command, verdict
        from reports import calibration, records

        _load_plugins(plugin_files)
        verdict.require_level(level)
        plan = command.plan(target, methods, repetitions, seed, Budget(max_gradients, max_seconds))
        folder = records.open_folder(output, create=True)
        command.run(plan, folder, executor)
        found = command.of_plan(plan, verdict.consolidate(folder, level))
    for line in calibration.lines(found):
        click.echo(line)
    for path in calibration.write(output):
        click.echo(os.fsencode(path.resolve()))
    if not all(each["calibrated"] for each in found):
        raise SystemExit(WRONG)


@cli.command()
@click.argument("what", metavar="target|method", type=click.Choice(["target", "method"]))
@click.argument("name", metavar="NAME")
@click.option("--kind", type=click.Choice(["mcmc", "vi"]), help="Of a method: a sampler (default), or a fit.")
def new(what: str, name: str, kind: str | None) -> None:
    """Write NAME.py, a target or a method that passes `crossover check` as it stands, to go on from."""
    from harness import scaffold

    path = scaffold.write(what, name, kind)
    click.echo(f"{path} is written; change it, and ask: crossover check {path}")


@cli.command()
@click.argument("names", metavar="TARGET", nargs=-1)
@click.option(
    "--all", "everything", is_flag=True, help="All that lack a certificate; with --verify all that have truth."
)
@click.option("--verify", is_flag=True, help="Check the truth; exit code 1 if one does not hold.")
@click.option(
    "--log-normaliser", is_flag=True, help="Compute those of posteriordb's posteriors from their reference draws."
)
@click.option("-m", "--method", "samplers", metavar="SPEC", multiple=True, help="One of the two samplers; twice.")
@click.option("--ess", type=float, metavar="N", help="Effective sample size of x and x² to go on for.")
@click.option("--max-seconds", type=float, metavar="S", help="Seconds that each sampler may take.")
@click.option("--seed", type=click.IntRange(0), metavar="N")
@click.option("--threads", type=click.IntRange(1, 128), metavar="N", help="Chains at once; by default one a core.")
@click.option(
    "--folder", type=click.Path(path_type=pathlib.Path), metavar="DIR", help="Where certificates are written."
)
@plugin_option
def reference(
    names: tuple[str, ...],
    everything: bool,
    verify: bool,
    log_normaliser: bool,
    folder: pathlib.Path | None,
    plugin_files: tuple[str, ...],
    **asked: Any,
) -> None:
    """Make the certified reference of each TARGET by two samplers that must agree, or verify what there is."""
    from harness.references import command

    _load_plugins(plugin_files)
    plan = command.plan(verify, **asked)
    if log_normaliser:
        lines = command.normalised(names)
    elif verify:
        lines = command.verified(names, everything, plan)
    else:
        lines = command.made(names, everything, plan, folder)
    right = True
    for ok, line in lines:
        right = right and ok
        click.echo(line)
    if not right:
        raise SystemExit(WRONG)


@cli.command()
@plugin_option
@click.option("--jobs", type=click.IntRange(min=1), default=None, help="Processes at a time; by default one a core.")
def warmup(plugin_files: tuple[str, ...], jobs: int | None) -> None:
    """Compile all targets and methods now, so that no race has to."""
    from harness import compiling, registry
    from targets import cache

    _load_plugins(plugin_files)
    found = [spec.name for spec in registry.select_targets(["*"], _say)]
    done = compiling.everything(found, registry.names(), jobs or compiling.cores())
    removed = cache.prune()
    _say(f"{done} pairs of a target and a method are compiled in {cache.folder()}")
    if removed:
        _say(f"{removed} old caches removed")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(as_json: bool) -> None:
    """Show the machine, the versions, and the cache of compiled code."""
    from harness import listing

    facts = listing.facts()
    click.echo(
        json.dumps(facts, indent=2) if as_json else "\n".join(f"{key:<12} {value}" for key, value in facts.items())
    )


def main() -> NoReturn:
    """Run the command line; whatever the user has to change is one line, without a traceback."""
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(USAGE)
    except click.ClickException as error:
        _end(" ".join(error.format_message().split()), USAGE)
    except (click.Abort, KeyboardInterrupt):
        _end("stopped; what was computed is kept, and the same command goes on from there", INTERRUPTED)
    except _user_errors() as error:
        _end(str(error), USAGE)
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away; there is nobody to tell
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _end(f"{error.filename or 'a file'} cannot be used: {error.strerror}", USAGE)


def _user_errors() -> tuple[type[Exception], ...]:
    """What the user has to change, by type. Python asks for it only once something was raised."""
    from reports.records import RecordsError
    from targets.options import UsageError

    return UsageError, RecordsError


def _end(message: str, code: int) -> NoReturn:
    click.echo(f"crossover: {message}", err=True)
    sys.exit(code)


def _say(message: str) -> None:
    click.echo(message, err=True)


def _load_plugins(files: tuple[str, ...]) -> None:
    if files:
        from harness import plugins

        for file in files:
            plugins.load(file)


def _chosen_figures(only: str | None, numbers: tuple[int, ...], names: tuple[str, ...]) -> list[int | str]:
    """Those asked for, or all that have a number."""
    figures: list[int | str] = [*numbers, *names]
    known = {str(figure): figure for figure in figures}
    wanted = [part.strip() for part in only.split(",")] if only else [str(number) for number in numbers]
    for part in wanted:
        if part not in known:
            raise click.UsageError(f"--only {only}: there is no figure {part!r}; known: {', '.join(known)}")
    return [known[part] for part in wanted]


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

    with _interruptible(), Executor(jobs) as executor:  # the server loads while this process reads the arguments
        from harness.racing import Racing

        _load_plugins(plugin_files)
        yield Racing(executor, seeds, max_gradients, max_seconds, dry_run)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let a polite request to end (SIGTERM) do what an interrupt does."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    main()
