"""`crossover calibrate`: repetitions of several methods on one model, in processes, each kept as soon as it ends."""

import functools
import math
from dataclasses import dataclass
from typing import Any

from harness import plugins, registry
from harness.budget import Budget
from harness.calibration.quantities import Ranked
from harness.calibration.repetition import Repetition
from harness.executor import Executor, Task
from harness.racing import say
from harness.runner import WARMUP_SECONDS, check_plugin_targets
from harness.spec import parse
from harness.work import Calibrate, Warmup
from reports.records import Folder, repetitions
from targets.options import UsageError, require
from targets.protocols import Status
from targets.registry import TARGETS

DEFAULT_METHOD = "nuts"
MOST = 100_000  # repetitions
BATCH = 20  # repetitions that one process computes


@dataclass(frozen=True)
class Plan:
    """What is asked for: labels of a target and of methods, repetitions 1 to `repetitions`."""

    target: str
    methods: tuple[str, ...]
    repetitions: int
    seed: int
    budget: Budget

    @property
    def all(self) -> list[Repetition]:
        """Every one, number by number, so that an interrupted calibration has as many of each method."""
        return [
            Repetition(self.target, method, self.seed, number, self.budget)
            for number in range(1, self.repetitions + 1)
            for method in self.methods
        ]


def plan(target: str, methods: tuple[str, ...], count: int, seed: int, budget: Budget) -> Plan:
    """What is asked for, checked; a method that does not run on the target is left out, and that is said.

    Raises:
        UsageError: something is not accepted, the target cannot be simulated, or no method runs on it.
    """
    require(1 <= count <= MOST, f"repetitions={count} is not accepted; it takes 1 to {MOST:,}")
    made = registry.target(parse(target))
    if made.generative is None:
        raise UsageError(f"{made.label} has no prior to draw from; targets that have: {', '.join(generative())}")
    fit, unfit = list[str](), list[str]()
    for spec in registry.select_methods(list(methods) or [DEFAULT_METHOD]):
        method = registry.method(spec)
        label = registry.label(method)
        why = plugins.guarded(f"{label} on {made.label}", functools.partial(method.unfit, made.given(made.data)))
        (unfit if why else fit).append(f"{label} does not run on {made.label}: {why}" if why else label)
    if not fit:
        raise UsageError(unfit[0])
    for line in unfit:
        say(f"skipped: {line}")
    return Plan(made.label, tuple(dict.fromkeys(fit)), count, seed, budget)


def generative() -> list[str]:
    """Names of the project's targets whose model can be simulated."""
    return [name for name, entry in TARGETS.entries.items() if "generative" in entry.tags]


def of_plan(of: Plan, verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the verdicts that the plan is about, in the order of its methods."""
    budget = of.budget.max_gradients, of.budget.max_seconds
    return [
        each
        for method in of.methods
        for each in verdicts
        if (each["target"], each["method"], each["seed"]) == (of.target, method, of.seed)
        and (each["max_gradients"], each["max_seconds"]) == budget
    ]


def run(of: Plan, folder: Folder, executor: Executor) -> None:
    """Compute the repetitions that the folder does not hold."""
    check_plugin_targets([parse(of.target)], executor)
    todo = [each for each in of.all if not repetitions.has(folder.path, each.key)]
    say(f"{len(of.all)} repetitions, {len(of.all) - len(todo)} of them already in {folder.path}")
    if not todo:
        return
    if executor.jobs > 1:
        pairs = tuple((of.target, method) for method in of.methods)
        for _ in executor.run([Task("warm-up", Warmup(pairs, tuple(plugins.loaded())), WARMUP_SECONDS)]):
            pass
    queue, done, failed = _batches(todo, executor.jobs), 0, 0
    while queue:
        tasks = [_task(str(number), batch, folder) for number, batch in enumerate(queue)]
        left: list[tuple[Repetition, ...]] = []
        for finished in executor.run(tasks):
            batch = queue[int(finished.task.key)]
            failed += finished.result or 0
            missing = [each for each in batch if not repetitions.has(folder.path, each.key)]
            if missing:  # the process died in the first of them
                _fail(missing[0], finished.reason or "it was not computed", folder)
                failed += 1
            left += [tuple(missing[1:])] if missing[1:] else []
            done += len(batch) - len(missing[1:])
            lost = f": {failed} failed so far" if failed else ""
            say(f"[{done}/{len(todo)}] {batch[0].target}  {batch[0].method}{lost}")
        queue = left


def _task(key: str, batch: tuple[Repetition, ...], folder: Folder) -> Task:
    work = Calibrate(batch, str(folder.path), tuple(plugins.loaded()))
    return Task(key, work, sum(each.budget.max_seconds for each in batch))


def _batches(todo: list[Repetition], jobs: int) -> list[tuple[Repetition, ...]]:
    """Repetitions of one method each, as many as a process computes, in the order of their numbers."""
    size = min(BATCH, max(1, math.ceil(len(todo) / jobs)))
    of: dict[str, list[Repetition]] = {}
    for each in todo:
        of.setdefault(each.method, []).append(each)
    cut = [each[begin : begin + size] for each in of.values() for begin in range(0, len(each), size)]
    return [tuple(batch) for batch in sorted(cut, key=lambda batch: batch[0].repetition)]


def _fail(of: Repetition, reason: str, folder: Folder) -> None:
    """Keep a repetition whose process gave no result."""
    columns = {**of.columns, "status": str(Status.FAILED), "reason": reason, "evaluations": 0, "seconds": 0.0}
    target = registry.target(of.target)
    repetitions.write(folder.path, of.key, columns, list(Ranked.of(target).names), None)
