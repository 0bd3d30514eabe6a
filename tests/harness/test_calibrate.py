"""`crossover calibrate`: a right method passes, planted errors are flagged, and nothing is lost or dropped silently."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import harness
import reports
from harness import plugins, registry
from harness.budget import Budget
from harness.calibration import verdict
from harness.calibration.quantities import JOINT, LIKELIHOOD, Ranked
from harness.calibration.repetition import MOST, Repetition, compute, simulated
from reports import calibration, runs, tables_of_alarms
from reports.records import calibrations, open_folder, repetitions
from targets.protocols import Phase, Status, Work
from targets.target import Target
from tests.laws.calibration import Regression

CommandLine = Callable[..., tuple[int, str, str]]

MODEL = Regression(np.random.default_rng(7).standard_normal((8, 3)), 2.0)
TARGET = MODEL.target(np.zeros(8))
BUDGET = Budget(1000, 60.0)


@dataclass
class Gaussian:
    """An answer that can be sampled, and no more."""

    mean: np.ndarray
    covariance: np.ndarray

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def log_density(self, x: np.ndarray) -> None:
        return None

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.multivariate_normal(self.mean, self.covariance, n)


@dataclass
class Closed:
    """The exact answer of the conjugate regression, its sds times `shrunk` and its means off by `shifted` of them."""

    shrunk: float = 1.0
    shifted: float = 0.0
    meanfield: bool = False
    fails_at: int = 0
    gives: float = 0.0
    name: str = "closed"
    label: str = "closed"
    tags: frozenset[str] = frozenset({"vi"})
    started: int = 0

    def unfit(self, target: Target) -> str | None:
        return None

    def compile(self, target: Target) -> None:
        pass

    def start(self, target: Target, seed: int) -> "ClosedRun":
        self.started += 1
        return ClosedRun(self, target)


class ClosedRun:
    def __init__(self, method: Closed, target: Target) -> None:
        self.method, self.target = method, target
        self.work, self.phase, self.status, self.reason = Work(), Phase.RUN, Status.RUNNING, ""

    def advance(self, work: int) -> None:
        self.work.gradient_evaluations += 1
        if self.method.fails_at and self.method.started % self.method.fails_at == 0:
            raise ArithmeticError("the square root of a fish")
        self.status = Status.CONVERGED

    def approximation(self) -> Gaussian:
        mean, covariance = MODEL.answer(self.target.data[:, -1] * MODEL.noise)
        if self.method.meanfield:  # the optimum of KL(q || p) among products of normals
            covariance = np.diag(1 / np.diagonal(np.linalg.inv(covariance)))
        sd = np.sqrt(np.diagonal(covariance))
        return Gaussian(mean + self.method.shifted * sd + self.method.gives, self.method.shrunk**2 * covariance)

    def diagnostics(self) -> dict[str, float]:
        return {}


def judged(method: Any, repetitions: int, seed: int = 1, level: float = verdict.LEVEL) -> dict[str, Any]:
    ranked = Ranked.of(TARGET)
    found = [
        compute(Repetition("regression", "closed", seed, number, BUDGET), TARGET, method, ranked)
        for number in range(1, repetitions + 1)
    ]
    return verdict.judge([each.columns for each in found], list(ranked.names), [each.ranks for each in found], level)


def test_the_exact_answer_is_calibrated() -> None:
    """False alarms at most once in a million."""
    said = judged(Closed(), 200, level=1e-6)
    assert said["calibrated"] and not said["reasons"] and said["failed"] == 0
    assert [each["name"] for each in said["quantities"]] == ["x[0]", "x[1]", "x[2]", JOINT, LIKELIHOOD]
    assert said["least_draws"] == MOST


@pytest.mark.parametrize(
    "method",
    [Closed(shrunk=0.85), Closed(shifted=0.3), Closed(meanfield=True)],
    ids=["sds 15 % too small", "means off by 0.3 sd", "mean field"],
)
def test_planted_errors_are_flagged(method: Closed) -> None:
    """Of 400 repetitions at level 0.01. Of sds 15 % too small, and of means off by 0.3 sd, 300 in 300 were found.

    The posterior is correlated: the sds of the mean-field optimum are 0.85, 0.93 and 0.81 of the true ones.
    """
    said = judged(method, 400)
    assert not said["calibrated"] and said["reasons"]
    off = [each["score_sd"] for each in said["quantities"][:3]]
    if not method.shifted:
        assert np.mean(off) > 1.05, "too narrow"


def test_failures_are_counted_and_too_many_are_no_verdict() -> None:
    rare = judged(Closed(fails_at=25), 100, level=1e-6)
    assert rare["failed"] == 4 and rare["calibrated"] and len(rare["failures"]) == 1
    assert rare["failures"][0] == {"reason": "ArithmeticError: the square root of a fish", "count": 4}
    often = judged(Closed(fails_at=5), 100, level=1e-6)
    assert often["failed"] == 20 and not often["calibrated"] and "20 of 100 fits failed" in often["reasons"][0]
    never = judged(Closed(gives=np.nan), 30)
    assert never["failed"] == 30 and not never["calibrated"] and not never["quantities"]
    assert any("20 are needed" in reason for reason in never["reasons"])


def test_all_methods_get_the_same_data_and_every_repetition_other_ones() -> None:
    of = [Repetition("regression", method, 1, number, BUDGET) for method in ("a", "b") for number in (1, 2)]
    data = [simulated(TARGET, each.stream(0))[1].data for each in of]
    np.testing.assert_array_equal(data[0], data[2])
    assert (data[0][:, -1] != data[1][:, -1]).all()
    assert len({each.key for each in of}) == 4


def test_what_is_ranked() -> None:
    import targets

    names = Ranked.of(targets.load("eight_schools")).names
    assert {"mu", "log_tau", "raw[1]", "theta[1]", "best effect", JOINT, LIKELIHOOD} <= set(names)
    assert "tau" not in names, "it has the ranks of its logarithm"
    symmetric = Ranked.of(targets.load("gmm_posterior"))
    assert symmetric.names == ("lower mu", "upper mu", JOINT, LIKELIHOOD)
    target = targets.load("gmm_posterior")
    values = symmetric.values(target, np.array([[1.0, 2.0], [2.0, 1.0]]))
    np.testing.assert_allclose(values[0], values[1])


def test_the_command_calibrates_resumes_and_gives_the_report_its_alarm(crossover: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    harness.race(["eight_schools"], ["advi_meanfield"], seeds=1, max_gradients=2000, folder=str(folder))
    asked = ("calibrate", "eight_schools", "-m", "advi_meanfield", "--repetitions", 80, "-o", folder)
    code, out, err = crossover(*asked)
    assert code == 1 and "NOT CALIBRATED (80 repetitions" in out, err
    first = (folder / calibrations.FILE).read_bytes()
    page = (folder / "calibration.html").read_text()
    assert page.count("<figure>") == 2 and not re.search(r'(?:src|href)="(?!data:)', page)
    assert "not calibrated" in (folder / "calibration.md").read_text().lower()
    import pandas as pd

    table = pd.read_parquet(folder / repetitions.TABLE)
    assert len(table) == 80 * len(json.loads(first)[0]["quantities"]) and table.u.between(0, 1).all()

    kept = sorted((folder / repetitions.FOLDER).glob("*.json"))
    kept[0].unlink()
    kept[1].write_text("{ half")
    code, _, err = crossover(*asked)
    assert code == 1 and "78 of them already" in err and (folder / calibrations.FILE).read_bytes() == first

    records = open_folder(folder)
    read = runs.read(records.cells(), records.curves(), None, calibrations.calibrated(folder))
    alarms = tables_of_alarms.alarms(read)
    assert alarms is not None and any(row["alarm"] == "sbc" for row in alarms.numbers)
    assert "SBC" in reports.write(folder, folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["funnel"], "funnel has no prior to draw from; targets that have: eight_schools"),
        (["eight_schools", "-m", "cavi"], "cavi does not run on eight_schools"),
        (["eight_schools", "-m", "nots"], "no method"),
        (["eight_schools", "--repetitions", "0"], "repetitions=0 is not accepted"),
        (["eight_schools", "--level", "1"], "level=1 is not accepted"),
        (["eight_schools", "--max-gradients", "0"], "max-gradients=0 is not accepted"),
    ],
)
def test_bad_input_gets_one_line(crossover: CommandLine, tmp_path: Path, arguments: list[str], says: str) -> None:
    code, _, err = crossover("calibrate", *arguments, "-o", tmp_path / "new")
    assert code == 2 and says in err and len(err.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    with pytest.raises(reports.records.RecordsError, match="nothing is calibrated"):
        calibration.write(tmp_path)
    (tmp_path / calibrations.FILE).write_text("[{}]")
    with pytest.raises(reports.records.RecordsError, match="is damaged"):
        calibration.write(tmp_path)


RASH = """
import os
import numpy as np
from targets.protocols import Phase, Status, Work

