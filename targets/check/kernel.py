"""Laws of a kernel: what it returns, what it writes, what it reads, and that nothing else matters."""

import math
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import int64

from targets.check.finding import Finding
from targets.gradient_check import TOLERANCE, Slope, worst_slope
from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Matrix, Vector, aligned, empty, loop
from targets.target import Target

FAR = 512  # float64s between a position and its gradient: compiled loops may test how far apart arrays are
GUARD = 16  # float64s before and after what a call may touch
LARGEST_COPY = 2**26  # bytes of data that are copied between guards
SCALES = (1e-3, 0.1, 1.0, 10.0, 100.0)  # at which gradients are tried, about the middle of the density
HOSTILE = (math.nan, math.inf, -math.inf, 1e308, -1e308, 1e200, 1e20, -1e20)
OVERFLOW = 1e100  # beyond it a sum of squares may overflow to either infinity
THREADS = 4
ROUNDS = 1000  # times that each thread evaluates all points, where that is quick
NANOSECONDS = 1e8  # that a thread may take, nominally
SLOW = 1e4  # nanoseconds that an evaluation in plain Python takes at least
SWITCH = 1e-6  # seconds after which plain Python gives way to another thread while threads are checked


def signature(target: Target) -> Finding:
    """The kernel is one of ours and returns a float."""
    what = "the kernel is compiled by targets.kernel"
    if not hasattr(target.log_density_and_gradient, "declared_signature"):
        kind = type(target.log_density_and_gradient).__name__
        raise TypeError(f"log_density_and_gradient is a bare {kind}; decorate it with @targets.kernel")
    value = target.kernel(target.start(np.random.default_rng(0)), empty(target.dim), target.data)
    return Finding(isinstance(value, float), what, f"it returns {type(value).__name__}")


def starts(target: Target, points: Matrix) -> Finding:
    """At some of the starting points density and gradient are finite."""
    values, gradients = target.evaluate(points)
    finite = np.isfinite(values) & np.isfinite(gradients).all(axis=1)
    detail = f"{finite.sum()} of {len(points)} starting points have a finite density and gradient"
    return Finding(bool(finite.any()), "the density is finite at starting points", detail)


