"""Errors planted into the target that `crossover new` writes, each found by the finding that is there for it.

Statistical findings alarm falsely once in 5e8; each of these errors is twice what they need to see, or more. Errors in
what that target has not (modes, a Gaussian structure) are planted in tests/laws/test_targets.py.
"""

import dataclasses
import importlib.util
import pathlib
import sys
import types
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

import targets
from harness import plugins, registry, scaffold
from harness.check import check_target as check_with_harness
from targets.check import Finding, check_target
from targets.plain import from_python
from targets.registry import TARGETS
from targets.target import Rows


class Fault(NamedTuple):
    """What is replaced in the file, and which finding must be wrong."""

    name: str
    replaced: dict[str, str]
    finding: str
    says: str = ""


GRADIENT = "gradient[i] = data[i, 0] - expected "
KERNEL_TERM = "total += data[i, 0] * x[i] - expected\n"
DENSITY_TERM = "total += data[i, 0] * x[i] - data[i, 1]"
RETURN = "    return total  # a float"
WRITES = "a call writes the whole gradient and nothing else"
SLOPE = "the gradient is that of the density"

FAULTS = [
    Fault(
        "no Jacobian",
        {
            GRADIENT: "gradient[i] = data[i, 0] - 1.0 - expected ",
            KERNEL_TERM: "total += (data[i, 0] - 1.0) * x[i] - expected\n",
            DENSITY_TERM: "total += (data[i, 0] - 1.0) * x[i] - data[i, 1]",
        },
        "Stein: E grad log p = 0",
    ),
    Fault("wrong sign", {GRADIENT: "gradient[i] = expected - data[i, 0] "}, SLOPE, "its sign is wrong"),
    Fault("wrong far out alone", {GRADIENT: "gradient[i] = data[i, 0] - min(expected, 1e4) "}, SLOPE),
    Fault("slightly wrong", {GRADIENT: "gradient[i] = data[i, 0] - 1.00001 * expected "}, SLOPE),
    Fault("adds to the gradient", {GRADIENT: "gradient[i] += data[i, 0] - expected "}, WRITES, "do not add"),
    Fault("last derivative missing", {GRADIENT: "gradient[max(i - 1, 0)] = data[i, 0] - expected "}, WRITES),
    Fault("writes beyond the gradient", {RETURN: "    gradient[x.shape[0]] = 0.0\n" + RETURN}, WRITES, "beside"),
    Fault("moves the position", {RETURN: "    x[0] = 0.0\n" + RETURN}, WRITES, "the position was changed"),
    Fault(
        "a row too far",
        {
            "expected = data[i, 1]": "expected = data[i + 1, 1]",
            "data[i, 1] * math.exp(x[i])\n    return": "data[i + 1, 1] * math.exp(x[i])\n    return",
        },
        "a call reads the data and nothing around them",
        "beyond the last",
    ),
    Fault(
        "not a number swallowed",
        {KERNEL_TERM: "if x[i] > -1e300:\n            total += data[i, 0] * x[i] - expected\n"},
        "hostile positions are survived",
        "NaN has a finite density",
    ),
    Fault("a density of its own", {DENSITY_TERM: "total += 1e-3 - data[i, 1]"}, "the density without"),
    Fault(
        "wrong normaliser, and an entropy that agrees",
        {"gammaln(a) - a * np.log(b)": "gammaln(a) - a * np.log(b) + 0.05"},
        "the log normaliser is that of the kernel",
    ),
    Fault("wrong mean", {"digamma(a) - np.log(b)": "digamma(a) - np.log(b) + 0.1"}, "the moments: mean"),
    Fault("wrong variance", {"polygamma(1, a)": "polygamma(1, a + 1.0)"}, "the moments: variance"),
    Fault("wrong covariance", {"np.diag(variance)": "np.diag(variance) + 0.02"}, "the moments: covariance"),
    Fault("wrong named variance", {"np.diag(a / b**2)": "np.diag(1.2 * a / b**2)"}, "the named moments: variance"),
    Fault("draws of another density", {"rng.gamma(a, ": "rng.gamma(a + 0.3, "}, "Stein: E grad log p = 0"),
    Fault("draws turned round", {"size=(n, len(a))))": "size=(n, len(a)))).T"}, "the sampler gives (n, dim)"),
    Fault(
        "named quantities that depend on company",
        {"np.exp),": "lambda x: np.exp(x) / len(x)),"},
        "named quantities are a function of the position",
    ),
    Fault(
        "a symmetry that is none",
        {'tags=frozenset({"exact"': 'relabellings=((1, 0, 2),), tags=frozenset({"exact"'},
        "relabelling leaves the density unchanged",
    ),
    Fault("not compiled by us", {"@targets.kernel\n": ""}, "evaluation raises nothing", "decorate it"),
    Fault("does not compile", {RETURN: "    return x.total  # a float"}, "the kernel compiles"),
    Fault("infinitely likely", {RETURN: "    return math.inf if x[0] > 1e10 else total  # a float"}, "hostile"),
]
IN_HARNESS = [
    Fault(
        "other data in every process",
        {"EVENTS = np.array([3.0, 7.0, 2.0])": "EVENTS = np.random.default_rng().poisson(5.0, 3) + 0.0"},
        "another process gives the same bits",
        "differ there",
    ),
    Fault(
        "wrong mean where there are no draws",
        {"digamma(a) - np.log(b)": "digamma(a) - np.log(b) + 0.3", "        sample=sample,\n": ""},
        "nuts and slice agree with the truth",
    ),
]


