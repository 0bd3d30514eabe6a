"""Commands that say whether something is right: a contribution, a method's posteriors, a reference."""

import os
import pathlib
from typing import Any

import click

from harness.cli.shared import WRONG, interruptible, load_plugins, plugin_option, seed_option


@click.command()
@click.argument("what", metavar="target|method", type=click.Choice(["target", "method"]))
@click.argument("name", metavar="NAME")
@click.option("--kind", type=click.Choice(["mcmc", "vi"]), help="Of a method: a sampler (default), or a fit.")
def new(what: str, name: str, kind: str | None) -> None:
    """Write NAME.py, a target or a method that passes `crossover check` as it stands, to go on from."""
    from harness import scaffold

    path = scaffold.write(what, name, kind)
    click.echo(f"{path} is written; change it, and ask: crossover check {path}")


@click.command()
@click.argument("name", metavar="NAME|FILE")
@seed_option
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
    load_plugins(plugin_files)
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


@click.command()
@click.argument("target", metavar="TARGET")
@click.option("-m", "--method", "methods", metavar="SPEC", multiple=True, help="SPEC, glob or tag:WORD; default nuts.")
@click.option("--repetitions", type=int, default=200, show_default=True, metavar="N", help="Data sets to simulate.")
@click.option("--max-gradients", type=int, default=100_000, show_default=True, metavar="N", help="Evaluations a fit.")
@click.option("--max-seconds", type=float, default=60.0, show_default=True, metavar="S", help="Of a fit, as a guard.")
@seed_option
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

    with interruptible(), Executor(jobs) as executor:
        from harness.budget import Budget
        from harness.calibration import command, verdict
        from reports import calibration, records

        load_plugins(plugin_files)
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


@click.command()
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

    load_plugins(plugin_files)
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
