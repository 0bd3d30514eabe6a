"""Whether two statements about one distribution agree within their standard errors."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from targets.kernel import Vector
from targets.truth import Moments, Quantiles

SIGMAS = 4.0
FALSE_ALARM = 0.01  # in one comparison of everything, if errors are normal and as large as they say
ROUNDING = 1e-9


@dataclass(frozen=True)
class Agreement:
    """The largest difference of `count` numbers, in combined standard errors, and where it is."""

    sigmas: float
    where: str
    count: int

    @property
    def limit(self) -> float:
        """Standard errors allowed: `SIGMAS`, or as many as keep the rate of false alarms where numbers are many."""
        return max(SIGMAS, float(norm.isf(FALSE_ALARM / (2 * max(self.count, 1)))))

    @property
    def false_alarm(self) -> float:
        """Bound on the probability that two right statements are told apart (Bonferroni)."""
        return float(2 * self.count * norm.sf(self.limit))

    @property
    def ok(self) -> bool:
        """Whether the difference is within the limit."""
        return self.sigmas <= self.limit

    def __str__(self) -> str:
        return f"{self.where} {self.sigmas:.1f} standard errors apart, of {self.limit:.1f} allowed"


@dataclass(frozen=True)
class Number:
    """A number, or an array of them, with its standard error and what to call it."""

    what: str
    names: tuple[str, ...]
    value: Vector
    error: Vector


def moments(of: Moments, names: Sequence[str]) -> list[Number]:
    """Means, variances and second moments. What has no finite scale is left out: averages say nothing of it."""
    defined = np.where(np.isfinite(of.variance_of_centred_square), 0.0, np.nan)
    rows = (
        ("mean", of.mean, of.mean_error),
        ("variance", of.variance + defined, of.variance_error),
        ("second moment", of.second_moment + defined, of.second_moment_error),
    )
    return [Number(what, tuple(names), value, error) for what, value, error in rows]


def quantiles(of: Quantiles, names: Sequence[str]) -> list[Number]:
    """One for each probability."""
    rows = zip(of.probabilities, of.values, of.errors, strict=True)
    return [Number(f"{p:.0%} quantile", tuple(names), value, error) for p, value, error in rows]


def number(what: str, value: float, error: float) -> Number:
    """A single one."""
    return Number(what, ("",), np.array([value]), np.array([error]))


def agreement(one: Iterable[Number], other: Iterable[Number]) -> Agreement:
    """Compare what both state, by what it is called; what is not finite on either side is left out."""
    others = {each.what: each for each in other}
    worst, where, count = 0.0, "nothing", 0
    for a in one:
        b = others.get(a.what)
        if b is None:
            continue
        rounding = ROUNDING * np.maximum(1.0, np.abs(a.value))
        sigmas = np.abs(a.value - b.value) / np.maximum(np.hypot(a.error, b.error), rounding)
        known = np.flatnonzero(np.isfinite(sigmas))
        count += len(known)
        if len(known) and (largest := float(np.max(sigmas[known]))) >= worst:
            at = a.names[int(known[np.argmax(sigmas[known])])]
            worst, where = largest, f"{a.what} of {at}" if at else a.what
    return Agreement(worst, where, count)


def combined(one: Iterable[Number], other: Iterable[Number]) -> list[Number]:
    """Averages of what both state, weighted by the inverse variances of independent statements."""
    others = {each.what: each for each in other}
    return [_combine(each, others[each.what]) for each in one if each.what in others]


def _combine(a: Number, b: Number) -> Number:
    total = a.error**2 + b.error**2
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(total > 0, b.error**2 / total, 0.5)
        value = share * a.value + (1 - share) * b.value
        error = np.where(total > 0, a.error * b.error / np.sqrt(total), 0.0)
    return Number(a.what, a.names, value, error)


def finite(value: float) -> float | None:
    """The number, or None for JSON where it is not one."""
    return value if math.isfinite(value) else None