def gradient(target: Target, points: Matrix, centre: Vector) -> Finding:
    """The gradient against finite differences, at the points and at their images nearer to the centre and further out.

    Where the density is finite but beyond all use, a gradient may overflow.
    """
    near = points[: 2 * len(points) // 3]
    images = [centre + scale * (near - centre) for scale in SCALES]
    with np.errstate(invalid="ignore"):
        useful = [image[~(np.abs(target.log_densities(image)) > OVERFLOW)] for image in [points, *images]]
    slopes = [worst_slope(target, image) for image in useful]
    worst: Slope = max(slopes, key=lambda slope: slope.error)
    ok = worst.error <= TOLERANCE
    detail = f"largest relative error {worst.error:.1e} against finite differences, over scales of {SCALES[0]:g} to "
    detail += f"{SCALES[-1]:g}"
    if not ok:
        sign = "; its sign is wrong" if math.isclose(worst.kernel, -worst.difference, rel_tol=1e-3) else ""
        detail = (
            f"along {worst.along} the kernel says {worst.kernel:.6g}, "
            f"finite differences say {worst.difference:.6g}{sign}"
        )
    drawn = {
        "kind": "gradient",
        "scales": list(SCALES),
        "errors": [slope.error for slope in slopes[1:]],
        "tolerance": TOLERANCE,
    }
    return Finding(ok, "the gradient is that of the density", detail, drawn)


def overwritten(target: Target, points: Matrix) -> Finding:
    """From buffers of different rubbish, at different distances, the same bits; all around them, and the data, kept."""
    what = "a call writes the whole gradient and nothing else"
    dim, data = target.dim, target.data.copy()
    for point in points:
        answers = []
        for rubbish, distance in ((math.nan, 0), (7.0, FAR)):
            block = empty(2 * (dim + GUARD) + distance)
            block[:] = rubbish
            position, slope = block[GUARD:][:dim], block[GUARD + dim + distance :][:dim]
            position[:] = point
            value = target.kernel(position, slope, target.data)
            if not np.array_equal(position, point):
                return Finding(False, what, "the position was changed")
            answers.append((value, slope.copy()))
            position[:] = slope[:] = rubbish
            if not np.array_equal(block, np.full_like(block, rubbish), equal_nan=True):
                return Finding(False, what, "it wrote beside the gradient: an index runs below 0 or beyond dim - 1")
        (first, one), (second, other) = answers
        if not np.array_equal(one, other, equal_nan=True):
            i = int(np.flatnonzero((one != other) & ~(np.isnan(one) & np.isnan(other)))[0])
            return Finding(
                False, what, f"gradient[{i}] depends on what it held before, or lay beside: set it, do not add to it"
            )
        if not np.array_equal([first], [second], equal_nan=True):
            return Finding(False, what, "two calls at one position give different values")
    return Finding(np.array_equal(data, target.data, equal_nan=True), what, "same bits from every buffer; data kept")


def data_alone(target: Target, points: Matrix) -> Finding:
    """The data copied to where other numbers lie before and after them: the same bits."""
    what = "a call reads the data and nothing around them"
    if target.data.nbytes > LARGEST_COPY:
        return Finding(True, what, "not looked at: the data are too large to copy")
    answers: list[np.ndarray] = []
    for rubbish in (math.nan, 7.0):
        block = empty(target.data.size + 2 * GUARD * target.data.shape[1])
        block[:] = rubbish
        inside = block[GUARD * target.data.shape[1] :][: target.data.size].reshape(target.data.shape)
        inside[:] = target.data
        inside.flags.writeable = False
        answers.append(_bits(target, points, inside))
    same = np.array_equal(answers[0], answers[1])
    return Finding(same, what, "same bits wherever they lie" if same else "a row or column beyond the last is read")


def _bits(target: Target, points: Matrix, data: Matrix) -> np.ndarray:
    """(n, dim + 1) values and gradients as integers, every NaN the same."""
    found, position, slope = np.empty((len(points), target.dim + 1)), empty(target.dim), empty(target.dim)
    for row, point in zip(found, points, strict=True):
        position[:] = point
        row[0] = target.kernel(position, slope, data)
        row[1:] = slope
    return as_bits(found)


def as_bits(values: np.ndarray) -> np.ndarray:
    """The bits of numbers as integers, every NaN the same: what may be compared to find two answers equal."""
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


def pure(target: Target, points: Matrix) -> Finding:
    """The same answers in another order, and when positions differ in one coordinate alone from the call before."""
    what = "the same input gives the same output, whatever was asked before"
    several, turn = np.repeat(points, 2, axis=0), np.arange(len(points))
    several[2 * turn + 1, turn % target.dim] += 0.5
    forth = _bits(target, several, target.data)
    order = np.random.default_rng(len(points)).permutation(len(several))
    back, mixed = _bits(target, several[::-1].copy(), target.data)[::-1], _bits(target, several[order], target.data)
    same = np.array_equal(forth, back) and np.array_equal(forth[order], mixed)
    worst = "values" if not np.array_equal(forth[:, 0], back[:, 0]) else "gradients"
    detail = (
        "same bits in three orders" if same else f"{worst} depend on the call before: something is kept between calls"
    )
    return Finding(same, what, detail)


@loop(int64(KERNEL, DATA, MATRIX, VECTOR, MATRIX, VECTOR, VECTOR, int64))
def disagreements(kernel, data, points, values, gradients, x, slope, rounds):  # type: ignore[no-untyped-def]
    """How many of the evaluations at `points` (n, dim), `rounds` times over, are not the `values` and `gradients`."""
    wrong = 0
    for _ in range(rounds):
        for i in range(points.shape[0]):
            for j in range(x.shape[0]):
                x[j] = points[i, j]
            value = kernel(x, slope, data)
            same = value == values[i] or (np.isnan(value) and np.isnan(values[i]))
            for j in range(x.shape[0]):
                same = same and (slope[j] == gradients[i, j] or (np.isnan(slope[j]) and np.isnan(gradients[i, j])))
            wrong += not same
    return wrong


def threads(target: Target, points: Matrix) -> Finding:
    """Several threads call the kernel at once, each with its own buffers and its own order of points."""
    values, gradients = target.evaluate(points)
    nominal = 50.0 + target.dim + 0.1 * target.data.size + SLOW * ("slow" in target.tags)
    rounds = max(1, min(ROUNDS, int(NANOSECONDS / (nominal * len(points)))))

    def work(shift: int) -> int:
        turned = (np.roll(part, shift, axis=0) for part in (points, values, gradients))
        rolled = [aligned(part) for part in turned]
        scratch = empty(target.dim), empty(target.dim)
        return int(disagreements(target.kernel, target.data, *rolled, *scratch, rounds))

    patience = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            wrong = sum(pool.map(work, range(THREADS)))
    finally:
        sys.setswitchinterval(patience)
    many = THREADS * rounds * len(points)
    return Finding(
        wrong == 0,
        "threads may call it at once",
        f"{wrong} of {many} evaluations in {THREADS} threads differ from those of one",
    )


def hostile(target: Target, start: Vector) -> Finding:
    """A density says NaN or -inf where it cannot be evaluated; samplers rely on it that a NaN is not swallowed."""
    points = np.array([np.full(target.dim, value) for value in HOSTILE] + [start] * len(HOSTILE))
    for i, value in enumerate(HOSTILE):
        points[len(HOSTILE) + i, i % target.dim] = value
    nowhere = np.tile(start, (target.dim, 1))
    np.fill_diagonal(nowhere, math.nan)  # each coordinate in its turn
    points = np.vstack([points, nowhere])
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
