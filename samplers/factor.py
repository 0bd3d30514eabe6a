"""The triangular factor L of a covariance L L', held by columns: row k of a matrix `columns` is column k of L."""

import math

from targets.kernel import helper


@helper
def along_columns(columns, z, x):  # type: ignore[no-untyped-def]
    """Write L z into x; both (dim,)."""
    dim = x.shape[0]
    for i in range(dim):
        x[i] = 0.0
    for k in range(dim):
        scaled = z[k]
        for i in range(k, dim):
            x[i] += columns[k, i] * scaled


@helper
def rank_one(columns, v, sign):  # type: ignore[no-untyped-def]
    """Make L the factor of L L' + sign v v', in O(dim^2); v (dim,) is spent.

    The sum must be positive definite (Golub & Van Loan 2013, section 6.5.4; `sign` -1 rotates hyperbolically).
    """
    dim = v.shape[0]
    for k in range(dim):
        pivot, along = columns[k, k], v[k]
        root = math.sqrt(pivot * pivot + sign * along * along)
        c, s = root / pivot, along / pivot
        columns[k, k] = root
        for i in range(k + 1, dim):
            columns[k, i] = (columns[k, i] + sign * s * v[i]) / c
            v[i] = c * v[i] - s * columns[k, i]
