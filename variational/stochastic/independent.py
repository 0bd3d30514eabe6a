"""Every objective and every gradient estimator on independent draws, in one loop.

The objective is the variational Renyi bound of K draws (Li and Turner 2016), with log w = log p - log q:

    L = 1 / (1 - alpha) log (1 / K sum_k w_k^(1 - alpha))

alpha = 1 is the ELBO, alpha = 0 the importance-weighted bound (Burda, Grosse and Salakhutdinov 2016); between them, and
beyond 1, it goes from covering mass to seeking modes. With W_k the normalised w_k^(1 - alpha), h_k = d log q(x_k) /
d theta at fixed x_k, and J_k = dx_k / d theta, gradients are

    reparameterised        sum W_k d log w(x_k(theta); theta) / d theta, with the entropy exact where alpha = 1
    sticking_the_landing   sum (alpha W_k + (1 - alpha) W_k^2) J_k' (grad log p - grad log q): doubly reparameterised
                           (Tucker et al. 2019), and Roeder, Wu and Duvenaud's (2017) where alpha = 1
    score                  sum (L - W_k + 1 / K) h_k; 1 / K sum log w_k h_k where alpha = 1
    score_cv               sum (L - L_-k - W_k + 1 / K) h_k, with L_-k the bound of the other draws (Mnih and Rezende
                           2016, VIMCO); the leave-one-out mean where alpha = 1
    rao_blackwell          1 / K sum_k f_ki h_ki, f_ki = log p(x_k) - log p(x_k with x_i at its mean) - log q_i(x_ki):
                           terms without x_i cancel (Ranganath, Gerrish and Blei 2014), however p is written
    relax                  1 / K sum ((f_k - c_k) h_k + J_k' grad c_k), with leave-one-out means taken off f - c and the
                           surrogate c = b . e + w . (e^2 - 1) / 2 trained to lower the gradient's variance (Grathwohl
                           et al. 2018, eq. 6: LAX, which RELAX is where x is continuous)
"""

import numpy as np

from targets.kernel import helper, lean_loop
from variational.stochastic.noise import GAUSSIAN, height, refill
from variational.stochastic.parts import (
    CALLS,
    DRAWN,
    DRAWS,
    ESTIMATOR,
    FAMILY,
    FIRST_DECAY,
    HOPELESS,
    MODE,
    NOISE,
    PART,
    POOL,
    RAO_BLACKWELL,
    RELAX,
    REPARAMETERISED,
    ROWS,
    SCORE,
    SCORE_CV,
    SECOND_DECAY,
    SIGNATURE,
    SKIPPED,
    SMALL,
    STALLED,
    STICKING_THE_LANDING,
    THIN,
    adam,
    evaluate,
    keep,
    next_block,
    shrink,
)
from variational.stochastic.shapes import (
    LOWRANK,
    expected_noise,
    finish,
    gather,
    half_log_determinant,
    place,
    refresh,
    whiten,
)

SURROGATE_STEP = 0.05  # of Adam, for the coefficients of RELAX, in nats
HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


@helper
def weigh(values, weights, alpha, used):  # type: ignore[no-untyped-def]
    """Set the normalised weights (draws,) of the finite `values` (draws,), and return the bound L."""
    draws = values.shape[0]
    top = -np.inf
    total = 0.0
    for k in range(draws):
        if values[k] > -np.inf:
            top = max(top, (1.0 - alpha) * values[k])
            total += values[k]
    mean = total / used
    if alpha == 1.0:
        for k in range(draws):
            weights[k] = 1.0 / used if values[k] > -np.inf else 0.0
        return mean
    total = 0.0
    for k in range(draws):
        weights[k] = np.exp((1.0 - alpha) * values[k] - top) if values[k] > -np.inf else 0.0
        total += weights[k]
    for k in range(draws):
        weights[k] /= total
    return (top + np.log(total / used)) / (1.0 - alpha)


@helper
def without(values, weights, alpha, used, level, k):  # type: ignore[no-untyped-def]
    """The bound of all finite draws but k; that of all, if there is no other."""
    if used < 2:
        return level
    total = 0.0
    for j in range(values.shape[0]):
        if j != k and values[j] > -np.inf:
            total += values[j] if alpha == 1.0 else weights[j]
    if alpha == 1.0:
        return total / (used - 1)
    return level + np.log(max(total, 1e-300) * used / (used - 1)) / (1.0 - alpha)


