"""The verdict on a fit: whether it has converged, whether it can be trusted, and why.

Two questions. A fit has converged if its own stopping rule says so: q is then the best of its family, as far as can be
told. It can be trusted if q is near p: by the tail of p / q over draws of q, by the gap between bounds on the log
normaliser from below and above where exact draws of p make the latter, and by the error that the method itself states.
"""

import math
from dataclasses import dataclass

from targets.protocols import Status
from variational.objectives import Estimate
from variational.psis import threshold

CLOSE = 1.0  # nats between ELBO and EUBO, which is KL(q || p) + KL(p || q), up to which q passes for p
SURE = 3.0  # standard errors that are granted to them
LOOSE = 0.1  # sd: a stated Monte Carlo error beyond this is no answer


@dataclass(frozen=True)
class Evidence:
    """What is known of a fit.

    Attributes:
        status, reason: how the run ended.
        elbo, eubo: bounds on the log normaliser; NaN where there is none.
        k_hat: tail shape of p / q over `draws` draws of q; NaN where q has no density.
        monte_carlo_error: of means and log sds in sd, where the method states it; else NaN.
    """

    status: Status
    reason: str
    elbo: Estimate
    eubo: Estimate
    k_hat: float
    draws: int
    monte_carlo_error: float = math.nan


@dataclass(frozen=True)
class Verdict:
    """Whether a fit has converged, and can be trusted; None where nothing speaks for or against it.

    Attributes:
        converged: by its own stopping rule.
        trustworthy: whether q is near p by all that is known, and None if nothing is.
        reasons: one line each, for and against.
    """

    converged: bool
    trustworthy: bool | None
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        ended = "converged" if self.converged else "not converged"
        said = {True: "trustworthy", False: "not trustworthy", None: "no evidence for or against it"}
        return f"{ended}, {said[self.trustworthy]}"


def judge(evidence: Evidence) -> Verdict:
    """Weigh the evidence: one finding against q is enough, and without any there is no verdict."""
    converged = evidence.status is Status.CONVERGED
    findings = [finding for part in (_tail, _sandwich, _noise) if (finding := part(evidence)) is not None]
    against = [text for good, text in findings if not good]
    reasons = [text for _, text in findings]
    if not converged:
        reasons.insert(0, f"{evidence.status}" + (f": {evidence.reason}" if evidence.reason else ""))
    if not findings:
        return Verdict(converged, None if converged else False, tuple(reasons))
    return Verdict(converged, converged and not against, tuple(reasons))


def _tail(evidence: Evidence) -> tuple[bool, str] | None:
    limit = threshold(evidence.draws)
    if math.isnan(evidence.k_hat):
        return None
    if evidence.k_hat < limit:
        return True, (
            f"k-hat {evidence.k_hat:.2f} is below {limit:.2f}: where q draws, it is near p (a mode that it never "
            "visits does not show)"
        )
    return False, f"k-hat {evidence.k_hat:.2f} is not below {limit:.2f}: q misses tails of p"


def _sandwich(evidence: Evidence) -> tuple[bool, str] | None:
    below, above = evidence.elbo, evidence.eubo
    if math.isnan(below.value) or math.isnan(above.value):
        return None
    gap = above.value - below.value
    error = math.hypot(0.0 if math.isnan(below.error) else below.error, 0.0 if math.isnan(above.error) else above.error)
    text = f"ELBO {below.value:.3f} and EUBO {above.value:.3f} are {gap:.2f} nats apart, {CLOSE:g} is allowed"
    return gap <= CLOSE + SURE * error, text


def _noise(evidence: Evidence) -> tuple[bool, str] | None:
    error = evidence.monte_carlo_error
    if math.isnan(error):
        return None
    return error <= LOOSE, f"the method states a Monte Carlo error of {error:.3f} sd, {LOOSE:g} is allowed"
