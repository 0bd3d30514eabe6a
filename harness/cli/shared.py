"""What several commands share: options, plug-ins, and how they end."""

import contextlib
import pathlib
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

import click

WRONG = 1  # exit code for what was found to be wrong

folder_argument = click.argument("folder", metavar="DIR", type=click.Path(path_type=pathlib.Path))
plugin_option = click.option(
    "--plugin", "plugin_files", metavar="FILE", multiple=True, help="Load targets and methods from FILE."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is random."
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


def say(message: str) -> None:
    """Tell the user what is no result: standard output is for these alone."""
    click.echo(message, err=True)


def load_plugins(files: tuple[str, ...]) -> None:
    """Register what these files add.

    Raises:
        UsageError: a file is none, or fails.
    """
    if files:
        from harness import plugins

        for file in files:
            plugins.load(file)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let a polite request to end (SIGTERM) do what an interrupt does."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