def _written(fault: Fault, folder: pathlib.Path) -> pathlib.Path:
    name = "planted_in_target_" + fault.name.lower().replace(" ", "_").replace(",", "")
    path = scaffold.write("target", name, folder=folder)
    text = path.read_text()
    for right, wrong in fault.replaced.items():
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    path.write_text(text)
    return path


def _only(found: list[Finding], fault: Fault) -> None:
    wrong = [finding for finding in found if not finding.ok and finding.what.startswith(fault.finding)]
    assert wrong, [finding for finding in found if not finding.ok]
    assert fault.says in wrong[0].detail
    assert "\n" not in wrong[0].detail


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_error_is_found(fault: Fault, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _written(fault, tmp_path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    _only(check_target(module.TARGETS[path.stem](), 1), fault)


@pytest.fixture
def forgotten() -> Iterator[types.SimpleNamespace]:
    """What plug-ins add to the registry is taken out again."""
    kept = dict(TARGETS.plugins)
    yield types.SimpleNamespace()
    TARGETS.plugins.clear()
    TARGETS.plugins.update(kept)


@pytest.mark.parametrize("fault", IN_HARNESS, ids=lambda fault: fault.name)
def test_the_harness_finds_what_takes_processes_or_samplers(
    fault: Fault, tmp_path: pathlib.Path, forgotten: object
) -> None:
    path = _written(fault, tmp_path)
    plugins.load(path)
    _only(check_with_harness(registry.target(path.stem), 1), fault)


def test_without_an_error_nothing_is_found(tmp_path: pathlib.Path, forgotten: object) -> None:
    path = _written(Fault("sound", {}, ""), tmp_path)
    plugins.load(path)
    found = check_with_harness(registry.target(path.stem), 2)
    assert [finding for finding in found if not finding.ok] == []
    assert {"speed", "another process gives the same bits", "nuts and slice agree with the truth"} <= {
        finding.what for finding in found
    }


@targets.kernel
def short_of_a_row(x, gradient, data):  # type: ignore[no-untyped-def]
    """A sum over rows that forgets the last: -(x0 - row)^2 / 2 in the first coordinate."""
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = 0.0
    for row in range(data.shape[0] - 1):
        total -= 0.5 * (x[0] - data[row, 0]) ** 2
        gradient[0] -= x[0] - data[row, 0]
    return total


@targets.kernel
def all_rows(x, gradient, data):  # type: ignore[no-untyped-def]
    """A standard Gaussian prior and the sum over all rows."""
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = -x[i]
        total -= 0.5 * x[i] * x[i]
    for row in range(data.shape[0]):
        total -= 0.5 * (x[0] - data[row, 0]) ** 2
        gradient[0] -= x[0] - data[row, 0]
    return total


@targets.kernel
def prior(x, gradient, data):  # type: ignore[no-untyped-def]
    """A standard Gaussian."""
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = -x[i]
        total -= 0.5 * x[i] * x[i]
    return total


def test_a_row_that_is_left_out_is_found() -> None:
    data = targets.data_matrix(np.arange(5.0)[:, None])
    whole = targets.Target("rows", 2, all_rows, data, rows=Rows(prior, short_of_a_row))
    _only(check_target(whole), Fault("", {}, "prior and likelihood of the rows add up"))


class Cached:
    """A standard Gaussian in plain Python that keeps what it computed, under part of what it depends on."""

    def __init__(self) -> None:
        self.at, self.half = np.nan, np.zeros(2)

    def density(self, x: np.ndarray) -> float:
        self.half = 0.5 * x
        with np.errstate(over="ignore", invalid="ignore"):
            return -0.5 * sum(float(coordinate * coordinate) for coordinate in x)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Right if the density was called just before at the same position, by nobody else."""
        return -2.0 * self.half

    def stale(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Computes anew only where the first coordinate has changed."""
        if x[0] != self.at:
            self.at, self.half = x[0], 0.5 * x
        with np.errstate(over="ignore", invalid="ignore"):
            return -0.5 * float(x @ x), -2.0 * self.half


def test_a_stale_gradient_is_found() -> None:
    found = check_target(from_python(Cached().stale, 2, name="stale"))
    _only(found, Fault("", {}, "the same input gives the same output", "gradients depend on the call before"))


def test_a_cache_that_threads_share_is_found() -> None:
    cached = Cached()
    found = check_target(from_python(cached.density, 2, cached.gradient, name="cached"))
    _only(found, Fault("", {}, "threads may call it at once", "differ from those of one"))
    assert [finding.what for finding in found if not finding.ok] == ["threads may call it at once"]


def test_moments_that_break_the_symmetry_are_found() -> None:
    target = targets.load("gmm_posterior")
    assert target.truth is not None
    moments = dataclasses.replace(target.truth.moments, mean=np.array([0.3, -0.3]))
    lopsided = dataclasses.replace(target, truth=dataclasses.replace(target.truth, moments=moments), registered=False)
    _only(check_target(lopsided), Fault("", {}, "relabelling leaves the moments unchanged"))
