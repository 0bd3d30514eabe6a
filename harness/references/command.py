"""What `crossover reference` does, line by line."""

import math
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from harness.references import selection
from harness.references.make import Made, make
from harness.references.plan import CHECKING_ESS, Plan
from harness.references.runs import Uncertified
from harness.references.verify import verify
from targets import reference
from targets.posteriordb import normalisers

Line = tuple[bool, str]  # whether all is well, and what is printed


def plan(verifying: bool, samplers: tuple[str, ...], threads: int | None, **asked: Any) -> Plan:
    """The plan with what was asked, where something was.

    Raises:
        UsageError: something is not accepted.
    """
    given = {key: value for key, value in asked.items() if value is not None}
    if verifying:
        given.setdefault("ess", CHECKING_ESS)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Plan(samplers=samplers, threads=threads or cores, **given)


def made(patterns: tuple[str, ...], everything: bool, plan: Plan, folder: pathlib.Path | None) -> Iterator[Line]:
    """Make certificates; one line for each."""
    found = False
    for target in list(selection.to_make(patterns, everything)):  # every SPEC is read before any work begins
        found = True
        try:
            yield True, _line(target.label, make(target, plan, folder, _tell))
        except Uncertified as reason:
            yield False, f"{target.label}: nothing is certified: {reason}"
    if not found:
        yield True, "every target has its truth; name those whose certificates are to be made again"


def normalised(patterns: tuple[str, ...]) -> Iterator[Line]:
    """Compute log normalisers from reference draws of posteriordb and keep them; one line for each."""
    found = [(target, normalisers.computed(target)) for target in selection.to_verify(patterns, everything=False)]
    for target, bridged in found:
        known = math.isfinite(bridged.value)
        said = f"{bridged.value:.4f} +- {bridged.error:.4f}" if known else "unknown: no Gaussian meets its draws"
        yield known, f"{target.label}: log normaliser {said}"
    normalisers.write([each for each in found if math.isfinite(each[1].value)])


def _line(label: str, done: Made) -> str:
    ess = min(min(run.found.ess, run.found.ess_square) for run in done.runs)
    r_hat = max(run.found.r_hat for run in done.runs)
    value, error = done.log_normaliser
    known = f"log normaliser {value:.4f} +- {error:.4f}" if value == value else "log normaliser unknown"
    path = reference.file(done.place)
    return (
        f"{label}: certified: ESS at least {ess:,.0f}, R-hat at most {r_hat:.4f}, {known}; the samplers agree: "
        f"{done.agreed} ({done.agreed.count} numbers, false alarm {done.agreed.false_alarm:.1g}); {path}"
    )


def verified(patterns: tuple[str, ...], everything: bool, plan: Plan) -> Iterator[Line]:
    """Check truths; one line for each."""
    if everything:
        for lost in selection.stray():
            yield False, f"WRONG {lost}: its certificate is about other data than the target now has"
    for target in list(selection.to_verify(patterns, everything)):
        verdict = verify(target, plan, _tell)
        yield verdict.ok, f"{'ok   ' if verdict.ok else 'WRONG'} {target.label}: {verdict.line}"


def _tell(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()
