"""Whether averages over independent runs are what they should be: Student's t, with its standard errors kept honest."""

import numpy as np
from scipy import stats

from targets.check import Finding
from targets.kernel import Matrix, Vector

BOUNDED = 1e100
ALARM = 1e-6  # false alarms a finding, whatever it compares


def threshold(runs: int, count: int) -> float:
    """The t value that one of `count` averages over so many runs exceeds in size with probability `ALARM` at most."""
    return float(stats.t.isf(0.5 * ALARM / count, runs - 1))


def t_values(
    values: Matrix, expected: Vector, error: Vector | float = 0.0, slack: Vector | float = 0.0, floor: float = 0.0
) -> Vector:
    """(k,) t values of the averages of `values` (runs, k) about what is `expected` (k,), signed.

    `error` is the standard error of what is expected, `slack` what an average may be off in any case, and `floor` the
    least standard error that an average can have.
    """
    spread = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    gap = values.mean(axis=0) - expected
    beyond = np.sign(gap) * np.maximum(np.abs(gap) - slack, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = beyond / np.sqrt(np.maximum(spread, floor) ** 2 + np.square(error))
    return np.asarray(np.where(beyond == 0.0, 0.0, found))


def compare(
    what: str,
    names: list[str],
    values: Matrix,
    expected: Vector,
    error: Vector | float = 0.0,
    slack: Vector | float = 0.0,
    floor: float = 0.0,
) -> Finding:
    """A finding on `t_values`; what is not known, NaN, is passed over."""
    known = np.flatnonzero(np.isfinite(expected) & np.isfinite(np.broadcast_to(error, expected.shape)))
    if not len(known):
        return Finding(True, what, "nothing is known to compare with")
    if not (np.abs(values[:, known]) < BOUNDED).all():  # NaN among them
        return Finding(False, what, "averages that are not numbers, or beyond all bounds")
    found = np.abs(t_values(values, expected, error, slack, floor))
    limit = threshold(len(values), len(known))
    worst = int(known[np.argmax(found[known])])
    detail = (
        f"{names[worst]} is {values[:, worst].mean():.4f} over {len(values)} runs, {expected[worst]:.4f} expected, "
        f"t = {found[worst]:.1f}; {limit:.1f} is allowed"
    )
    return Finding(bool(found[worst] <= limit), what, detail)
