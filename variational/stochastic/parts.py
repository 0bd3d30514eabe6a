"""What both loops of stochastic-gradient VI share: their arguments, how a density is asked, and Adam."""

from typing import NamedTuple

import numpy as np
from numba import boolean, float64, int64, types

from targets.kernel import DATA, DENSITY, KERNEL, MATRIX, VECTOR, Matrix, Vector, density, helper
from variational.stochastic.shapes import FULLRANK

WHOLE, ALONE, PART = range(3)  # gradient kernel; density alone; prior and a block of rows
REPARAMETERISED, STICKING_THE_LANDING, SCORE, SCORE_CV, RAO_BLACKWELL, RELAX = range(6)

FIRST_DECAY, SECOND_DECAY, SMALL = 0.9, 0.999, 1e-8  # of Adam (Kingma and Ba 2015)
LARGEST = 1e100  # gradients are cut there, so that their squares are finite
SHRINK = 0.9  # of the scale after a step without a finite draw
HOPELESS = 200  # such steps in a row, after which a loop returns

# What `tally` counts: draws, those skipped since something was not finite, steps in a row with none to use, calls of a
# density, rows read; then the place in the epoch and in the pool of base noise, and the steps since records began.
DRAWN, SKIPPED, STALLED, CALLS, ROWS, PLACE, POOL, STEPS = range(8)
# What `settings` hold; THIN is how many steps there are between two rows of the record.
FAMILY, NOISE, ESTIMATOR, DRAWS, MODE, THIN = range(6)


class Vectors(NamedTuple):
    """Arrays of one dimension that a loop works on.

    Attributes:
        theta, first, second: (parameters,) what is fitted, and Adam's averages of gradients and of their squares.
        unit: (parameters,) the length of a step in each.
        total: (parameters,) the sum of theta over the steps.
        grade: (parameters,) the gradient of a step.
        powers: (2,) of Adam's decays.
        pool, slopes: base noise that waits to be used, and minus the derivatives of its log density if it is logistic.
        surrogate, surrogate_first, surrogate_second: (2 dim,) coefficients of RELAX, and Adam's averages for them.
        sd, narrow, x, above, below, share, offset, push, spare: (dim,) scratch.
        inner: (rank,) and back: (dim + rank,), values, weights: (draws,), tilt: (2 dim,) scratch.
    """

    theta: Vector
    first: Vector
    second: Vector
    unit: Vector
    total: Vector
    grade: Vector
    powers: Vector
    pool: Vector
    slopes: Vector
    surrogate: Vector
    surrogate_first: Vector
    surrogate_second: Vector
    sd: Vector
    narrow: Vector
    x: Vector
    above: Vector
    below: Vector
    share: Vector
    offset: Vector
    push: Vector
    spare: Vector
    inner: Vector
    back: Vector
    values: Vector
    weights: Vector
    tilt: Vector


class Matrices(NamedTuple):
    """Arrays of two dimensions.

    Attributes:
        record: rows of the watched parameters, or of gradients.
        gram: (rank, rank) and lift: (dim, rank), see `variational.stochastic.shapes`.
        slopes, pushes: (draws, dim), and backs: (draws, dim + rank), of the draws of one step.
    """

    record: Matrix
    gram: Matrix
    lift: Matrix
    slopes: Matrix
    pushes: Matrix
    backs: Matrix


INTEGERS = int64[::1]
SIGNATURE = types.int64(
    KERNEL, DENSITY, KERNEL, KERNEL, DATA, INTEGERS, INTEGERS, types.npy_rng, INTEGERS,
    types.NamedUniTuple(VECTOR, len(Vectors._fields), Vectors),
    types.NamedUniTuple(MATRIX, len(Matrices._fields), Matrices),
    INTEGERS, INTEGERS, int64, float64, float64, boolean,
)  # fmt: skip


@density
def absent(x, data):  # type: ignore[no-untyped-def]
    """Stands where a target has no density apart from its gradient; never called."""
    return 0.0 * x[0] * data[0, 0]


@helper
def next_block(rng, order, tally):  # type: ignore[no-untyped-def]
    """The next block of rows; all come once an epoch, in random order."""
    blocks = order.shape[0]
    if tally[PLACE] >= blocks:
        for i in range(blocks - 1, 0, -1):
            j = int(rng.random() * (i + 1))
            order[i], order[j] = order[j], order[i]
        tally[PLACE] = 0
    tally[PLACE] += 1
    return order[tally[PLACE] - 1]


@helper
def evaluate(mode, kernel, density, prior, likelihood, data, begin, end, weight, x, gradient, share):  # type: ignore[no-untyped-def]
    """The log density at x; its gradient is written but for the mode ALONE. `weight` is what the block stands for."""
    if mode == WHOLE:
        return kernel(x, gradient, data)
    if mode == ALONE:
        return density(x, data)
    value = prior(x, gradient, data)
    value += weight * likelihood(x, share, data[begin:end])
    for i in range(x.shape[0]):
        gradient[i] += weight * share[i]
    return value


@helper
def adam(v, step_size):  # type: ignore[no-untyped-def]
    """A step up the gradient `grade`, in units of `unit`; adds the new theta to `total`."""
    theta, first, second, unit, total, grade = v.theta, v.first, v.second, v.unit, v.total, v.grade
    v.powers[0] *= FIRST_DECAY
    v.powers[1] *= SECOND_DECAY
    ahead = step_size / (1.0 - v.powers[0])
    rescale = 1.0 / np.sqrt(1.0 - v.powers[1])
    for j in range(theta.shape[0]):
        here = min(max(unit[j] * grade[j], -LARGEST), LARGEST)
        first[j] = FIRST_DECAY * first[j] + (1.0 - FIRST_DECAY) * here
        second[j] = SECOND_DECAY * second[j] + (1.0 - SECOND_DECAY) * here * here
        theta[j] += ahead * unit[j] * first[j] / (rescale * np.sqrt(second[j]) + SMALL)
        total[j] += theta[j]


@helper
def shrink(family, dim, v):  # type: ignore[no-untyped-def]
    """Make the scale smaller where nothing could be evaluated."""
    theta = v.theta
    for i in range(dim):
        at = dim + i * (i + 3) // 2 if family == FULLRANK else dim + i
        theta[at] += np.log(SHRINK)
    if family == FULLRANK:
        for i in range(dim):
            row = dim + i * (i + 1) // 2
            for j in range(i):
                theta[row + j] *= SHRINK
    else:
        for j in range(2 * dim, theta.shape[0]):
            theta[j] *= SHRINK
    for j in range(theta.shape[0]):
        v.total[j] += theta[j]


@helper
def keep(v, m, watched, tally, thin):  # type: ignore[no-untyped-def]
    """Count a step, and record what is watched of theta where a row is due."""
    tally[STEPS] += 1
    if tally[STEPS] % thin == 0:
        row = tally[STEPS] // thin - 1
        for j in range(watched.shape[0]):
            m.record[row, j] = v.theta[watched[j]]
