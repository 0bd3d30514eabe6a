"""Reverse KL by reparameterised gradients on antithetic pairs of draws: the loop that has to be fast.

A pair mean +- T e costs one e, and on a Gaussian target its gradient of the mean has no noise. The gradient is either
the whole derivative, with the entropy in closed form, or that of the path alone ("sticking the landing", Roeder, Wu and
Duvenaud 2017), which has no noise where q is the target.
"""

import numpy as np

from targets.kernel import lean_loop
from variational.stochastic.noise import GAUSSIAN, refill
from variational.stochastic.parts import (
    CALLS,
    DRAWN,
    DRAWS,
    ESTIMATOR,
    FAMILY,
    HOPELESS,
    MODE,
    NOISE,
    PART,
    POOL,
    ROWS,
    SIGNATURE,
    SKIPPED,
    STALLED,
    STICKING_THE_LANDING,
    THIN,
    adam,
    evaluate,
    keep,
    next_block,
    shrink,
)
from variational.stochastic.shapes import MEANFIELD, finish, gather, place, refresh, whiten


@lean_loop(SIGNATURE)
def pairs(  # type: ignore[no-untyped-def]
    kernel, density, prior, likelihood, data, bounds, order, rng, tally, v, m, watched, settings, steps, step_size,
    alpha, moving,  # noqa: ARG001  as `independent` takes them
):  # fmt: skip
    """Make `steps` steps of half as many pairs as there are draws; or only record gradients, if not `moving`.

    Returns how many steps were made: fewer only where `HOPELESS` in a row had nothing finite.
    """
    family, noise, mode, thin = settings[FAMILY], settings[NOISE], settings[MODE], settings[THIN]
    sticking = settings[ESTIMATOR] == STICKING_THE_LANDING
    count = settings[DRAWS] // 2
    theta, grade, sd, narrow = v.theta, v.grade, v.sd, v.narrow
    x, above, below, offset, push, spare = v.x, v.above, v.below, v.offset, v.push, v.spare
    pool = v.pool
    scores = pool if noise == GAUSSIAN else v.slopes
    dim = sd.shape[0]
    rank = v.inner.shape[0]
    base = dim + rank
    begin, end, weight = 0, 0, float(order.shape[0])
    landing = 2.0 if sticking else 0.0
    refresh(family, theta, sd, narrow, m.gram, m.lift)
    for step in range(steps):
        if mode == PART:
            block = next_block(rng, order, tally)
            begin, end = bounds[block], bounds[block + 1]
        for j in range(theta.shape[0]):
            grade[j] = 0.0
        used = 0
        for _ in range(count):
            if tally[POOL] + base > pool.shape[0]:
                refill(noise, rng, pool, v.slopes)
                tally[POOL] = 0
            at = tally[POOL]
            tally[POOL] += base
            if family == MEANFIELD:
                for i in range(dim):
                    offset[i] = sd[i] * pool[at + i]
                    x[i] = theta[i] + offset[i]
            else:
                place(family, theta, sd, rank, pool, at, offset)
                for i in range(dim):
                    x[i] = theta[i] + offset[i]
            value = evaluate(mode, kernel, density, prior, likelihood, data, begin, end, weight, x, above, v.share)
            for i in range(dim):
                x[i] = theta[i] - offset[i]
            value += evaluate(mode, kernel, density, prior, likelihood, data, begin, end, weight, x, below, v.share)
            if not abs(value) < np.inf:  # `isfinite` is a difference that the compiler may cancel under fast math
                continue
            used += 1
            if family == MEANFIELD:
                for i in range(dim):
                    grade[i] += above[i] + below[i]
                    slant = above[i] - below[i] + landing * scores[at + i] * narrow[i]
                    grade[dim + i] += pool[at + i] * slant
            else:
                for i in range(dim):
                    grade[i] += above[i] + below[i]
                    spare[i] = above[i] - below[i]
                if sticking:
                    whiten(family, theta, narrow, m.lift, scores, at, offset, v.inner, push)
                    for i in range(dim):
                        spare[i] += 2.0 * push[i]
                gather(family, rank, spare, pool, at, grade)
        size = 0.0  # a gradient that is not finite where the density is loses the whole step
        for j in range(theta.shape[0]):
            size += abs(grade[j])
        used = used if size < np.inf else 0
        tally[DRAWN] += 2 * count
        tally[CALLS] += 2 * count
        tally[ROWS] += 2 * count * (end - begin)
        tally[SKIPPED] += 2 * (count - used)
        if used > 0:
            tally[STALLED] = 0
            finish(family, theta, sd, m.lift, 0.5 / used, 0.0 if sticking else 1.0, grade)
            if moving:
                adam(v, step_size)
        else:
            tally[STALLED] += 1
            if moving:
                shrink(family, dim, v)
        if moving:
            keep(v, m, watched, tally, thin)
            refresh(family, theta, sd, narrow, m.gram, m.lift)
            if tally[STALLED] >= HOPELESS:
                return step + 1
        else:
            for j in range(theta.shape[0]):
                m.record[step, j] = grade[j]
    return steps
