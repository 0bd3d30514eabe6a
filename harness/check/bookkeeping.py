"""Laws of every run: the seed decides everything, cuts and pickles and threads nothing, and each evaluation counts."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from harness.check.spending import SHORT, advanced, said, same, seeds, spend
from targets.check import Finding
from targets.plain import counting
from targets.protocols import Method
from targets.target import Target


def findings(method: Method, target: Target, seed: int) -> Iterator[Finding]:
    """All of it, on one target."""
    one, other = seeds(seed, 0, 2)
    first, second = (said(advanced(method, target, one)) for _ in range(2))
    yield Finding(same(first, second), "repeats", "the same seed gives the same bits twice")
    yield from _seed_matters(method, target, one, other)
    cut = said(advanced(method, target, one, piece=SHORT // 7))
    yield Finding(
        same(first, cut),
        "does not depend on slices",
        f"{first.work} evaluations in one call, {cut.work} in several: the same bits are expected",
    )
    yield _resumes(method, target, one)
    yield _threads(method, target, one, other)
    yield _stays(method, target, one)
    yield _counts(method, target, one)


def _seed_matters(method: Method, target: Target, one: int, other: int) -> Iterator[Finding]:
    """For samplers: a fit may well end in the same place from every seed."""
    if "mcmc" not in method.tags:
        return
    first, second = (said(advanced(method, target, each)).mean for each in (one, other))
    differ = first.shape != second.shape or not np.any(first == second)
    yield Finding(differ, "the seed matters", "two seeds give two answers" if differ else "two seeds give one answer")


def _resumes(method: Method, target: Target, seed: int) -> Finding:
    what = "resumes"
    run = method.start(target, seed)
    run.advance(SHORT // 2)
    try:
        revived = pickle.loads(pickle.dumps(run))
    except Exception as error:  # whatever pickling the author's run raises is the author's to read
        line = str(error).splitlines()[0] if str(error) else "no message"
        return Finding(False, what, f"the run cannot be pickled: {type(error).__name__}: {line}")
    for each in (run, revived):
        spend(each, SHORT)
    return Finding(same(said(run), said(revived)), what, "a pickled run goes on with the same bits")


def _threads(method: Method, target: Target, one: int, other: int) -> Finding:
    alone = [said(advanced(method, target, each)) for each in (one, other)]
    runs = [method.start(target, each) for each in (one, other)]  # both before either goes on
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda run: spend(run, SHORT), runs))
    kept = all(same(before, said(run)) for before, run in zip(alone, runs, strict=True))
    return Finding(kept, "two runs at once", "in two threads each ends in the bits that it has alone")


def _stays(method: Method, target: Target, seed: int) -> Finding:
    """The harness keeps answers and judges them after the race."""
    run = advanced(method, target, seed)
    early = run.approximation()
    if early is None:
        return Finding(True, "an answer stays what it was", "there is none so early")
    mean, covariance = np.array(early.mean), np.array(early.covariance)
    quartiles = np.array(early.quantiles(np.array([0.25, 0.75])))
    spend(run, run.work.total + SHORT)
    kept = (
        np.array_equal(mean, early.mean)
        and np.array_equal(covariance, early.covariance)
        and np.array_equal(quartiles, early.quantiles(np.array([0.25, 0.75])))
    )
    return Finding(kept, "an answer stays what it was", "the same bits before and after the run went on")


def _counts(method: Method, target: Target, seed: int) -> Finding:
    counted, counter = counting(target)
    if method.unfit(counted) is not None:  # what counts calls has no rows of data
        return Finding(True, "counts", "calls are not counted for a method that reads rows of data")
    work = advanced(method, counted, seed).work
    said, seen = (work.gradient_evaluations, work.density_evaluations), (counter.gradients, counter.densities)
    return Finding(
        said == seen,
        "counts",
        f"run.work says {said[0]} gradients and {said[1]} densities; {seen[0]} and {seen[1]} seen",
    )
