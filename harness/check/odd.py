"""Densities that a method meets sooner or later: nowhere finite, improper, flat, with holes, in one dimension.

A method may end as it likes where there is no answer, by a failure that it names or by going on, but it must not raise,
stand still, or say that it has converged. Where a density has holes, no draw may lie in one.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import targets
from harness.check import invariance, optimum
from harness.check.spending import SHORT, StalledError, advanced, draws, seeds
from harness.plugins import in_one_line
from targets.check import Finding
from targets.kernel import data_matrix, kernel
from targets.protocols import Method, Run, Status
from targets.target import Target

EDGE = 1.0  # of the first coordinate, beyond which the density with holes cannot be evaluated


@kernel
def nowhere(x, gradient, data):  # type: ignore[no-untyped-def]
    """Nowhere finite. One row, one column: minus infinity."""
    for i in range(x.shape[0]):
        gradient[i] = 0.0 * x[i]
    return data[0, 0]


@kernel
def rising(x, gradient, data):  # type: ignore[no-untyped-def]
    """exp(slope times the sum of the coordinates), whose integral is infinite. One row, one column: the slope."""
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = data[0, 0]
        total += data[0, 0] * x[i]
    return total


@kernel
def half(x, gradient, data):  # type: ignore[no-untyped-def]
    """A standard Gaussian where the first coordinate is below an edge, and NaN elsewhere. One row, one column: it."""
    beyond = not x[0] <= data[0, 0]
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = math.nan if beyond else -x[i]
        total -= 0.5 * x[i] * x[i]
    return math.nan if beyond else total


def findings(method: Method, seed: int) -> Iterator[Finding]:
    """One finding for each odd density, and the laws of its kind in one dimension."""
    with np.errstate(all="ignore"):  # what runs away overflows
        one = seeds(seed, 6, 1)[0]
        yield _on(method, _bare("nowhere finite", nowhere, -math.inf), one, _fails)
        yield _on(method, _bare("rising without end", rising, 1.0), one, _does_not_converge)
        yield _on(method, _bare("flat", rising, 0.0), one, _does_not_converge)
        yield _on(method, _bare("not a number beyond an edge", half, EDGE), one, _stays_inside)
    yield from _one_dimension(method, seed)


def _bare(name: str, log_density: Any, number: float) -> Target:
    return Target(name, 3, log_density, data_matrix([[number]]))


def _on(method: Method, target: Target, seed: int, judge: Callable[[Run, Target], Finding]) -> Finding:
    what = "fails by name" if judge is _fails else f"survives a density that is {target.name}"
    if refused := method.unfit(target):
        return Finding(True, what, f"refused: {refused}")
    try:
        return replace(judge(advanced(method, target, seed, SHORT), target), what=what)
    except StalledError as error:
        return Finding(False, what, str(error))
    except Exception as error:  # whatever the author's method raises is the author's to read
        return Finding(False, what, f"it raises {in_one_line(error)}")


def _fails(run: Run, target: Target) -> Finding:
    named = run.status is Status.FAILED and bool(run.reason)
    return Finding(named, "", f"where the density is {target.name}: {run.status}, {run.reason or 'no reason'}")


def _does_not_converge(run: Run, _: Target) -> Finding:
    """There is nothing to converge to: a bound has no maximum, and the mass lies at infinity."""
    named = run.status is Status.RUNNING or bool(run.reason)
    return Finding(run.status is not Status.CONVERGED and named, "", _ended(run))


def _stays_inside(run: Run, target: Target) -> Finding:
    approximation = run.approximation()
    if approximation is None:
        named = run.status is Status.RUNNING or bool(run.reason)
        return Finding(named, "", _ended(run))
    finite = np.isfinite(approximation.mean).all() and np.isfinite(approximation.covariance).all()
    if not finite:
        return Finding(False, "", "its mean or covariance is not finite")
    if approximation.log_density(np.zeros((1, target.dim))) is not None:  # a family may reach beyond an edge
        return Finding(True, "", _ended(run))
    lost = int((~np.isfinite(target.log_densities(draws(approximation, 0)))).sum())
    return Finding(lost == 0, "", f"{lost} draws lie where the density is not a number; {_ended(run)}")


def _ended(run: Run) -> str:
    return f"it ends {run.status}" + (f", {run.reason}" if run.reason else "")


def _one_dimension(method: Method, seed: int) -> Iterator[Finding]:
    target = targets.load("correlated_gaussian", dim=1, mean=-1.0)
    if refused := method.unfit(target):
        yield Finding(True, "one dimension", f"refused: {refused}")
    elif "mcmc" in method.tags:
        yield from invariance.invariant(method, target, seed, 20)
    elif "vi" in method.tags:
        for found in optimum.findings(method, target, seed):
            yield replace(found, what=f"one dimension: {found.what}", drawn={})