@helper
def lower_variance(v, scores, at, base, rest):  # type: ignore[no-untyped-def]
    """Add to `tilt` the gradient of one draw's squared gradient, in units of q, with respect to the surrogate.

    Of the gradient, the parts of the mean and of the log diagonal count. `rest` is f - c without its baseline; `base`
    noise lies in the pool from `at` on.
    """
    dim = v.sd.shape[0]
    along = 0.0
    for i in range(dim):
        e, slope = v.pool[at + i], -scores[at + i]
        path = v.surrogate[i] + v.surrogate[base + i] * e
        along -= (path - rest * slope) * slope + (path * e - rest * (slope * e + 1.0)) * (slope * e + 1.0)
    for i in range(dim):
        e, slope = v.pool[at + i], -scores[at + i]
        path = v.surrogate[i] + v.surrogate[base + i] * e
        pull = path - rest * slope + (path * e - rest * (slope * e + 1.0)) * e
        v.tilt[i] += pull - e * along
        v.tilt[base + i] += e * pull - 0.5 * (e * e - 1.0) * along


@helper
def train(v, used):  # type: ignore[no-untyped-def]
    """A step of the surrogate down `tilt`, the sum over the draws used, by Adam without its correction of the start."""
    for j in range(v.tilt.shape[0]):
        here = v.tilt[j] / used
        v.surrogate_first[j] = FIRST_DECAY * v.surrogate_first[j] + (1.0 - FIRST_DECAY) * here
        v.surrogate_second[j] = SECOND_DECAY * v.surrogate_second[j] + (1.0 - SECOND_DECAY) * here * here
        v.surrogate[j] -= SURROGATE_STEP * v.surrogate_first[j] / (np.sqrt(v.surrogate_second[j]) + SMALL)
        v.tilt[j] = 0.0


