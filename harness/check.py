"""Is this target or method right? What `crossover check` asks, and what it answers."""

import pathlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import targets
from harness import plugins, registry
from harness.spec import parse
from targets.check import Finding, check_target
from targets.kernel import Matrix, Vector
from targets.options import UsageError
from targets.plain import counting, from_python
from targets.protocols import Method, Run, Status
from targets.registry import TARGETS
from targets.target import Target

BUDGET = 40_000  # evaluations that a method may spend on the test target
TESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("correlated_gaussian", {"dim": 3, "rho": 0.5}),
    ("logistic_regression", {"dataset": "synthetic", "n": 200, "dim": 3}),
)
MEAN_WITHIN = 0.25  # sd: MCMC with an effective sample size above 200 is further off once in 3,000 coordinates
SHORT = 3_000  # evaluations of a run whose bits are compared
LONGEST = 32 * BUDGET  # evaluations within which a method that works in passes must have an answer


def check(name: str) -> Iterator[tuple[str, list[Finding]]]:
    """Check a target, a method, or all that a plug-in file defines; yields subjects with findings.

    Raises:
        UsageError: the name is neither.
    """
    if name.endswith(".py") or pathlib.Path(name).is_file():
        module = plugins.load(name)
        for target_name in getattr(module, "TARGETS", {}):
            yield f"target {target_name}", check_target(registry.target(target_name), seed=1)
        for method_name in getattr(module, "METHODS", {}):
            yield f"method {method_name}", check_method(registry.method(method_name))
        return
    spec = parse(name)
    if spec.name in TARGETS.names():
        yield f"target {spec}", check_target(registry.target(spec), seed=1)
    elif spec.name in registry.names():
        yield f"method {spec}", check_method(registry.method(spec))
    else:
        known = ", ".join([*TARGETS.names(), *registry.names()])
        raise UsageError(f"no target or method is called {spec.name!r}, and there is no such file; known: {known}")


def check_method(method: Method) -> list[Finding]:
    """Run a method on a target whose answer is known, and on a density that is nowhere finite.

    The target is a Gaussian; or a small regression, for methods that need a prior and a likelihood over rows of data.
    """
    try:
        refusals = []
        for name, options in TESTS:
            target = targets.load(name, **options)
            refused = method.unfit(target)
            if refused is None:
                return list(_findings(method, target))
            refusals.append(f"{target.label} is refused: {refused}")
        return [Finding(False, "fits a test target", "; ".join(refusals))]
    except Exception as error:  # whatever the author's method raises is the author's to read, in one line
        return [Finding(False, "runs", plugins.in_one_line(error))]


@dataclass(frozen=True)
class _Said:
    """What a run says at its end."""

    mean: Vector
    covariance: Matrix
    work: int


