"""Is this target right? Every claim that a target makes about itself, tested in under a second or so.

Statistical findings take DRAWS exact draws and raise the alarm at SIGMAS standard errors: for a normal average a false
alarm comes once in 5e8, and a bias of 0.13 standard deviations is found 98 times in 100.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba.core.errors import NumbaError

from targets.gradient_check import TOLERANCE, worst_slope
from targets.kernel import Matrix, Vector, compiled, empty
from targets.target import HARD_BOUNDARY, Rows, Target
from targets.truth import Modes, Moments, Truth

DRAWS = 4000
SIGMAS = 6.0
STARTS = 8
FAR = 512  # float64s between a position and its gradient: compiled loops may test how far apart arrays are
AGREEMENT = 1e-8  # between two ways to compute one number, relative to its size or to one
HOSTILE = (math.nan, math.inf, -math.inf, 1e308, -1e308, 1e200, 1e20, -1e20)
OVERFLOW = 1e100  # beyond it a sum of squares may overflow to either infinity
FAULTS = (ArithmeticError, AttributeError, LookupError, NameError, NumbaError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: whether it holds, what it is, and one line of figures or of what is wrong."""

    ok: bool
    what: str
    detail: str


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
    yield _signature(target)
    starts = np.array([target.start(rng) for _ in range(STARTS)])
    yield _starts(target, starts)
    draws = None if target.truth is None else target.truth.draws(DRAWS, int(rng.integers(2**31)))
    if draws is not None and (draws.ndim != 2 or draws.shape[1] != target.dim):
        yield Finding(False, "the sampler gives (n, dim)", f"its draws have the shape {draws.shape}")
        draws = None
    points = np.vstack([starts, 10.0 * starts] if draws is None else [starts, draws[:STARTS], 10.0 * draws[:STARTS]])
    yield _gradient(target, points)
    yield _overwritten(target, points)
    if target.log_density is not None:
        yield _density(target, points)
    yield _hostile(target, starts[0])
    if target.rows is not None:
        yield _rows(target, target.rows, points)
    if target.gaussian is not None:
        slopes = -(points - target.gaussian.mean) @ target.gaussian.precision
        yield _agree("the Gaussian structure is the kernel's", slopes, target.evaluate(points)[1])
    if target.truth is not None:
        shapes = _shapes(target.truth.moments, target.dim)
        yield shapes
        if not shapes.ok:
            return
    if target.truth is not None and draws is not None:
        yield from _truth(target, target.truth, draws)


def _signature(target: Target) -> Finding:
    what = "the kernel is compiled by targets.kernel"
    if not hasattr(target.log_density_and_gradient, "declared_signature"):
        kind = type(target.log_density_and_gradient).__name__
        raise TypeError(f"log_density_and_gradient is a bare {kind}; decorate it with @targets.kernel")
    value = target.kernel(target.start(np.random.default_rng(0)), empty(target.dim), target.data)
    return Finding(isinstance(value, float), what, f"it returns {type(value).__name__}")


def _starts(target: Target, starts: Matrix) -> Finding:
    values, gradients = target.evaluate(starts)
    finite = np.isfinite(values) & np.isfinite(gradients).all(axis=1)
    detail = f"{finite.sum()} of {len(starts)} starting points have a finite density and gradient"
    return Finding(bool(finite.any()), "the density is finite at starting points", detail)


def _gradient(target: Target, points: Matrix) -> Finding:
    worst = worst_slope(target, points)
    ok = worst.error <= TOLERANCE
    detail = f"largest relative error {worst.error:.1e} against finite differences"
    if not ok:
        sign = "; its sign is wrong" if math.isclose(worst.kernel, -worst.difference, rel_tol=1e-3) else ""
        detail = (
            f"along {worst.along} the kernel says {worst.kernel:.6g}, "
            f"finite differences say {worst.difference:.6g}{sign}"
        )
    return Finding(ok, "the gradient is that of the density", detail)


def _overwritten(target: Target, points: Matrix) -> Finding:
    """From buffers of different rubbish, at different distances, the same bits; position and data as they were."""
    what = "a call writes the whole gradient and nothing else"
    data, block = target.data.copy(), empty(2 * target.dim + FAR)
    position = block[: target.dim]
    for point in points:
        answers = []
        for rubbish, distance in ((math.nan, 0), (7.0, FAR)):
            position[:] = point
            gradient = block[target.dim + distance :][: target.dim]
            gradient[:] = rubbish
            answers.append((target.kernel(position, gradient, target.data), gradient.copy()))
        (first, slope), (second, again) = answers
        if not np.array_equal(slope, again, equal_nan=True):
            i = int(np.flatnonzero((slope != again) & ~(np.isnan(slope) & np.isnan(again)))[0])
            return Finding(False, what, f"gradient[{i}] depends on what it held before: set it, do not add to it")
        if not np.array_equal([first], [second], equal_nan=True):
            return Finding(False, what, "two calls at one position give different values")
        if not np.array_equal(position, point):
            return Finding(False, what, "the position was changed")
    return Finding(np.array_equal(data, target.data, equal_nan=True), what, "same bits from every buffer; data kept")


