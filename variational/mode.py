"""The mode of a density: limited-memory BFGS in compiled code, and the curvature there by differences of gradients.

Tolerances are in nats and steps in units that the search finds itself, so that neither a constant added to the log
density nor a change of scale alters the path. (Nocedal and Wright 2006, algorithms 7.4 and 3.5.)
"""

from dataclasses import dataclass

import numpy as np
from numba import float64, int64, types

from targets.kernel import DATA, KERNEL, MATRIX, VECTOR, Matrix, Vector, aligned, empty, loop, zeros
from targets.protocols import Work
from targets.target import Target
from variational.evaluation import gradients, with_gradients
from variational.gaussian import Gaussian, triangular

HISTORY = 10
SLACK = 1e-6  # nats by which a step may lose height: rounding near the mode
TRIES = 100
ENDLESS = 2**62  # moves

FOUND, EXHAUSTED, STUCK, PAUSED = 0, 1, 2, 3
VALUE, SCALE = range(2)  # what `state` holds: the log density at x, and the scale of the first guess of the curvature


@loop(
    types.Tuple((int64, int64, int64, int64, float64))(
        KERNEL,
        DATA,
        VECTOR,
        VECTOR,
        VECTOR,
        VECTOR,
        VECTOR,
        MATRIX,
        MATRIX,
        VECTOR,
        VECTOR,
        MATRIX,
        int64,
        int64,
        int64,
        float64,
    )
)
def climb(  # type: ignore[no-untyped-def]
    kernel,
    data,
    x,
    gradient,
    trial,
    trial_gradient,
    ascent,
    steps,
    changes,
    inner,
    state,
    trail,
    updates,
    moves,
    limit,
    tolerance,
):
    """Climb from x (dim,), whose log density is in `state` (2,) and whose `gradient` (dim,) is set.

    Makes at most `moves` moves and `limit` calls, and ends where the gain that is left, by the curvature seen, is below
    `tolerance` nats. `steps` and `changes` (history, dim) are filled cyclically, `inner` (2 history,) is scratch, and
    `trail` takes position and gradient after each move (moves, 2 dim), if it has rows. A climb that is PAUSED goes on
    when it is called again with the same arrays and the number of `updates` that it returned.

    Returns outcome, calls, updates, moves made, gain left.
    """
    dim = x.shape[0]
    history = steps.shape[0]
    calls = 0
    made = 0
    left = np.inf
    value = state[0]
    scale = state[1]
    if scale == 0.0:
        for i in range(dim):
            scale += gradient[i] * gradient[i]
        scale = 1.0 / max(np.sqrt(scale), 1e-300)
    while True:
        # ascent = (inverse Hessian) gradient, by the two-loop recursion
        for i in range(dim):
            ascent[i] = gradient[i]
        held = min(updates, history)
        for back in range(held):
            k = (updates - 1 - back) % history
            dot = 0.0
            for i in range(dim):
                dot += steps[k, i] * ascent[i]
            inner[k] = dot * inner[history + k]
            for i in range(dim):
                ascent[i] -= inner[k] * changes[k, i]
        for i in range(dim):
            ascent[i] *= scale
        for ahead in range(held):
            k = (updates - held + ahead) % history
            dot = 0.0
            for i in range(dim):
                dot += changes[k, i] * ascent[i]
            dot *= inner[history + k]
            for i in range(dim):
                ascent[i] += (inner[k] - dot) * steps[k, i]
        slope = 0.0
        for i in range(dim):
            slope += ascent[i] * gradient[i]
        if slope == 0.0:
            return 0, calls, updates, made, 0.0
        if updates > 0:
            left = 0.5 * slope
            if left <= tolerance:
                return 0, calls, updates, made, left
        if made == moves:
            return 3, calls, updates, made, left
        low = 0.0
        high = np.inf
        length = 1.0
        accepted = False
        for _ in range(40):
            if calls >= limit:
                return 1, calls, updates, made, left
            for i in range(dim):
                trial[i] = x[i] + length * ascent[i]
            new = kernel(trial, trial_gradient, data)
            calls += 1
            new_slope = 0.0
            for i in range(dim):
                new_slope += ascent[i] * trial_gradient[i]
            if not (abs(new) < np.inf and abs(new_slope) < np.inf):
                high = length
                length = low + 0.2 * (high - low)
            elif new < value - SLACK or new_slope < -0.9 * slope:
                high = length
                where = 0.5
                if new_slope < 0.0:
                    where = min(max(slope / (slope - new_slope), 0.1), 0.6)
                length = low + where * (high - low)
            elif new_slope > 0.9 * slope and length < 1e12:
                low = length
                accepted = True  # good enough if nothing further is better
                length = 4.0 * length if high == np.inf else 0.5 * (low + high)
                if high - low < 0.1 * low:
                    break
            else:
                accepted = True
                break
        if not accepted:
            return 2, calls, updates, made, left
        curvature = 0.0
        squared = 0.0
        k = updates % history
        for i in range(dim):
            steps[k, i] = trial[i] - x[i]
            changes[k, i] = gradient[i] - trial_gradient[i]
            x[i] = trial[i]
            gradient[i] = trial_gradient[i]
        for i in range(dim):  # a loop apart: sums beside stores round by how far apart the arrays lie
            curvature += steps[k, i] * changes[k, i]
            squared += changes[k, i] * changes[k, i]
        value = new
        if curvature > max(1e-12 * slope * length, 1e-280):
            inner[history + k] = 1.0 / curvature
            scale = curvature / squared
            updates += 1
        else:
            scale *= 4.0
        state[0] = value
        state[1] = scale
        if trail.shape[0] > 0:
            for i in range(dim):
                trail[made, i] = x[i]
                trail[made, dim + i] = gradient[i]
        made += 1


