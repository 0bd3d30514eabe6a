"""What an update of topics does beside the documents: terms of a batch, their expectations, and the step.

lambda_wk, of q(beta_k) = Dirichlet(lambda_k), is eta + scale * weights_wk: a step (1 - rho) of all terms is one of the
scale, so that a batch costs nothing for the terms that it lacks.
"""

import math

import numpy as np
from numba import float64, int64, types

from targets.conjugate.expectations import exp_digamma
from targets.conjugate.lda_documents import STARTS, TERMS
from targets.kernel import MATRIX, VECTOR, loop


@loop(int64(STARTS, TERMS, TERMS, TERMS, TERMS, STARTS, STARTS, TERMS))
def arrange(starts, terms, place, local, known, begins, entries, documents):  # type: ignore[no-untyped-def]
    """The entries of a batch by term: returns how many terms it has.

    Args:
        starts: (documents + 1,).
        terms: (entries,).
        place: (vocabulary,) of -1; the same afterwards.
        local: (entries,), written: each term's number within the batch.
        known: (entries,), written: the terms by that number.
        begins: (entries + 1,), written: where each term's entries begin in the next two.
        entries: (entries,), written: where an entry is in `terms`.
        documents: (entries,), written: the document it belongs to.
    """
    size = terms.shape[0]
    distinct = 0
    for n in range(size):
        w = terms[n]
        if place[w] < 0:
            place[w] = distinct
            known[distinct] = w
            begins[distinct + 1] = 0
            distinct += 1
        local[n] = place[w]
        begins[place[w] + 1] += 1
    begins[0] = 0
    for i in range(distinct):
        begins[i + 1] += begins[i]
        place[known[i]] = -1
    for d in range(starts.shape[0] - 1):
        for n in range(starts[d], starts[d + 1]):
            at = begins[local[n]]
            entries[at] = n
            documents[at] = d
            begins[local[n]] += 1
    for i in range(distinct, 0, -1):
        begins[i] = begins[i - 1]
    begins[0] = 0
    return distinct


@loop(types.void(TERMS, MATRIX, float64, float64, MATRIX, int64, int64))
def refresh(known, weights, scale, eta, topics, first, last):  # type: ignore[no-untyped-def]
    """Fill rows `first`, ..., `last` - 1 of `topics` (terms, K) with exp E[log beta], up to each topic's factor."""
    K = weights.shape[1]
    for i in range(first, last):
        w = known[i]
        for k in range(K):
            topics[i, k] = exp_digamma(eta + scale * weights[w, k])


@loop(types.void(STARTS, STARTS, TERMS, VECTOR, MATRIX, MATRIX, TERMS, MATRIX, float64, VECTOR, int64, int64))
def absorb(  # type: ignore[no-untyped-def]
    begins, entries, documents, ratios, factors, topics, known, weights, step, spent, first, last
):  # fmt: skip
    """Add `step` times the expected counts of terms `first`, ..., `last` - 1 to their weights (vocabulary, K).

    `spent` (terms,) is what they contribute to E[log p(w | z)], up to the topics' factors.
    """
    K = weights.shape[1]
    gathered = np.empty(K)
    for i in range(first, last):
        for k in range(K):
            gathered[k] = 0.0
        for n in range(begins[i], begins[i + 1]):
            share = ratios[entries[n]]
            d = documents[n]
            for k in range(K):
                gathered[k] += share * factors[d, k]
        w = known[i]
        value = 0.0
        for k in range(K):
            count = gathered[k] * topics[i, k]
            weights[w, k] += step * count
            if spent.shape[0] > 0 and count > 0.0:
                value += count * math.log(topics[i, k])
        if spent.shape[0] > 0:
            spent[i] = value
