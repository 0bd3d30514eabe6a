"""The command line. Every command defers its imports, so that `--help` and `list` are quick."""

import errno
import os
import pathlib
import sys
from typing import NoReturn

import click

from harness.cli import chapter, machine, races, trust

USAGE = 2  # exit code for what the user has to change
INTERRUPTED = 130


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


for command in (
    machine.list_,
    races.run,
    races.study,
    races.report,
    chapter.figures,
    chapter.claims,
    trust.check,
    trust.calibrate,
    trust.new,
    trust.reference,
    machine.warmup,
    machine.info,
):
    cli.add_command(command)


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
