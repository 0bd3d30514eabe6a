"""One sweep of expectation propagation over sites of any small width, in compiled code."""

import math

import numpy as np
from numba import boolean, float64, int64, types

from targets.kernel import MATRIX, VECTOR, helper, loop
from targets.sites import SITE, invert_positive

CUBE = float64[:, :, ::1]

SKIPPED, CHANGE, ENERGY = 0, 1, 2  # what a tally holds


@helper
def project(projection, mean, covariance, at, across, marginal):  # type: ignore[no-untyped-def]
    """Mean (w,) and covariance (w, w) of A x under q, with A V (w, dim)."""
    width, dim = projection.shape
    for a in range(width):
        at[a] = 0.0
        for i in range(dim):
            at[a] += projection[a, i] * mean[i]
            total = 0.0
            for j in range(dim):
                total += covariance[i, j] * projection[a, j]
            across[a, i] = total
    for a in range(width):
        for b in range(width):
            total = 0.0
            for i in range(dim):
                total += across[a, i] * projection[b, i]
            marginal[a, b] = total


@helper
def apply(matrix, vector, result):  # type: ignore[no-untyped-def]
    """Write matrix times vector, all small."""
    for a in range(matrix.shape[0]):
        total = 0.0
        for b in range(matrix.shape[1]):
            total += matrix[a, b] * vector[b]
        result[a] = total


@helper
def follow(across, inverse, old, new, kick, spare, lift, mean, covariance):  # type: ignore[no-untyped-def]
    """Move q as its marginal of A x moves from covariance `old` to `new`, with inverse = old^-1 and AV = `across`.

    V += (AV)' K AV with K = old^-1 (new - old) old^-1, and m += (AV)' old^-1 new kick: rank w, O(w dim^2).
    """
    width, dim = across.shape
    apply(new, kick, spare[0])
    apply(inverse, spare[0], lift)
    for a in range(width):
        for b in range(width):
            total = 0.0
            for c in range(width):
                total += (new[a, c] - old[a, c]) * inverse[c, b]
            spare[a, b] = total
    for i in range(dim):
        for a in range(width):
            mean[i] += across[a, i] * lift[a]
        for a in range(width):
            row = 0.0
            for b in range(width):
                total = 0.0
                for c in range(width):
                    total += inverse[b, c] * spare[c, a]
                row += across[b, i] * total
            for j in range(dim):
                covariance[i, j] += row * across[a, j]


@loop(types.void(SITE, CUBE, MATRIX, CUBE, MATRIX, VECTOR, MATRIX, VECTOR, int64, int64, float64, boolean))
def visit(  # type: ignore[no-untyped-def]
    tilted, projections, parameters, precisions, shifts, mean, covariance, tally, first, last, damping, sequential
):
    """Match each site from `first` to `last` to its tilted moments, and move its natural parameters by `damping`.

    `projections` (n, w, dim), `precisions` (n, w, w) and `shifts` (n, w) of the approximate sites exp(h'u - u'Lu / 2);
    `mean` (dim,) and `covariance` (dim, dim) of q, which follow each site if `sequential`. Added to `tally` (3,): sites
    that were skipped, the change that was asked for in units of q, and what the sites say of the log normaliser.

    A site is skipped where its cavity is improper, or where its tilted moments cannot be told.
    """
    width, dim = projections.shape[1], projections.shape[2]
    across = np.empty((width, dim))
    marginal, inverse, cavity, cavity_precision = (
        np.empty((width, width)),
        np.empty((width, width)),
        np.empty((width, width)),
        np.empty((width, width)),
    )
    matched, asked, moved, spare = (
        np.empty((width, width)),
        np.empty((width, width)),
        np.empty((width, width)),
        np.empty((width, width)),
    )
    at, pull, cavity_pull, cavity_mean = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    matched_mean, push, kick, lift = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    for n in range(first, last):
        project(projections[n], mean, covariance, at, across, marginal)
        spread = invert_positive(marginal, inverse)
        apply(inverse, at, pull)
        for a in range(width):
            cavity_pull[a] = pull[a] - shifts[n, a]
            for b in range(width):
                cavity_precision[a, b] = inverse[a, b] - precisions[n, a, b]
        tightness = invert_positive(cavity_precision, cavity)
        if math.isnan(spread) or math.isnan(tightness):
            tally[SKIPPED] += 1.0
            continue
        apply(cavity, cavity_pull, cavity_mean)
        log_z = tilted(cavity_mean, cavity, parameters[n], matched_mean, matched)
        if math.isnan(invert_positive(matched, asked)) or not abs(log_z) < np.inf:
            tally[SKIPPED] += 1.0
            continue
        # `asked` is the precision of the matched Gaussian; less q's own it is the change of the site's
        apply(asked, matched_mean, push)
        energy = log_z - 0.5 * (tightness + spread)
        change = 0.0
        for a in range(width):
            energy += 0.5 * (cavity_pull[a] * cavity_mean[a] - pull[a] * at[a])
            push[a] -= pull[a]
            for b in range(width):
                asked[a, b] -= inverse[a, b]
                change += 0.5 * abs(asked[a, b]) * math.sqrt(marginal[a, a] * marginal[b, b])
        apply(asked, at, kick)
        for a in range(width):
            kick[a] = push[a] - kick[a]
            change += abs(kick[a]) * math.sqrt(marginal[a, a])
        tally[CHANGE] += change
        tally[ENERGY] += energy
        if sequential:
            for a in range(width):
                kick[a] *= damping
                for b in range(width):
                    cavity_precision[a, b] = inverse[a, b] + damping * asked[a, b]
            if math.isnan(invert_positive(cavity_precision, moved)):
                tally[SKIPPED] += 1.0
                continue
            follow(across, inverse, marginal, moved, kick, spare, lift, mean, covariance)
        for a in range(width):
            shifts[n, a] += damping * push[a]
            for b in range(width):
                precisions[n, a, b] += damping * asked[a, b]
