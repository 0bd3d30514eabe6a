"""How long a person waits before anything happens."""

import pathlib
import subprocess
import sys
import tempfile

CROSSOVER = str(pathlib.Path(sys.executable).with_name("crossover"))


def crossover(*arguments: str) -> None:
    """Run a command in a process of its own.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    done = subprocess.run([CROSSOVER, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"crossover {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")


class Look:
    def setup(self) -> None:
        self.time_help()
        self.time_list()

    def time_help(self) -> None:
        crossover("--help")

    def time_list(self) -> None:
        crossover("list")


class Race:
    """One small cell, everything compiled before."""

    timeout = 300
    number = 1

    def setup(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.races = 0
        self.time_run()

    def teardown(self) -> None:
        self.folder.cleanup()

    def time_run(self) -> None:
        self.races += 1
        folder = f"{self.folder.name}/{self.races}"
        crossover("run", folder, "-t", "correlated_gaussian", "-m", "hmc", "--seeds", "1", "--max-gradients", "5000")
