"""Commands that reproduce the chapter: its figures and its claims."""

import os
import pathlib
from typing import Any

import click

from harness.cli.shared import folder_argument, say, seed_option


@click.command()
@folder_argument
@click.option(
    "--only",
    metavar="N,N",
    help="The figures to make, such as 1,4: numbers, or gradients, amortisation or vae, which are no part of all.",
)
@seed_option
def figures(folder: pathlib.Path, only: str | None, seed: int) -> None:
    """Reproduce the figures of the chapter in DIR, each as SVG, PNG, and JSON with the numbers drawn."""
    from harness import figures as numbers
    from reports import figures as drawing

    for figure in _chosen_figures(only, numbers.NUMBERS, tuple(numbers.NAMED)):
        for path in drawing.draw(figure, numbers.compute(figure, seed), folder):
            click.echo(str(path))


def _chosen_figures(only: str | None, numbers: tuple[int, ...], names: tuple[str, ...]) -> list[int | str]:
    """Those asked for, or all that have a number."""
    figures: list[int | str] = [*numbers, *names]
    known = {str(figure): figure for figure in figures}
    wanted = [part.strip() for part in only.split(",")] if only else [str(number) for number in numbers]
    for part in wanted:
        if part not in known:
            raise click.UsageError(f"--only {only}: there is no figure {part!r}; known: {', '.join(known)}")
    return [known[part] for part in wanted]


@click.command()
@folder_argument
@seed_option
@click.option("--fast", is_flag=True, help="Repeat as little as the verdicts allow.")
def claims(folder: pathlib.Path, seed: int, fast: bool) -> None:
    """Run the chapter's claims, and write each with its number and its verdict to DIR/claims.html, .md and .json."""
    from dataclasses import asdict

    from harness import claims as checks
    from reports import claims as pages

    lines: Any = []
    for claim, found in checks.run(checks.Effort(seed, fast)):
        say(f"{found.verdict:<14} {claim.place}: {claim.says}")
        told = {"name": claim.name, "place": claim.place, "says": claim.says}
        lines.append({**told, **asdict(found), "verdict": str(found.verdict)})
    command = f"crossover claims DIR --seed {seed}" + (" --fast" if fast else "")
    for path in pages.write(lines, folder, command):
        click.echo(os.fsencode(path.resolve()))
