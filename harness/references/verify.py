"""Checking a truth: the certificate is about this density, and two fresh samplers say the same."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from harness.references import statement
from harness.references.agreement import agreement, combined
from harness.references.make import two_statements
from harness.references.plan import Plan
from harness.references.runs import Uncertified
from targets import reference
from targets.target import Target
from targets.truth import Truth

PROBE = 1e-9  # relative difference of the log density


@dataclass(frozen=True)
class Verdict:
    """Whether a truth holds, and why in one line."""

    ok: bool
    line: str


def verify(target: Target, plan: Plan, tell: Callable[[str], None] = print) -> Verdict:
    """Check the truth of a target, whatever it is: a certificate, closed form, quadrature or importance sampling.

    The two fresh runs must suffice and agree with each other, and their average with the truth: means, variances,
    second moments, quantiles, log normaliser and entropy, as far as the truth has them.
    """
    truth = target.truth
    if truth is None:
        return Verdict(False, "it has no truth; crossover reference makes one")
    if wrong := _other_density(target):
        return Verdict(False, wrong)
    bare = replace(target, truth=None)
    try:
        _, (first, second) = two_statements(bare, plan.for_target(target), plan, tell)
    except Uncertified as reason:
        return Verdict(False, f"it could not be checked: {reason}")
    one, other = first.numbers(bare), second.numbers(bare)
    among = agreement(one, other)
    if not among.ok:
        return Verdict(False, f"the two samplers that check it disagree: {among}")
    against = agreement(combined(one, other), statement.of_truth(truth).numbers(target))
    if not against.ok:
        return Verdict(False, f"two samplers agree on another answer: {against}")
    return Verdict(True, f"{_how(truth)}; {against.count} numbers agree: {against}")


def _other_density(target: Target) -> str | None:
    """Whether the certificate was made about another density than the target now has."""
    if target.place is None or target.truth is None or not reference.exists(target.place):
        return None
    said = reference.content(target.place)
    at = np.array([said["probe"]["at"]])
    known, found = said["probe"]["log_density"], float(target.log_densities(at)[0])
    if abs(found - known) <= PROBE * max(1.0, abs(known)):
        return None
    return f"it was made about another density: {known:.9g} at its probe, where the target now has {found:.9g}"


def _how(truth: Truth) -> str:
    return truth.certificate.method