def _density(target: Target, points: Matrix) -> Finding:
    position = empty(target.dim)
    values = np.empty(len(points))
    for i, point in enumerate(points):
        position[:] = point
        values[i] = target.density(position, target.data)
    return _agree("the density without gradient is the kernel's", values, target.log_densities(points))


def _hostile(target: Target, start: Vector) -> Finding:
    """A density says NaN or -inf where it cannot be evaluated; samplers rely on it that a NaN is not swallowed."""
    points = np.array([np.full(target.dim, value) for value in HOSTILE] + [start] * len(HOSTILE))
    for i, value in enumerate(HOSTILE):
        points[len(HOSTILE) + i, i % target.dim] = value
    values = target.log_densities(points)
    lost = np.isnan(points).any(axis=1) & np.isfinite(values)
    unbounded = (values == math.inf) & (np.abs(points).max(axis=1) <= OVERFLOW)
    if target.density is not None:
        position = empty(target.dim)
        for point in points:
            position[:] = point
            target.density(position, target.data)
    detail = "not a number, infinite and huge positions were taken"
    if lost.any():
        detail = "a position with a NaN has a finite density"
    elif unbounded.any():
        detail = f"the density is +inf at {points[unbounded][0][:3]}"
    return Finding(not (lost.any() or unbounded.any()), "hostile positions are survived", detail)


def _rows(target: Target, rows: Rows, points: Matrix) -> Finding:
    prior, likelihood = compiled(rows.prior), compiled(rows.likelihood)
    half = len(target.data) // 2
    position, gradient = empty(target.dim), empty(target.dim)
    sums = np.zeros((len(points), target.dim + 1))
    for total, point in zip(sums, points, strict=True):
        position[:] = point
        parts = ((prior, target.data), (likelihood, target.data[:half]), (likelihood, target.data[half:]))
        for kernel, data in parts:
            total[0] += kernel(position, gradient, data)
            total[1:] += gradient
    whole = np.column_stack(target.evaluate(points))
    return _agree("prior and likelihood of the rows add up to the kernel", sums, whole)


def _agree(what: str, one: np.ndarray, other: np.ndarray) -> Finding:
    finite = np.isfinite(one) & np.isfinite(other)
    if (np.isfinite(one) != np.isfinite(other)).any():
        return Finding(False, what, "one is finite where the other is not")
    gap = np.abs(one[finite] - other[finite]) / np.maximum(1.0, np.abs(other[finite]))
    worst = float(gap.max(initial=0.0))
    return Finding(worst <= AGREEMENT, what, f"largest relative difference {worst:.1e}")


def _truth(target: Target, truth: Truth, draws: Matrix) -> Iterator[Finding]:
    values, gradients = target.evaluate(draws)
    if not np.isfinite(values).all():
        yield Finding(False, "draws have finite densities", f"{np.isnan(values).sum()} of {len(draws)} have not")
        return
    if HARD_BOUNDARY not in target.tags:
        yield _average("Stein: E grad log p = 0", gradients, np.zeros(target.dim))
        yield _average("Stein: E x grad log p = -1", draws * gradients, np.full(target.dim, -1.0))
    yield from _moments("the moments", truth.moments, draws)
    if target.named is not None and truth.named is not None:
        yield from _moments("the named moments", truth.named, target.named.values(draws))
    known = truth.log_normaliser - truth.entropy
    if not math.isnan(known):
        error = np.array([math.hypot(truth.log_normaliser_error, truth.entropy_error)])
        yield _average("log normaliser less entropy is E log p", values[:, None], np.array([known]), error)
    if truth.modes is not None:
        yield _modes(truth.modes, draws)


def _shapes(moments: Moments, dim: int) -> Finding:
    """Every moment is (dim,), the covariance (dim, dim)."""
    wrong = [
        f"{name} {value.shape}"
        for name, value in vars(moments).items()
        if np.shape(value) != ((dim, dim) if name == "covariance" else (dim,))
    ]
    return Finding(not wrong, "the moments have the target's dimension", "; ".join(wrong) or f"{dim} coordinates")


def _moments(whose: str, moments: Moments, draws: Matrix) -> Iterator[Finding]:
    """Where tails are so heavy that a scale does not exist, an average of draws says nothing: left out."""
    yield _average(f"{whose}: mean", draws, moments.mean, moments.mean_error, moments.sd)
    scale = np.sqrt(moments.variance_of_centred_square)
    squares = (draws - moments.mean) ** 2
    yield _average(f"{whose}: variance", squares, moments.variance, moments.variance_error, scale)


def _modes(modes: Modes, draws: Matrix) -> Finding:
    what = "mode masses"
    which = np.asarray(modes.assign(draws))
    count = len(modes.masses)
    if which.shape != (len(draws),) or which.min() < 0 or which.max() >= count:
        return Finding(False, what, f"assign must give each draw an integer from 0 to {count - 1}")
    if not math.isclose(modes.masses.sum(), 1.0, rel_tol=1e-9):
        return Finding(False, what, f"they sum to {modes.masses.sum():.9g}")
    inside = (which[:, None] == np.arange(count)).astype(np.float64)
    return _average(what, inside, modes.masses, scale=np.sqrt(modes.masses * (1.0 - modes.masses)))


def _average(
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