class Run:
    phase, status, reason = Phase.RUN, Status.RUNNING, ""

    def __init__(self, dim):
        self.dim, self.work = dim, Work()

    def advance(self, work):
        self.work.gradient_evaluations += 1
        self.status = Status.CONVERGED

    def approximation(self):
        return self

    def sample(self, rng, n):
        return rng.standard_normal((n, self.dim))

    def diagnostics(self):
        return {}

class Rash:
    tags = frozenset({"vi"})

    def unfit(self, target):
        return None

    def compile(self, target):
        pass

    def start(self, target, seed):
        if seed % 5 == 0:
            os._exit(7)
        return Run(target.dim)

METHODS = {"NAME": lambda: Rash()}
"""


def test_a_method_that_ends_its_process_fails_in_those_repetitions_alone(
    crossover: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "_loaded", dict(plugins._loaded))
    monkeypatch.setattr(plugins, "_digests", dict(plugins._digests))
    monkeypatch.setattr(registry.PLUGIN_METHODS, "plugins", dict(registry.PLUGIN_METHODS.plugins))
    name = f"rash_{tmp_path.name.replace('-', '_')}"
    plugin = tmp_path / f"{name}.py"
    plugin.write_text(RASH.replace("NAME", name))
    asked = ("calibrate", "eight_schools", "-m", name, "--plugin", plugin, "-o", tmp_path / "out", "--repetitions", 24)
    code, out, err = crossover(*asked)
    of = [Repetition("eight_schools", name, 1, number, Budget(100_000, 60.0)) for number in range(1, 25)]
    dies = [int(each.stream(1).integers(2**62)) % 5 == 0 for each in of]
    said = calibrations.read(tmp_path / "out")[0]
    assert code == 1 and said["repetitions"] == 24, err
    assert said["failed"] == sum(dies) and f"{sum(dies)} failed" in out
    assert said["failed"] == 0 or "exit code 7" in said["failures"][0]["reason"]
    rows = {row["repetition"]: row["status"] for row, _, _ in repetitions.read_all(tmp_path / "out")}
    assert [rows[number] == "failed" for number in range(1, 25)] == dies
