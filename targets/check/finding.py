"""What a check says, and the two comparisons that most checks come down to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from targets.kernel import Matrix, Vector

DRAWS = 20_000
SIGMAS = 6.0
AGREEMENT = 1e-8  # between two ways to compute one number, relative to its size or to one


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        ok: whether it holds.
        what: what it is.
        detail: one line of figures, or of what is wrong.
        drawn: the numbers of a picture of it, as `reports.verdict` draws them; empty without one.
    """

    ok: bool
    what: str
    detail: str
    drawn: Mapping[str, Any] = field(default_factory=dict, compare=False)


def agree(what: str, one: np.ndarray, other: np.ndarray) -> Finding:
    """Whether two computations of the same numbers agree, and are finite in the same places."""
    finite = np.isfinite(one) & np.isfinite(other)
    if (np.isfinite(one) != np.isfinite(other)).any():
        return Finding(False, what, "one is finite where the other is not")
    gap = np.abs(one[finite] - other[finite]) / np.maximum(1.0, np.abs(other[finite]))
    worst = float(gap.max(initial=0.0))
    return Finding(worst <= AGREEMENT, what, f"largest relative difference {worst:.1e}")


def average(
    what: str, values: Matrix, expected: Vector, error: Vector | None = None, scale: Vector | None = None
) -> Finding:
    """Whether the averages of `values` (n, k) are the expected ones (k,), known with a standard `error` (k,).

    `scale` (k,) holds the true standard deviations of the values where they are known: those of a sample are far too
    small if the tails are heavy. Where either is NaN there is nothing to compare.
    """
    spread = values.std(axis=0) if scale is None else np.maximum(values.std(axis=0), scale)
    known = np.flatnonzero(np.isfinite(expected) & np.isfinite(spread))
    if not len(known):
        return Finding(True, what, "not defined for tails so heavy")
    own = np.zeros(len(expected)) if error is None else error
    errors = np.sqrt(spread**2 / len(values) + own**2)
    # a value that never varies is compared to rounding
    rounding = AGREEMENT * np.maximum(1.0, np.abs(expected))
    sigmas = np.abs(values.mean(axis=0) - expected) / np.maximum(errors, rounding)
    worst = int(known[np.argmax(sigmas[known])])
    detail = (
        f"[{worst}]: {values[:, worst].mean():.6g} from {len(values)} draws, {expected[worst]:.6g} claimed, "
        f"{sigmas[worst]:.1f} standard errors apart"
    )
    return Finding(bool(sigmas[worst] <= SIGMAS), what, detail)
