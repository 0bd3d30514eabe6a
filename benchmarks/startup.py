"""How long a person waits before anything happens."""

import pathlib
import subprocess
import sys
import tempfile

CROSSOVER = str(pathlib.Path(sys.executable).with_name("crossover"))


class StartUp:
    timeout = 300
    number = 1

    def setup(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runs = 0
        self.time_run()

    def teardown(self) -> None:
        self.folder.cleanup()

    def time_help(self) -> None:
        self.crossover("--help")

    def time_list(self) -> None:
        self.crossover("list")

    def time_run(self) -> None:
        """One small cell, everything compiled before."""
        self.runs += 1
        folder = f"{self.folder.name}/{self.runs}"
        cell = ("-t", "correlated_gaussian", "-m", "hmc", "--seeds", "1", "--max-gradients", "5000")
        self.crossover("run", folder, *cell)

    def crossover(self, *arguments: str) -> None:
        subprocess.run([CROSSOVER, *arguments], stdout=subprocess.DEVNULL, cwd=self.folder.name, check=True)
