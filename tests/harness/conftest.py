"""Methods that are simple enough to be right by reading them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from targets.protocols import Approximation, Phase, Status, Work
from targets.target import Target


@dataclass
class Exact:
    """Draws from the truth itself, after a warm-up of 100 evaluations that does nothing. It goes wrong as told."""

    name: str = "exact"
    label: str = "exact"
    tags: frozenset[str] = frozenset({"mcmc"})
    converge_at: int | None = None
    raise_at: int | None = None
    stuck: bool = False
    refuse: str | None = None
    advances: list[int] = field(default_factory=list)

    def unfit(self, target: Target) -> str | None:
        return self.refuse

    def compile(self, target: Target) -> None:
        pass

    def start(self, target: Target, seed: int) -> "ExactRun":
        return ExactRun(self, target, np.random.default_rng(seed))


class ExactRun:
    def __init__(self, method: Exact, target: Target, rng: np.random.Generator) -> None:
        self.method, self.target, self.rng = method, target, rng
        self.work, self.phase, self.status, self.reason = Work(), Phase.WARMUP, Status.RUNNING, ""
        self.values: list[np.ndarray] = []

    def advance(self, work: int) -> None:
        self.method.advances.append(work)
        for _ in range(work):
            if self.method.stuck:
                return
            self.work.gradient_evaluations += 1
            if self.method.raise_at is not None and self.work.total > self.method.raise_at:
                raise ArithmeticError("the square root of a fish\nand more lines")
            if self.phase is Phase.RUN:
                assert self.target.truth is not None and self.target.truth.sample is not None
                self.values.append(self.target.truth.sample(self.rng, 1)[0])
            elif self.work.total >= 100:
                self.phase = Phase.RUN
                return
            if self.method.converge_at is not None and self.work.total >= self.method.converge_at:
                self.status, self.reason = Status.CONVERGED, "as it was told"
                return

    def approximation(self) -> Approximation | None:
        from samplers import Draws

        return Draws(np.array(self.values)[None]) if len(self.values) > 1 else None

    def diagnostics(self) -> dict[str, float]:
        return {"divergences": 0.0, "r_hat": 1.0}


@pytest.fixture
def exact() -> type[Exact]:
    return Exact


CommandLine = Callable[..., tuple[int, str, str]]


@pytest.fixture
def crossover(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Call the command line in this process: (exit code, standard output, standard error)."""
    from harness import cli

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crossover", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return call


PLUGIN = '''
"""A shifted Gaussian, and nothing else."""
import numpy as np
import targets

@targets.kernel
def log_density_and_gradient(x, gradient, data):
    total = 0.0
    for i in range(x.shape[0]):
        z = x[i] - data[0, i]
        gradient[i] = SIGN z
        total -= 0.5 * z * z
    return total

def shifted(*, dim: int = 2, shift: float = 3.0) -> targets.Target:
    """Independent coordinates around `shift`."""
    mean = np.full(dim, shift)
    return targets.Target(
        name="shifted", dim=dim, log_density_and_gradient=log_density_and_gradient,
        data=targets.data_matrix(mean[None]),
        truth=targets.Truth(
            targets.Moments.gaussian(mean, np.eye(dim)), targets.Certificate("closed form"),
            sample=lambda rng, n: rng.standard_normal((n, dim)) + mean,
            log_normaliser=0.5 * dim * np.log(2 * np.pi), entropy=0.5 * dim * (1 + np.log(2 * np.pi)),
        ),
    )

TARGETS = {"shifted": shifted}
'''


@pytest.fixture
def plugin_file(tmp_path: Path) -> Path:
    """A plug-in that is right, under a name of its own."""
    file = tmp_path / f"plugin_{tmp_path.name.replace('-', '_')}.py"
    file.write_text(PLUGIN.replace("SIGN", "-").replace('"shifted"', f'"shifted_{tmp_path.name}"'))
    return file


@pytest.fixture
def wrong_plugin_file(plugin_file: Path) -> Path:
    """The same with the sign of its gradient turned round."""
    plugin_file.write_text(plugin_file.read_text().replace("= - z", "= + z"))
    return plugin_file
