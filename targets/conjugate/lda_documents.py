"""What latent Dirichlet allocation infers of single documents, given topics: the inner loop of everything else.

theta_d ~ Dirichlet(alpha); each token's topic z ~ theta_d; its term w ~ beta_z. A document is its counts c_w. With
q(theta_d) = Dirichlet(gamma_d) the best q(z) of a term w is phi_wk = theta~_k beta~_wk / norm_w, where theta~ and beta~
are exponentials of expected logs, and the best gamma given phi is alpha + sum_w c_w phi_w (Blei, Ng and Jordan 2003,
equations 6 and 7). Each such turn raises the bound.
"""

import math

import numpy as np
from numba import float64, int32, int64, types

from targets.conjugate.expectations import exp_digamma
from targets.kernel import MATRIX, VECTOR, loop

TERMS = types.Array(int32, 1, "C")
STARTS = types.Array(int64, 1, "C")


@loop(
    types.void(
        STARTS, TERMS, VECTOR, MATRIX, VECTOR, VECTOR, MATRIX, MATRIX, VECTOR, VECTOR, int64, int64, float64, int64,
        types.boolean,
    )
)  # fmt: skip
def infer(  # type: ignore[no-untyped-def]
    starts, terms, counts, topics, pace, alpha, gamma, factors, ratios, bounds, first, last, tolerance, most, bounded
):  # fmt: skip
    """Infer the documents `first`, ..., `last` - 1, each by itself, so that any split of them gives the same.

    Args:
        starts: (documents + 1,) where each document begins in `terms` and `counts`.
        terms: rows of `topics`.
        counts: of the terms, positive.
        topics: (terms, K): exp E[log beta_wk] up to a factor of each topic.
        pace: (K,): that factor.
        alpha: (K,).
        gamma: (documents, K): where to start, and what is found.
        factors: (documents, K), written: with `ratios`, c_w phi_wk is ratios_w factors_k topics_wk.
        ratios: as `counts`, written.
        bounds: (documents,), written where `bounded`: E[log p(w, z, theta)] - E[log q(z, theta)], given the topics, in
            nats, for a sequence of words: without the multinomial coefficient that their bag would have beside it.
        first: document.
        last: document.
        tolerance: of the mean change of gamma over topics in a turn.
        most: turns.
        bounded: whether bounds are wanted.
    """
    K = alpha.shape[0]
    widest = 0
    for d in range(first, last):
        widest = max(widest, starts[d + 1] - starts[d])
    table = np.empty((K, widest))  # terms side by side, so that four at a time are multiplied and added
    here, norms, shares = np.empty(widest), np.empty(widest), np.empty(widest)
    x, t, s = np.empty(K), np.empty(K), np.empty(K)
    prior, whole = 0.0, 0.0
    for k in range(K):
        prior -= math.lgamma(alpha[k])
        whole += alpha[k]
    prior += math.lgamma(whole)
    for d in range(first, last):
        start, width = starts[d], starts[d + 1] - starts[d]
        for n in range(width):
            w = terms[start + n]
            here[n] = counts[start + n]
            for k in range(K):
                table[k, n] = topics[w, k]
        for k in range(K):
            x[k] = gamma[d, k]
        for _ in range(most):
            for k in range(K):
                t[k] = exp_digamma(x[k]) * pace[k]
            for n in range(width):
                norms[n] = 0.0
            for k in range(0, K - 3, 4):
                a, b, c, e = t[k], t[k + 1], t[k + 2], t[k + 3]
                for n in range(width):
                    norms[n] += a * table[k, n] + b * table[k + 1, n] + c * table[k + 2, n] + e * table[k + 3, n]
            for k in range(K // 4 * 4, K):
                a = t[k]
                for n in range(width):
                    norms[n] += a * table[k, n]
            for n in range(width):
                shares[n] = here[n] / norms[n]
            for k in range(0, K - 3, 4):
                a, b, c, e = 0.0, 0.0, 0.0, 0.0
                for n in range(width):
                    a += shares[n] * table[k, n]
                    b += shares[n] * table[k + 1, n]
                    c += shares[n] * table[k + 2, n]
                    e += shares[n] * table[k + 3, n]
                s[k], s[k + 1], s[k + 2], s[k + 3] = a, b, c, e
            for k in range(K // 4 * 4, K):
                a = 0.0
                for n in range(width):
                    a += shares[n] * table[k, n]
                s[k] = a
            change = 0.0
            for k in range(K):
                new = alpha[k] + t[k] * s[k]
                change += abs(new - x[k])
                x[k] = new
            if change < tolerance * K:
                break
        for k in range(K):
            gamma[d, k] = x[k]
            factors[d, k] = t[k]
        for n in range(width):
            ratios[start + n] = shares[n]
        if bounded:
            bound, tokens = prior, 0.0
            for n in range(width):
                bound += here[n] * math.log(norms[n])
                tokens += here[n]
            for k in range(K):
                bound += math.lgamma(x[k]) - t[k] * s[k] * math.log(t[k] / pace[k])
            bounds[d] = bound - math.lgamma(whole + tokens)
