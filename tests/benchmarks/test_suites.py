"""The asv suites run, and what asv builds for them is what the lock says."""

import inspect
import itertools
import json
import math
import pathlib
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement

import benchmarks.errors
import benchmarks.kernels
import benchmarks.memory
import benchmarks.mixtures
import benchmarks.startup
import benchmarks.steps
import benchmarks.threads
from tests.tiers import seldom

HOUSE = pathlib.Path(__file__).resolve().parents[2]
CONFIGURATION: dict[str, Any] = json.loads((HOUSE / "asv.conf.json").read_text())
MODULES = (
    benchmarks.errors,
    benchmarks.kernels,
    benchmarks.memory,
    benchmarks.mixtures,
    benchmarks.startup,
    benchmarks.steps,
    benchmarks.threads,
)
SUITES = [
    suite
    for module in MODULES
    for suite in vars(module).values()
    if inspect.isclass(suite) and suite.__module__ == module.__name__
]
KINDS = ("time_", "track_", "peakmem_")


def timed(suite: type) -> list[str]:
    return [name for name in dir(suite) if name.startswith(KINDS)]


def combinations(suite: type) -> list[tuple[Any, ...]]:
    parameters = getattr(suite, "params", ())
    return list(itertools.product(*parameters)) if getattr(suite, "param_names", ()) else [()]


def locked(python: str) -> Iterator[tuple[str, str]]:
    """Names and versions that the lock holds for a Python version."""
    here = {"python_full_version": f"{python}.0", "python_version": python}
    for line in (HOUSE / "requirements.lock").read_text().splitlines():
        if re.match(r"[a-z0-9]", line):
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate(here):
                yield requirement.name, str(requirement.specifier).removeprefix("==")


def test_asv_builds_with_the_locked_versions() -> None:
    (python,) = CONFIGURATION["pythons"]
    versions = dict(locked(python))
    for name, pins in CONFIGURATION["matrix"]["req"].items():
        assert pins == [versions[name]], f"{name}: asv.conf.json says {pins}, the lock {versions[name]}"


def test_asv_installs_all_that_the_project_needs_and_nothing_else_does() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    assert {Requirement(each).name for each in project["dependencies"]} <= set(CONFIGURATION["matrix"]["req"])
    for step in ("build_command", "install_command"):
        assert all("--no-deps" in command and "--no-index" in command for command in CONFIGURATION[step])
    assert CONFIGURATION["branches"] == ["HEAD"]
    threads = CONFIGURATION["matrix"]["env_nobuild"]
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"} <= set(threads)
    assert all(value == ["1"] for value in threads.values())


def test_suites_are_of_all_three_kinds() -> None:
    names = [name for suite in SUITES for name in timed(suite)]
    assert all(any(name.startswith(kind) for name in names) for kind in KINDS)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.__name__)
def test_suites_are_well_formed(suite: Any) -> None:
    assert timed(suite)
    assert len(combinations(suite)) < 50
    cached = ("errors",) if hasattr(suite, "setup_cache") else ()
    for name in timed(suite):
        taken = tuple(inspect.signature(getattr(suite, name)).parameters)
        assert taken == ("self", *cached, *getattr(suite, "param_names", ()))
    # One that is inherited is known to asv by its line alone, and shared where it should not be.
    assert "setup_cache" not in dir(suite) or "setup_cache" in vars(suite)


def run(suite: type, parameters: tuple[Any, ...]) -> dict[str, Any]:
    """What asv does with one combination, once; values of the `track_` methods by name."""
    made: Any = suite()
    cached = (made.setup_cache(),) if hasattr(made, "setup_cache") else ()
    if hasattr(made, "setup"):
        made.setup(*cached, *parameters)
    told = {name: getattr(made, name)(*cached, *parameters) for name in timed(suite)}
    if hasattr(made, "teardown"):
        made.teardown()
    return told


@pytest.mark.parametrize(
    "suite",
    seldom(
        [s for s in SUITES if not hasattr(s, "setup_cache")],
        {benchmarks.steps.GradientVariance, benchmarks.steps.DrawOverhead, benchmarks.startup.Race},
    ),
    ids=lambda s: s.__name__,
)
def test_suites_run(suite: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.steps, "COORDINATES", 20_000)
    monkeypatch.setattr(benchmarks.threads, "GRADIENTS", 500)
    for value in run(suite, combinations(suite)[0]).values():
        assert value is None or math.isfinite(value)


def test_errors_are_the_same_on_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.errors, "GRADIENTS", 3_000)
    monkeypatch.setattr(benchmarks.errors, "TARGETS", ("correlated_gaussian",))
    monkeypatch.setattr(benchmarks.errors, "METHODS", ("hmc", "advi_meanfield"))
    suite = benchmarks.errors.AfterGradients()
    first, second = suite.setup_cache(), suite.setup_cache()
    assert first == second
    assert set(first) == {("correlated_gaussian", "hmc"), ("correlated_gaussian", "advi_meanfield")}
    assert 0.0 < suite.track_mean_error(first, "correlated_gaussian", "hmc") < 0.5
    assert 0.0 < suite.track_centred_b2(first, "correlated_gaussian", "hmc") < 0.5
