"""What the harness adds to the check of a target: other processes, the clock, and samplers."""

from collections.abc import Iterator

import numpy as np

from harness.check import agreement, speed
from harness.executor import Executor, Task
from harness.plugins import in_one_line, loaded
from harness.work import Evaluate
from targets import check
from targets.check import Finding
from targets.check.kernel import as_bits
from targets.target import Target

POINTS = 32
SECONDS = 120.0


def check_target(target: Target, seed: int = 1) -> list[Finding]:
    """All findings of `targets.check`, and if these are right, those that take more than the target itself."""
    findings = check.check_target(target, seed)
    if all(finding.ok for finding in findings):
        try:
            findings.extend(_more(target, seed))
        except Exception as error:  # whatever an author's function raises is the author's to read, in one line
            findings.append(Finding(False, "evaluation raises nothing", in_one_line(error)))
    return findings


def _more(target: Target, seed: int) -> Iterator[Finding]:
    if target.registered:
        yield _elsewhere(target, seed)
    yield speed.finding(target)
    yield from agreement.findings(target, seed)


def _elsewhere(target: Target, seed: int) -> Finding:
    """Another process makes the target again, loads what this one compiled, and comes to the same bits."""
    what = "another process gives the same bits"
    rng = np.random.default_rng(seed)
    points = np.array([target.start(rng) for _ in range(POINTS)])
    here = as_bits(np.column_stack(target.evaluate(points)))
    spec = target.label
    with Executor(1) as executor:
        (finished,) = executor.run([Task(spec, Evaluate(spec, points, tuple(loaded())), SECONDS)])
    if finished.result is None:
        return Finding(False, what, f"it cannot: {finished.reason}")
    differ = int((finished.result != here).any(axis=1).sum())
    return Finding(differ == 0, what, f"{differ} of {POINTS} evaluations differ there")