def _findings(method: Method, target: Target) -> Iterator[Finding]:
    first, second = (_said(_advanced(method, target, 1)) for _ in range(2))
    yield Finding(_same(first, second), "repeats", "the same seed gives the same bits twice")
    cut = _said(_advanced(method, target, 1, piece=SHORT // 7))
    yield Finding(
        _same(first, cut),
        "does not depend on slices",
        f"{first.work} evaluations in one call, {cut.work} in several: the same bits are expected",
    )
    run = method.start(target, 1)
    run.advance(SHORT // 2)
    revived = pickle.loads(pickle.dumps(run))
    for each in (run, revived):
        _spend(each, SHORT)
    yield Finding(_same(_said(run), _said(revived)), "resumes", "a pickled run goes on with the same bits")
    yield from _counts(method, target)
    yield from _answers(method, target)
    yield _survives(method)


def _counts(method: Method, target: Target) -> Iterator[Finding]:
    counted, counter = counting(target)
    if method.unfit(counted) is not None:  # what counts calls has no rows of data
        yield Finding(True, "counts", "calls are not counted for a method that reads rows of data")
        return
    method.compile(counted)
    work = _advanced(method, counted, 1).work
    said, seen = (work.gradient_evaluations, work.density_evaluations), (counter.gradients, counter.densities)
    yield Finding(
        said == seen,
        "counts",
        f"run.work says {said[0]} gradients and {said[1]} densities; {seen[0]} and {seen[1]} seen",
    )


def _answers(method: Method, target: Target) -> Iterator[Finding]:
    run = _advanced(method, target, 2, BUDGET)
    yield Finding(
        run.status is not Status.FAILED, "ends well", f"status {run.status}: {run.reason or 'no reason given'}"
    )
    approximation = run.approximation()
    if approximation is None or target.truth is None:
        yield Finding(False, "has an answer", f"approximation() is None after {run.work.total} evaluations")
        return
    moments = target.truth.moments
    off = float(np.max(np.abs(approximation.mean - moments.mean) / moments.sd))
    yield Finding(off < MEAN_WITHIN, "mean", f"{off:.3f} sd off in the worst coordinate; {MEAN_WITHIN} is allowed")
    symmetric = np.allclose(approximation.covariance, approximation.covariance.T)
    positive = bool(np.all(np.linalg.eigvalsh(approximation.covariance) > 0))
    yield Finding(symmetric and positive, "covariance", "symmetric and positive definite")
    quartiles = approximation.quantiles(np.array([0.25, 0.75]))
    ordered = quartiles.shape == (2, target.dim) and bool(np.all(quartiles[0] < quartiles[1]))
    yield Finding(ordered, "quantiles", f"(2, {target.dim}) expected, rising; shape {quartiles.shape}")
    draws = approximation.sample(np.random.default_rng(1), 5)
    yield Finding(draws.shape == (5, target.dim), "sample", f"(5, {target.dim}) expected; shape {draws.shape}")
    if "mcmc" in method.tags:
        ratio = np.diagonal(approximation.covariance) / moments.variance
        worst = float(np.max(np.abs(np.log(ratio))))
        yield Finding(worst < 2 * MEAN_WITHIN, "variance", f"log ratio to the truth at worst {worst:.3f}")


def _survives(method: Method) -> Finding:
    """A density that is nowhere finite must end in a named failure."""
    broken = from_python(_nowhere, 3, name="nowhere finite")
    if method.unfit(broken) is not None:
        return Finding(True, "fails by name", "a bare density is refused with a reason")
    method.compile(broken)
    run = _advanced(method, broken, 1)
    named = run.status is Status.FAILED and bool(run.reason)
    return Finding(
        named, "fails by name", f"where the density is nowhere finite: {run.status}, {run.reason or 'no reason'}"
    )


def _nowhere(x: Vector) -> tuple[float, Vector]:
    return -np.inf, np.zeros_like(x)


def _advanced(method: Method, target: Target, seed: int, budget: int = SHORT, piece: int | None = None) -> Run:
    method.compile(target)
    run = method.start(target, seed)
    _spend(run, budget, piece)
    return run


def _spend(run: Run, budget: int, piece: int | None = None) -> None:
    """Advance to the budget, or to its doubles until there is an answer, since some methods have none for long.

    Pieces end at the same multiples of work, so that only the cuts between them differ.
    """
    while run.status is Status.RUNNING:
        left = budget - run.work.total
        if left > 0:
            run.advance(left if piece is None else min(piece, left))
        elif run.approximation() is None and budget < LONGEST:
            budget *= 2
        else:
            return


def _said(run: Run) -> _Said:
    approximation: Any = run.approximation()
    if approximation is None:
        return _Said(np.empty(0), np.empty((0, 0)), run.work.total)
    return _Said(approximation.mean, approximation.covariance, run.work.total)


def _same(a: _Said, b: _Said) -> bool:
    return a.work == b.work and np.array_equal(a.mean, b.mean) and np.array_equal(a.covariance, b.covariance)
