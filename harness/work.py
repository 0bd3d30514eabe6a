"""What a worker process does. Its imports are what the fork server loads once for all of them."""

import functools
import importlib
import itertools
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import cell, metrics, plugins, registry
from harness.calibration import repetition
from harness.calibration.quantities import Ranked
from reports.records import encoded, repetitions
from targets.check import check_target
from targets.check.kernel import as_bits
from targets.options import UsageError


@dataclass(frozen=True)
class Compute:
    """Race and judge a cell."""

    cell: cell.Cell
    jobs: int
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class Calibrate:
    """Compute repetitions of one target and method, each written to the folder as soon as it ends."""

    batch: tuple[repetition.Repetition, ...]
    folder: str
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class Warmup:
    """Compile what these pairs of SPECs need, before processes that run at the same time want it.

    The pairs of a method stand together. Processes that have the same methods in the same order, and share an empty
    folder for their `claims`, each take the next method that none has taken.
    """

    pairs: tuple[tuple[str, str], ...]
    plugins: tuple[str, ...]
    claims: str = ""


@dataclass(frozen=True)
class Check:
    """Say what is wrong with a target."""

    target: str
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a target at points (n, dim)."""

    target: str
    points: np.ndarray
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class Measure:
    """Measure a cost at one size; see `harness.scaling.series`."""

    where: str
    size: int
    repeats: int
    plugins: tuple[str, ...] = ()


def perform(task: Compute | Calibrate | Warmup | Check | Evaluate | Measure) -> tuple[Any, str]:
    """The result of a task and an empty string, or None and the reason why there is none."""
    try:
        for path in task.plugins:
            plugins.load(path)
        if isinstance(task, Compute):
            computed = cell.compute(task.cell, task.jobs)
            encoded(*computed)  # a value that no record can hold is the failure of this cell, and not of the race
            return computed, ""
        if isinstance(task, Calibrate):
            return calibrate(task), ""
        if isinstance(task, Check):
            findings = check_target(registry.target(task.target), seed=1)
            return next((f"{found.what}: {found.detail}" for found in findings if not found.ok), ""), ""
        if isinstance(task, Evaluate):
            return as_bits(np.column_stack(registry.target(task.target).evaluate(task.points))), ""
        if isinstance(task, Measure):
            module, function = task.where.split(":")
            return getattr(importlib.import_module(module), function)(task.size, task.repeats), ""
        return compile_pairs(task.pairs, task.claims), ""
    except UsageError as error:
        return None, str(error)
    except Exception as error:  # the boundary of a cell: reported as its row
        return None, plugins.in_one_line(error)


def calibrate(task: Calibrate) -> int:
    """Compute the batch; returns how many fits failed."""
    failed = 0
    target, method = registry.target(task.batch[0].target), registry.method(task.batch[0].method)
    ranked = Ranked.of(target)
    for of in task.batch:
        result = repetition.compute(of, target, method, ranked)
        repetitions.write(Path(task.folder), of.key, result.columns, list(ranked.names), result.ranks)
        failed += result.ranks is None
    return failed


def compile_pairs(pairs: tuple[tuple[str, str], ...], claims: str = "") -> int:
    """Compile every pair that fits; returns how many did. A pair that fails to compile fails again in its own cell."""
    made = functools.cache(registry.target)  # to read a target's data and to judge its reference may take a second
    done = 0
    for number, (method_spec, group) in enumerate(itertools.groupby(pairs, key=operator.itemgetter(1))):
        if claims and not claimed(Path(claims, str(number))):
            continue
        method = registry.method(method_spec)
        for target_spec, _ in group:
            target = made(target_spec)
            if method.unfit(target) is None:
                try:
                    method.compile(target)
                    metrics.compile_for(target)
                except Exception:  # noqa: S112  its own cell will say why
                    continue
                done += 1
    return done


def claimed(name: Path) -> bool:
    """Whether this process is the first of all to claim this name."""
    try:
        name.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
