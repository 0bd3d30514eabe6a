"""Laws of MCMC: chains that start from exact draws stay exact, chains differ, and all come to the answer.

Runs are independent, each from exact draws through the target's own way to start. Under invariance every expectation
along them is the true one, however slowly chains mix, and runs vary as much as they vary: Student's t is honest. What
a warm-up that depends on where its chain began leaves behind is a hundredth of a standard deviation at most.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.check.averages import compare
from harness.check.spending import chains, draws, seeds, warmed
from targets.check import Finding
from targets.kernel import Matrix, Vector
from targets.protocols import Method, Run, Status
from targets.target import Target
from targets.truth import Truth

RUNS = 32
WORK = 30_000  # evaluations of each after warm-up
REACHING = 8  # runs from ordinary starting points
EXACT = 100_000  # draws that quantiles are known by
PROBABILITIES = np.array([0.1, 0.5, 0.9])
TAILS = np.array([0.05, 0.25])  # left out on either side of an interval
MEAN_WITHIN = 0.25  # sd, and
VARIANCE_WITHIN = 0.5  # in log: of all runs from ordinary starting points together
SLACK = {"unadjusted": 0.05, "smc": 0.02}  # by tag: what an average may be off, in sd
SAME = 1e-12  # of a step, relative to where it leads: two chains that move so alike share their random numbers
SHARED = 0.01  # of the steps
SHOWN = np.linspace(0.01, 0.99, 50)  # probabilities of the quantiles in pictures


@dataclass(frozen=True)
class Known:
    """Functions of the position whose expectations are known, and how well.

    Attributes:
        names: what each is called.
        expected, error: (k,) expectations and their standard errors.
        cuts: (3, dim) quantiles; low, high: (2, dim) ends of intervals.
    """

    target: Target
    truth: Truth
    names: list[str]
    expected: Vector
    error: Vector
    cuts: Matrix
    low: Matrix
    high: Matrix

    @classmethod
    def of(cls, target: Target, seed: int) -> "Known":
        """Means, squares, products, distribution functions and mode masses."""
        truth = target.truth
        exact = None if truth is None else truth.draws(EXACT, seed)
        if truth is None or exact is None:
            raise ValueError(f"{target.label} has no draws to check by")
        moments, coordinates = truth.moments, range(target.dim)
        i, j = np.triu_indices(target.dim)
        names = [f"E z[{k}]" for k in coordinates]
        names += [f"E z[{a}] z[{b}]" for a, b in zip(i, j, strict=True)]
        names += [f"P(x[{k}] < its {p:g} quantile)" for p in PROBABILITIES for k in coordinates]
        names += [f"P(x[{k}] between its {p:g} and {1 - p:g} quantiles)" for p in TAILS for k in coordinates]
        scale = moments.sd[i] * moments.sd[j]
        probabilities = np.repeat([*PROBABILITIES, *(1 - 2 * TAILS)], target.dim)
        expected = [np.zeros(target.dim), moments.covariance[i, j] / scale, probabilities]
        error = [
            moments.mean_error / moments.sd,
            np.sqrt(moments.variance_error[i] * moments.variance_error[j]) / scale,
            np.sqrt(probabilities * (1 - probabilities) / len(exact)),
        ]
        if truth.modes is not None:
            names += [f"mass of mode {k}" for k in range(len(truth.modes.masses))]
            expected.append(truth.modes.masses)
            error.append(np.zeros(len(truth.modes.masses)))
        cuts, low, high = (np.quantile(exact, p, axis=0) for p in (PROBABILITIES, TAILS, 1 - TAILS))
        return cls(target, truth, names, np.concatenate(expected), np.concatenate(error), cuts, low, high)

    def averages(self, x: Matrix) -> Vector:
        """(k,) averages over the draws x (n, dim)."""
        moments = self.truth.moments
        z = (x - moments.mean) / moments.sd
        i, j = np.triu_indices(self.target.dim)
        with np.errstate(over="ignore", invalid="ignore"):  # of chains that run away
            parts = [z.mean(axis=0), (z[:, i] * z[:, j]).mean(axis=0)]
        parts.append((x < self.cuts[:, None]).mean(axis=1).ravel())
        parts.append(((x > self.low[:, None]) & (x < self.high[:, None])).mean(axis=1).ravel())
        if self.truth.modes is not None:
            parts.append(np.bincount(self.truth.modes.assign(x), minlength=len(self.truth.modes.masses)) / len(x))
        return np.concatenate(parts)


def findings(method: Method, fitting: list[Target], seed: int) -> Iterator[Finding]:
    """Invariance on each target, on the first of them also what chains have in common and where they arrive."""
    for number, target in enumerate(fitting):
        yield from invariant(method, target, seed, 10 + number, apart=number == 0)
    yield from _reaches(method, fitting[0], seed)


def invariant(method: Method, target: Target, seed: int, number: int, apart: bool = False) -> Iterator[Finding]:
    """Averages over runs from exact draws."""
    what = f"leaves {target.name}[dim={target.dim}] invariant"
    known = Known.of(target, seed)
    runs = runs_of(method, started_exactly(target), seeds(seed, number, RUNS))
    if isinstance(runs, Finding):
        yield replace(runs, what=what)
        return
    kept = [draws(run.approximation(), seed) for run in runs]  # type: ignore[arg-type]  # runs_of has seen to it
    values = np.array([known.averages(x) for x in kept])
    slack = max((SLACK[tag] for tag in SLACK if tag in method.tags), default=0.0)
    found = compare(what, known.names, values, known.expected, known.error, slack)
    yield replace(found, drawn=_picture(known.truth, kept, seed))
    yield from _normaliser(runs, known.truth)
    if apart and "smc" not in method.tags:  # the particles of a population descend from one another
        yield from _apart(runs, known)


def started_exactly(target: Target) -> Target:
    """The same target, with chains starting from exact draws."""
    truth = target.truth
    assert truth is not None  # noqa: S101  # `Known.of` has seen to it
    if truth.sample is not None:
        sample = truth.sample
        return replace(target, initial=lambda rng: sample(rng, 1)[0], registered=False)
    reference = truth.reference_draws
    assert reference is not None  # noqa: S101
    return replace(target, initial=lambda rng: reference[rng.integers(len(reference))], registered=False)


def runs_of(method: Method, target: Target, each: list[int]) -> list[Run] | Finding:
    """Runs that have spent their work, or what is wrong with one of them."""
    method.compile(target)
    runs = []
    for seed in each:
        run = warmed(method.start(target, seed), WORK)
        if run.status is Status.FAILED or run.approximation() is None:
            return Finding(False, "", f"no answer with seed {seed}: {run.status}, {run.reason or 'no reason given'}")
        runs.append(run)
    return runs


def _picture(truth: Truth, kept: list[Matrix], seed: int) -> dict[str, object]:
    exact = truth.draws(EXACT, seed)
    found = np.array([np.quantile(x[:, 0], SHOWN) for x in kept])
    return {
        "kind": "quantiles",
        "exact": np.quantile(exact, SHOWN, axis=0)[:, 0].tolist() if exact is not None else [],
        "found": np.median(found, axis=0).tolist(),
        "low": found.min(axis=0).tolist(),
        "high": found.max(axis=0).tolist(),
        "runs": len(kept),
    }


def _normaliser(runs: list[Run], truth: Truth) -> Iterator[Finding]:
    """Log normalisers that a sampler reports. The log of an unbiased estimate is low by half its variance."""
    if "log_normaliser" not in runs[0].diagnostics():
        return
    said = np.array([[run.diagnostics().get("log_normaliser", np.nan)] for run in runs])
    if np.isfinite(said).all():
        expected = np.array([truth.log_normaliser])
        slack = 0.02 + 0.5 * float(said.var())
        yield compare("log normaliser", ["it"], said, expected, truth.log_normaliser_error, slack)


def _apart(runs: list[Run], known: Known) -> Iterator[Finding]:
    """No two chains share positions or steps, and on average they are not correlated."""
    what = "chains are independent"
    held = [chains(run.approximation()) for run in runs]  # type: ignore[arg-type]  # runs_of has seen to it
    values = [each for each in held if each is not None and len(each) > 1]
    if len(values) < len(runs):
        return
    mean, sd = known.truth.moments.mean, known.truth.moments.sd
    products = []
    for each in values:
        one, other = each[:-1], each[1:]
        if (shared := _shared(each)) > SHARED:
            yield Finding(False, what, f"{shared:.0%} of the positions or steps of two chains are the same")
            return
        products.append((((one - mean) / sd) * ((other - mean) / sd)).mean(axis=(0, 1)))
    names = [f"correlation of two chains in coordinate {k}" for k in range(len(mean))]
    yield compare(what, names, np.array(products), np.zeros(len(mean)))


def _shared(values: np.ndarray) -> float:
    """The largest part of the positions, or of the steps at one time, that a chain has in common with its neighbour."""
    worst = 0.0
    for one, other in itertools.pairwise(values):
        met = np.isin(one[:, 0], other[:, 0]).mean()
        step, beside = np.diff(one, axis=0), np.diff(other, axis=0)
        size = np.abs(one[1:]) + np.abs(other[1:]) + np.abs(step)
        alike = (np.abs(step - beside) <= SAME * size).all(axis=1) & (step != 0.0).any(axis=1)
        worst = max(worst, float(met), float(alike.mean()) if len(alike) else 0.0)
    return worst


def _reaches(method: Method, target: Target, seed: int) -> Iterator[Finding]:
    """From ordinary starting points, all runs together: this sees chains that never move."""
    truth = target.truth
    assert truth is not None  # noqa: S101
    runs = runs_of(method, target, seeds(seed, 3, REACHING))
    if isinstance(runs, Finding):
        yield replace(runs, what="mean")
        return
    kept = np.vstack([draws(run.approximation(), seed) for run in runs])  # type: ignore[arg-type]
    off = float(np.max(np.abs(kept.mean(axis=0) - truth.moments.mean) / truth.moments.sd))
    yield Finding(off < MEAN_WITHIN, "mean", f"{off:.3f} sd off in the worst coordinate; {MEAN_WITHIN} is allowed")
    with np.errstate(divide="ignore"):
        ratio = np.log(kept.var(axis=0) / truth.moments.variance)
    worst = float(np.max(np.abs(ratio)))
    yield Finding(worst < VARIANCE_WITHIN, "variance", f"log ratio to the truth at worst {worst:.3f}")
