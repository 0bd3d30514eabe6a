"""Checking a truth: the certificate is about this density, and two fresh samplers say the same."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from harness.references import statement
from harness.references.agreement import agreement, combined
from harness.references.make import two_statements
from harness.references.plan import EXACT_SECONDS, LEAST_ESS, Plan
from harness.references.runs import CHAINS, Uncertified, long_run
from samplers.chain import Values
from targets import reference
from targets.check import check_target
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

    Means, variances, second moments, quantiles, log normaliser and entropy are compared, as far as the truth has them.
    """
    truth = target.truth
    if truth is None:
        return Verdict(False, "it has no truth; crossover reference makes one")
    if wrong := _other_density(target):
        return Verdict(False, wrong)
    try:
        return _by_exact_draws(target, truth, plan, tell) if truth.sample is not None else _by_two(target, plan, tell)
    except Uncertified as reason:
        return Verdict(False, f"it could not be checked: {reason}")


def _by_two(target: Target, plan: Plan, tell: Callable[[str], None]) -> Verdict:
    """Two fresh samplers agree with each other, and their average with the truth."""
    bare = replace(target, truth=None)
    truth = known(target)
    _, (first, second) = two_statements(bare, plan.for_target(target), plan, tell)
    one, other = first.numbers(bare), second.numbers(bare)
    among = agreement(one, other)
    if not among.ok:
        return Verdict(False, f"the two samplers that check it disagree: {among}")
    against = agreement(combined(one, other), statement.of_truth(truth).numbers(target))
    if not against.ok:
        return Verdict(False, f"two samplers agree on another answer: {against}")
    return Verdict(True, f"{truth.certificate.method}; {against.count} numbers agree: {against}")


class ExactDraws:
    """Independent draws from the truth's own sampler; see `harness.references.runs.Source`."""

    label, evaluations, divergences = "exact draws", 0, 0

    def __init__(self, target: Target, seed: int) -> None:
        self.target, self.rng = target, np.random.default_rng([seed, 2])

    def draws(self, n: int) -> Values:
        """The next (chains, n, dim)."""
        sample = known(self.target).sample
        assert sample is not None  # noqa: S101  (it is what this was chosen for)
        return sample(self.rng, CHAINS * n).reshape(CHAINS, n, self.target.dim)

    def shorten(self) -> bool:
        """No."""
        return False

    def said(self) -> dict[str, float]:
        """Nothing."""
        return {}


def _by_exact_draws(target: Target, truth: Truth, plan: Plan, tell: Callable[[str], None]) -> Verdict:
    """Exact draws have the moments that are stated, and belong to the density; and a sampler says the same, if it can.

    Some densities are made to defeat samplers. The draws are tied to the density by Stein's identities and, where a
    Gaussian overlaps with it, by the log normaliser.
    """
    stated = statement.of_truth(truth).numbers(target)
    exact = long_run(ExactDraws(target, plan.seed), replace(plan, ess=LEAST_ESS), (), tell)
    said = statement.of_run(target, exact, (), np.random.default_rng([plan.seed, 3]))
    against = agreement(said.scaled_by(truth).numbers(target), stated)
    if not against.ok:
        return Verdict(False, f"its own exact draws have another answer: {against}")
    for finding in check_target(target, seed=1):
        if not finding.ok:
            return Verdict(False, f"{finding.what}: {finding.detail}")
    spec = plan.for_target(target)[0]
    brief = replace(plan, max_seconds=min(plan.max_seconds, EXACT_SECONDS))
    how = f"{truth.certificate.method}; exact draws agree: {against}"
    try:
        _, (sampled,) = two_statements(replace(target, truth=None), (spec,), brief, tell)
    except Uncertified as reason:
        return Verdict(True, f"{how}; no sampler was of use: {reason}")
    second = agreement(sampled.scaled_by(truth).numbers(target), stated)
    if not second.ok:
        return Verdict(False, f"exact draws agree, but {spec} does not: {second}")
    return Verdict(True, f"{how}; {spec} agrees: {second}")


def known(target: Target) -> Truth:
    """The truth of a target that has one."""
    assert target.truth is not None  # noqa: S101  (`verify` has seen to it)
    return target.truth


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
