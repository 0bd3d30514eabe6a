"""The reparameterised families in compiled code: x = mean + T e, with e base noise and T a scale.

    MEANFIELD   T = diag(sd)                   parameters: mean, log sd
    FULLRANK    T = L, lower triangular        mean, rows of L with the logarithm of its diagonal
    LOWRANK     T = (diag(sd), B)              mean, log sd, rows of B (dim, rank); dim + rank numbers of base noise

The parameters are one vector `theta`. Gradients of u . T e for a covector u are outer products, which `gather` adds up
as if T had no logarithms; `finish` mends that once a step. With a = -grad_x log q, and e' = E_q [e | x], which is e
itself but for LOWRANK, d log q(x) / d theta is a for the mean, and that of a . T e' less that of the entropy for T.
"""

import numpy as np

from targets.kernel import helper
from variational.stochastic.noise import exponential

MEANFIELD, FULLRANK, LOWRANK = range(3)


@helper
def diagonal(family, dim, i):  # type: ignore[no-untyped-def]
    """Where theta has the logarithm of T_ii."""
    return dim + i * (i + 3) // 2 if family == FULLRANK else dim + i


@helper
def refresh(family, theta, sd, narrow, gram, lift):  # type: ignore[no-untyped-def]
    """Set what is derived from theta: the diagonal of T `sd` (dim,) and its reciprocal `narrow`.

    For LOWRANK also `gram` (rank, rank) (I + B' D^-2 B)^-1 and `lift` (dim, rank) S^-1 B = D^-2 B gram, with D the
    diagonal and S = D^2 + B B' (Woodbury). Returns half the log determinant of the covariance.
    """
    dim = sd.shape[0]
    if family == FULLRANK:
        for i in range(dim):
            sd[i] = exponential(theta[dim + i * (i + 3) // 2])
    else:
        for i in range(dim):
            sd[i] = exponential(theta[dim + i])
    for i in range(dim):
        narrow[i] = 1.0 / sd[i]
    half = 0.0
    if family == LOWRANK:
        rank = gram.shape[0]
        first = 2 * dim
        for j in range(rank):
            for k in range(j + 1):
                total = 1.0 if j == k else 0.0
                for i in range(dim):
                    at = first + i * rank
                    total += theta[at + j] * theta[at + k] * narrow[i] * narrow[i]
                gram[j, k] = total
                gram[k, j] = total
        for k in range(rank):  # Gauss and Jordan, without pivots: it is positive definite
            pivot = gram[k, k]
            half += 0.5 * np.log(pivot)
            gram[k, k] = 1.0
            for j in range(rank):
                gram[k, j] /= pivot
            for i in range(rank):
                if i != k:
                    along = gram[i, k]
                    gram[i, k] = 0.0
                    for j in range(rank):
                        gram[i, j] -= along * gram[k, j]
        for i in range(dim):
            for j in range(rank):
                total = 0.0
                for k in range(rank):
                    total += theta[first + i * rank + k] * gram[k, j]
                lift[i, j] = total * narrow[i] * narrow[i]
    return half


@helper
def half_log_determinant(family, theta, dim, half):  # type: ignore[no-untyped-def]
    """Of the covariance; `half` is what `refresh` returned."""
    total = half
    for i in range(dim):
        total += theta[dim + i * (i + 3) // 2] if family == FULLRANK else theta[dim + i]
    return total


@helper
def place(family, theta, sd, rank, drawn, at, offset):  # type: ignore[no-untyped-def]
    """Offset (dim,) = T e, with e the numbers of `drawn` from `at` on."""
    dim = sd.shape[0]
    if family == FULLRANK:
        for i in range(dim):
            row = dim + i * (i + 1) // 2
            total = sd[i] * drawn[at + i]
            for j in range(i):
                total += theta[row + j] * drawn[at + j]
            offset[i] = total
    elif family == LOWRANK:
        for i in range(dim):
            row = 2 * dim + i * rank
            total = sd[i] * drawn[at + i]
            for j in range(rank):
                total += theta[row + j] * drawn[at + dim + j]
            offset[i] = total
    else:
        for i in range(dim):
            offset[i] = sd[i] * drawn[at + i]


@helper
def whiten(family, theta, narrow, lift, score, at, offset, inner, push):  # type: ignore[no-untyped-def]
    """Set push (dim,) to a = -grad_x log q at mean + offset.

    `score` from `at` on are minus the derivatives of the log density of base noise; `inner` (rank,) is scratch. That
    of LOWRANK, which is Gaussian, is S^-1 offset.
    """
    dim = narrow.shape[0]
    if family == FULLRANK:
        for i in range(dim):
            push[i] = score[at + i]
        for i in range(dim - 1, -1, -1):
            row = dim + i * (i + 1) // 2
            solved = push[i] * narrow[i]
            push[i] = solved
            for j in range(i):
                push[j] -= theta[row + j] * solved
    elif family == LOWRANK:
        rank = inner.shape[0]
        for j in range(rank):
            total = 0.0
            for i in range(dim):
                total += lift[i, j] * offset[i]
            inner[j] = total  # M^-1 B' D^-2 offset
        for i in range(dim):
            total = offset[i]
            for j in range(rank):
                total -= theta[2 * dim + i * rank + j] * inner[j]
            push[i] = total * narrow[i] * narrow[i]
    else:
        for i in range(dim):
            push[i] = score[at + i] * narrow[i]


@helper
def expected_noise(theta, sd, rank, push, back):  # type: ignore[no-untyped-def]
    """Back (dim + rank,) = T' a = E_q [e | x] of LOWRANK, with a = `push`."""
    dim = sd.shape[0]
    for i in range(dim):
        back[i] = sd[i] * push[i]
    for j in range(rank):
        total = 0.0
        for i in range(dim):
            total += theta[2 * dim + i * rank + j] * push[i]
        back[dim + j] = total


@helper
def gather(family, rank, vector, drawn, at, grade):  # type: ignore[no-untyped-def]
    """Add to grade (parameters,) the gradient of vector . T e, with e the numbers of `drawn` from `at` on."""
    dim = vector.shape[0]
    if family == FULLRANK:
        for i in range(dim):
            row = dim + i * (i + 1) // 2
            for j in range(i + 1):
                grade[row + j] += vector[i] * drawn[at + j]
    else:
        for i in range(dim):
            grade[dim + i] += vector[i] * drawn[at + i]
    if family == LOWRANK:
        for i in range(dim):
            row = 2 * dim + i * rank
            for j in range(rank):
                grade[row + j] += vector[i] * drawn[at + dim + j]


@helper
def finish(family, theta, sd, lift, factor, entropy, grade):  # type: ignore[no-untyped-def]
    """Grade times `factor`, with respect to logarithms, plus `entropy` times the gradient of q's entropy."""
    dim = sd.shape[0]
    for i in range(theta.shape[0]):
        grade[i] *= factor
    for i in range(dim):
        at = dim + i * (i + 3) // 2 if family == FULLRANK else dim + i
        grade[at] = grade[at] * sd[i] + entropy
    if family == LOWRANK:
        rank = lift.shape[1]
        for i in range(dim):
            row = 2 * dim + i * rank
            inside = 0.0
            for j in range(rank):
                inside += lift[i, j] * theta[row + j]
            grade[dim + i] -= entropy * inside
            for j in range(rank):
                grade[row + j] += entropy * lift[i, j]
