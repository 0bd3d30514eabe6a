"""Is this target right? Every claim that a target makes about itself, tested in a second or two.

Statistical findings take DRAWS exact draws and raise the alarm at SIGMAS standard errors: for a normal average a false
alarm comes once in 5e8, and a bias of 0.06 standard deviations is found 99 times in 100. The others are exact, or allow
for rounding many times over.
"""

from collections.abc import Iterator

import numpy as np
from numba.core.errors import NumbaError

from targets.check import generative, kernel, structure, truth
from targets.check.finding import DRAWS, SIGMAS, Finding, agree, average
from targets.kernel import Matrix
from targets.target import Target

__all__ = ["DRAWS", "SIGMAS", "Finding", "agree", "average", "check_target"]

STARTS = 8
FAULTS = (ArithmeticError, AttributeError, LookupError, NameError, NumbaError, RuntimeError, TypeError, ValueError)


def check_target(target: Target, seed: int = 0) -> list[Finding]:
    """Findings on the kernel, and on whatever else the target offers; a check that cannot be made is left out.

    Checking stops early where the kernel does not compile or cannot be evaluated at all.
    """
    findings: list[Finding] = []
    try:
        findings.extend(_findings(target, np.random.default_rng(seed)))
    except FAULTS as fault:
        lines = [part.strip() for part in str(fault).splitlines() if part.strip()]
        line = next((part for part in lines if not part.startswith("Failed in nopython mode")), "")
        what = "the kernel compiles" if isinstance(fault, NumbaError) else "evaluation raises nothing"
        findings.append(Finding(False, what, f"{type(fault).__name__}: {line}"))
    return findings


def _findings(target: Target, rng: np.random.Generator) -> Iterator[Finding]:
    yield kernel.signature(target)
    starts = np.array([target.start(rng) for _ in range(STARTS)])
    yield kernel.starts(target, starts)
    draws = None if target.truth is None else target.truth.draws(DRAWS, int(rng.integers(2**31)))
    if draws is not None and (draws.ndim != 2 or draws.shape[1] != target.dim):
        yield Finding(False, "the sampler gives (n, dim)", f"its draws have the shape {draws.shape}")
        draws = None
    points = np.vstack([starts, 10.0 * starts] if draws is None else [starts, draws[:STARTS], 10.0 * draws[:STARTS]])
    yield kernel.gradient(target, points, _centre(starts if draws is None else draws))
    yield kernel.overwritten(target, points)
    yield kernel.data_alone(target, points)
    yield kernel.pure(target, points)
    yield kernel.threads(target, points)
    if target.log_density is not None:
        yield structure.density(target, points)
    yield kernel.hostile(target, starts[0])
    yield from structure.claims(target, points)
    if target.truth is not None:
        shapes = truth.shapes(target, target.truth)
        yield shapes
        if shapes.ok:
            yield from truth.findings(target, target.truth, draws, rng)
    if target.generative is not None:
        yield from generative.findings(target, target.generative, rng)


def _centre(points: Matrix) -> Matrix:
    """The middle of the points (dim,); tails may be too heavy for a mean."""
    return np.asarray(np.median(points, axis=0))