@dataclass(frozen=True)
class Mode:
    """Where a climb ended.

    Attributes:
        outcome: FOUND, EXHAUSTED (the limit of calls) or STUCK (no point further up could be evaluated).
        x, gradient: (dim,) each.
        scale: (dim,) the root of the diagonal of the inverse Hessian, as the climb saw it.
        left: nats that were still to gain.
    """

    outcome: int
    x: Vector
    gradient: Vector
    scale: Vector
    left: float


def starting_point(target: Target, rng: np.random.Generator, work: Work) -> tuple[Vector, float, Vector] | None:
    """A start with finite log density and gradient, with both; None after `TRIES` that had not."""
    for _ in range(TRIES):
        x = aligned(target.start(rng))
        value, slope = gradients(target, x[None, :], work)
        if np.isfinite(value[0]) and np.all(np.isfinite(slope)):
            return x, float(value[0]), aligned(slope[0])
    return None


def starting_points(
    target: Target, rng: np.random.Generator, count: int, work: Work
) -> list[tuple[Vector, float, Vector]]:
    """So many of them; fewer where one cannot be found."""
    found = []
    for _ in range(count):
        start = starting_point(target, rng, work)
        if start is None:
            break
        found.append(start)
    return found


def find_mode(
    target: Target, x: Vector, value: float, gradient: Vector, tolerance: float, limit: int, work: Work
) -> Mode:
    """Climb from x until `tolerance` nats are left to gain, with at most `limit` gradients."""
    dim = target.dim
    x, gradient = aligned(x), aligned(gradient)
    steps, changes, inner = zeros(HISTORY, dim), zeros(HISTORY, dim), zeros(2 * HISTORY)
    scratch = empty(dim), empty(dim), empty(dim)
    arrays = *scratch, steps, changes, inner, aligned([value, 0.0]), zeros(0, 0)
    outcome, calls, updates, _, left = climb(
        target.kernel, target.data, x, gradient, *arrays, 0, ENDLESS, limit, tolerance
    )
    work.gradient_evaluations += calls
    return Mode(outcome, x, gradient, _scale(steps, changes, inner[HISTORY:], updates, gradient), left)


def _scale(steps: Matrix, changes: Matrix, weights: Vector, updates: int, gradient: Vector) -> Vector:
    """Root of the diagonal of the limited-memory inverse Hessian, (dim,); `weights` are 1 / (step . change)."""
    if updates == 0:
        return np.full(len(gradient), 1 / max(float(np.linalg.norm(gradient)), 1e-100))
    order = [(updates - 1 - back) % HISTORY for back in range(min(updates, HISTORY))]
    newest = order[0]
    first = 1 / max(float(weights[newest]) * float(changes[newest] @ changes[newest]), 1e-200)
    # H+ = (I - r s y') H (I - r y s') + r s s'; only the columns that the pairs touch are kept: H = first I + U M U'
    pairs = np.vstack([steps, changes])
    inside = np.zeros((2 * HISTORY, 2 * HISTORY))
    for k in reversed(order):
        weight = float(weights[k])
        product = inside @ (pairs @ changes[k])
        product[HISTORY + k] += first  # H y, in coordinates of the pairs
        unit = np.eye(2 * HISTORY)[k]
        height = float(changes[k] @ (pairs.T @ product))
        inside -= weight * (np.outer(product, unit) + np.outer(unit, product))
        inside += (weight + weight**2 * height) * np.outer(unit, unit)
    diagonal = first + np.einsum("ki,kl,li->i", pairs, inside, pairs, optimize=True)
    return np.asarray(np.sqrt(np.maximum(diagonal, 1e-3 * first)), dtype=np.float64)


def curvature(target: Target, x: Vector, scale: Vector, work: Work, step: float = 1e-3) -> Matrix:
    """Minus the Hessian (dim, dim) at x by central differences of gradients, `step` scales apart: 2 dim gradients."""
    offsets = np.diag(step * scale)
    _, above = gradients(target, x + offsets, work)
    _, below = gradients(target, x - offsets, work)
    matrix = (below - above) / (2 * step * scale[:, None])
    return np.asarray(0.5 * (matrix + matrix.T))


def around_mode(
    target: Target, x: Vector, value: float, gradient: Vector, tolerance: float, limit: int, work: Work
) -> Gaussian:
    """The mode that `find_mode` finds, with the curvature there; where that is upwards, as if it were downwards."""
    mode = find_mode(target, x, value, gradient, tolerance, limit, work)
    hessian = curvature(target, mode.x, mode.scale, work) * np.outer(mode.scale, mode.scale)
    if not np.all(np.isfinite(hessian)):
        return Gaussian(mode.x, mode.scale)
    values, vectors = np.linalg.eigh(hessian)
    size = np.maximum(np.abs(values), 1e-3 * max(1.0, float(np.abs(values).max())))
    return Gaussian(mode.x, triangular(mode.scale[:, None] * vectors / np.sqrt(size)))


def compile_search(target: Target) -> None:
    """Load or compile what this module calls."""
    _ = target.kernel, climb.compiled, with_gradients.compiled