@lean_loop(SIGNATURE)
def independent(  # type: ignore[no-untyped-def]
    kernel, density, prior, likelihood, data, bounds, order, rng, tally, v, m, watched, settings, steps, step_size,
    alpha, moving,
):  # fmt: skip
    """As `variational.stochastic.pairs.pairs`, with `draws` independent draws a step."""
    family, noise, mode, thin = settings[FAMILY], settings[NOISE], settings[MODE], settings[THIN]
    estimator, draws = settings[ESTIMATOR], settings[DRAWS]
    theta, grade, sd, narrow = v.theta, v.grade, v.sd, v.narrow
    x, above, offset, push, spare = v.x, v.above, v.offset, v.push, v.spare
    pool, values, weights, surrogate = v.pool, v.values, v.weights, v.surrogate
    scores = pool if noise == GAUSSIAN else v.slopes
    dim = sd.shape[0]
    rank = v.inner.shape[0]
    base = dim + rank
    blocks = order.shape[0]
    begin, end = 0, 0
    by_path = estimator in (REPARAMETERISED, STICKING_THE_LANDING)
    half = refresh(family, theta, sd, narrow, m.gram, m.lift)
    for step in range(steps):
        calls = 0
        if mode == PART:
            block = next_block(rng, order, tally)
            begin, end = bounds[block], bounds[block + 1]
        if tally[POOL] + draws * base > pool.shape[0]:
            refill(noise, rng, pool, v.slopes)
            tally[POOL] = 0
        first = tally[POOL]
        tally[POOL] += draws * base
        log_determinant = half_log_determinant(family, theta, dim, half)
        used = 0
        for k in range(draws):
            at = first + k * base
            place(family, theta, sd, rank, pool, at, offset)
            for i in range(dim):
                x[i] = theta[i] + offset[i]
            value = evaluate(
                mode, kernel, density, prior, likelihood, data, begin, end, float(blocks), x, above, v.share
            )
            calls += 1
            size = abs(value)
            if by_path:
                for i in range(dim):
                    size += abs(above[i])
            whiten(family, theta, narrow, m.lift, scores, at, offset, v.inner, push)
            level = -log_determinant
            if family == LOWRANK:
                for i in range(dim):
                    level -= 0.5 * offset[i] * push[i] + HALF_LOG_2PI
                expected_noise(theta, sd, rank, push, v.back)
                for i in range(base):
                    m.backs[k, i] = v.back[i]
            else:
                for i in range(dim):
                    level += height(noise, pool[at + i])
            for i in range(dim):
                m.pushes[k, i] = push[i]
                m.slopes[k, i] = above[i] if by_path else 0.0
            if estimator == RAO_BLACKWELL and size < np.inf:
                for i in range(dim):
                    x[i] = theta[i]
                    reference = evaluate(
                        mode, kernel, density, prior, likelihood, data, begin, end, float(blocks), x, above, v.share
                    )
                    calls += 1
                    x[i] = theta[i] + offset[i]
                    size += abs(reference)
                    m.slopes[k, i] = value - reference - height(noise, pool[at + i]) + height(noise, 0.0)
            values[k] = -np.inf
            if size < np.inf:
                values[k] = value - level
                used += 1
        tally[DRAWN] += draws
        tally[CALLS] += calls
        tally[ROWS] += calls * (end - begin)
        tally[SKIPPED] += draws - used
        if used > 0:
            tally[STALLED] = 0
            for j in range(theta.shape[0]):
                grade[j] = 0.0
            if estimator == RELAX:
                for k in range(draws):
                    at = first + k * base
                    fitted = 0.0
                    for i in range(dim):
                        e = pool[at + i]
                        fitted += surrogate[i] * e + 0.5 * surrogate[dim + i] * (e * e - 1.0)
                    for i in range(dim):
                        v.share[i] = surrogate[i] + surrogate[dim + i] * pool[at + i]
                    whiten(family, theta, narrow, m.lift, v.share, 0, offset, v.inner, push)
                    for i in range(dim):
                        m.slopes[k, i] = push[i]
                    values[k] -= fitted
            level = weigh(values, weights, alpha, used)
            entropy = 1.0 if estimator == REPARAMETERISED and alpha == 1.0 else 0.0
            for k in range(draws):
                if values[k] > -np.inf:
                    at = first + k * base
                    along, across, score = 0.0, 0.0, 0.0  # factors of grad log p, of -grad log q, and of h
                    weight = weights[k]
                    if estimator == REPARAMETERISED:
                        along = weight
                        if alpha != 1.0:
                            across = weight
                            score = -weight
                    elif estimator == STICKING_THE_LANDING:
                        along = weight if alpha == 1.0 else alpha * weight + (1.0 - alpha) * weight * weight
                        across = along
                    elif estimator == SCORE:
                        score = values[k] / used if alpha == 1.0 else level - weight + 1.0 / used
                    elif estimator == SCORE_CV:
                        score = level - without(values, weights, alpha, used, level, k) - weight + 1.0 / used
                    elif estimator == RELAX:
                        rest = values[k] - (without(values, weights, alpha, used, level, k) if used > 1 else 0.0)
                        score = rest / used
                        along = 1.0 / used
                        lower_variance(v, scores, at, dim, rest)
                    entropy -= score
                    if estimator == RAO_BLACKWELL:
                        for i in range(dim):
                            spare[i] = m.slopes[k, i] * m.pushes[k, i] / used
                    else:
                        direct = across if family == LOWRANK else across + score
                        for i in range(dim):
                            spare[i] = along * m.slopes[k, i] + direct * m.pushes[k, i]
                    for i in range(dim):
                        grade[i] += spare[i]
                    gather(family, rank, spare, pool, at, grade)
                    if family == LOWRANK and score != 0.0:
                        for i in range(dim):
                            spare[i] = score * m.pushes[k, i]
                            grade[i] += spare[i]
                        for i in range(base):
                            v.back[i] = m.backs[k, i]
                        gather(family, rank, spare, v.back, 0, grade)
            finish(family, theta, sd, m.lift, 1.0, entropy, grade)
            if estimator == RAO_BLACKWELL:
                for k in range(draws):
                    if values[k] > -np.inf:
                        for i in range(dim):
                            grade[dim + i] -= m.slopes[k, i] / used
            if estimator == RELAX:
                train(v, used)
            if moving:
                adam(v, step_size)
        else:
            tally[STALLED] += 1
            if moving:
                shrink(family, dim, v)
        if moving:
            keep(v, m, watched, tally, thin)
            half = refresh(family, theta, sd, narrow, m.gram, m.lift)
            if tally[STALLED] >= HOPELESS:
                return step + 1
        else:
            for j in range(theta.shape[0]):
                m.record[step, j] = grade[j]
    return steps
