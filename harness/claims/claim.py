"""What a claim of the chapter is, and what running it finds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np


class Verdict(StrEnum):
    """What became of a claim."""

    HOLDS = "holds"
    ONLY_IF = "holds only if"
    FAILS = "does not hold"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Effort:
    """How much a check may do: `fast` for tests, with as few repetitions as its verdict allows."""

    seed: int = 1
    fast: bool = False

    def of(self, full: int, fast: int) -> int:
        """A number of repetitions."""
        return fast if self.fast else full

    def seeds(self, stream: int, count: int) -> list[int]:
        """So many seeds of runs."""
        return [int(state) for state in np.random.SeedSequence([self.seed, stream]).generate_state(count)]

    def rng(self, stream: int) -> np.random.Generator:
        """A generator of its own for each check."""
        return np.random.default_rng([self.seed, stream])


@dataclass(frozen=True)
class Found:
    """What a check finds.

    Attributes:
        verdict: of the claim as the chapter makes it.
        number: the measurement in a few words.
        detail: what stands behind it; where the verdict is `ONLY_IF`, it begins with the condition.
        numbers: for JSON.
        lines: what is drawn: names of curves, each with as many numbers as `at` has, or nothing.
        at, along, up: positions of the points, and what the axes show.
    """

    verdict: Verdict
    number: str
    detail: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, list[float]] = field(default_factory=dict)
    at: list[float] = field(default_factory=list)
    along: str = ""
    up: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim in our own words.

    Attributes:
        name: by which it is asked for.
        place: where the chapter makes it.
        says: what it says.
        check: what is run.
    """

    name: str
    place: str
    says: str
    check: Callable[[Effort], Found]


def either(holds: bool) -> Verdict:
    """A verdict without a condition."""
    return Verdict.HOLDS if holds else Verdict.FAILS
