"""The study of coverage: how often intervals hold the parameters that data were drawn with, of VB-EM and of Gibbs.

Parameters come from the prior and data from the parameters, so that exact posterior intervals cover as often as they
say, averaged over repetitions: the chains' coverage is the check of the whole arrangement, and what fits lack of it is
what they lose.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.coverage import factors, posteriors, topics
from harness.coverage.repeated import LEVELS, STARTS, SWEEPS, Subject, covered, repeated, together
from targets.options import require

__all__ = ["CASES", "REPETITIONS", "Case", "Subject", "compute", "repeated", "together"]

REPETITIONS = 200


@dataclass(frozen=True)
class Case:
    """A model that parameters and data are drawn from.

    Attributes:
        name: what the table calls it.
        exact: whether its factors are independent in the posterior too, so that VB-EM is exact.
        make: the model, or None where it is not to be had yet.
    """

    name: str
    exact: bool
    make: Callable[[], Subject | None]


# A new one is a line here.
CASES: tuple[Case, ...] = (
    Case("one Gaussian, 20 rows", True, posteriors.mixture(1, 20, 0.05)),
    Case("two Gaussians apart, 100 rows", False, posteriors.mixture(2, 100, 0.02)),
    Case("two Gaussians that overlap, 100 rows", False, posteriors.mixture(2, 100, 0.8)),
    Case(
        "regression on 5 covariates, 20 rows, prior of the noise's size",
        True,
        posteriors.registered("linear_regression[dataset=synthetic,n=20,dim=5,prior=ratio]"),
    ),
    Case(
        "regression on 5 covariates, 20 rows, a prior size to be learned",
        False,
        posteriors.registered("linear_regression[dataset=synthetic,n=20,dim=5]"),
    ),
    Case("hidden Markov model, 100 times", False, posteriors.registered("hidden_markov[n=100]")),
    Case("two factors of 6 columns, 60 rows", False, factors.subject),
    Case("three topics of 30 documents of 40 words", False, topics.subject),
)


def compute(repetitions: int | None, sweeps: int | None) -> dict[str, Any]:
    """The numbers of the study, ready for JSON: so many repetitions (--seeds), each with so many sweeps of chains."""
    count = REPETITIONS if repetitions is None else repetitions
    length = SWEEPS if sweeps is None else sweeps
    require(count >= 1, f"--seeds {count} is not accepted; it takes 1 or more")
    require(length >= 100, f"--max-gradients {length} is not accepted; it takes 100 or more")
    cases = [numbers for case in CASES if (numbers := _case(case, count, length)) is not None]
    told = {"repetitions": count, "sweeps": length, "starts": STARTS, "levels": list(LEVELS)}
    return {**told, "cases": cases}


def _case(case: Case, count: int, sweeps: int) -> dict[str, Any] | None:
    subject = case.make()
    if subject is None:
        return None
    found = list(repeated(subject, count, sweeps))
    fit, chains, fit_sd, chains_sd = (np.array(part) for part in zip(*found, strict=True))
    return {
        "name": case.name,
        "exact": case.exact,
        "quantities": [
            {
                "name": name,
                "fit": covered(fit[:, i]),
                "chains": covered(chains[:, i]),
                "sd_ratio": float(np.median(fit_sd[:, i] / chains_sd[:, i])),
            }
            for i, name in enumerate(subject.names)
        ],
    }
