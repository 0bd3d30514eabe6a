"""All that a linear model's likelihood depends on: a triangle of the rows [covariates, response], made in one pass.

With F'F = Z'Z for the rows Z, any |y - X w|^2 is read off F, whose size does not grow with the rows. Squares are never
formed where they would lose digits: a block whose columns are nearly collinear goes through Householder's QR, others
through the Cholesky factor of their scaled scatter, which is several times faster.
"""

from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix, Vector
from targets.options import require

BLOCK = 4096  # rows at once
WELL = 1e-4  # the least squared pivot of scaled columns for which the scatter loses less than 1e-11 of any of them


@dataclass(frozen=True, eq=False)
class Triangle:
    """Rows [covariates, response] reduced; with others merged it is that of both together.

    Attributes:
        n: rows.
        mean: (p + 1,) of the columns, or None where they are not centred.
        factor: (k, p + 1) with k at most p + 1, whose product with itself is the scatter about the mean, or about zero.
    """

    n: int
    mean: Vector | None
    factor: Matrix

    @property
    def free(self) -> int:
        """Observations of the likelihood: one less where an intercept takes its share."""
        return self.n if self.mean is None else self.n - 1

    def merged(self, other: "Triangle") -> "Triangle":
        """That of the rows of both (Chan, Golub and LeVeque 1979, with factors in place of scatters)."""
        n = self.n + other.n
        parts = [self.factor, other.factor]
        if self.mean is None or other.mean is None:
            return Triangle(n, None, triangular(np.vstack(parts)))
        away = other.mean - self.mean
        parts.append(np.sqrt(self.n * other.n / n) * away[None, :])
        return Triangle(n, self.mean + other.n / n * away, triangular(np.vstack(parts)))


def triangle(rows: Matrix, *, centred: bool) -> Triangle:
    """Of rows (n, p + 1), n at least 1 where they are centred.

    Raises:
        UsageError: their squares are beyond what a number holds.
    """
    block = max(BLOCK, 2 * rows.shape[1])
    require(len(rows) > 0 or not centred, "there are no rows; it takes one at least")
    if not len(rows):
        return Triangle(0, None, rows)
    total = _block(rows[:block], centred)
    for start in range(block, len(rows), block):
        total = total.merged(_block(rows[start : start + block], centred))
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.square(total.factor).sum())
    require(bool(finite), "the data are so large that their squares overflow; it takes numbers below 1e150")
    return total


def _block(rows: Matrix, centred: bool) -> Triangle:
    mean = rows.mean(axis=0) if centred else None
    return Triangle(len(rows), mean, triangular(rows if mean is None else rows - mean))


def triangular(rows: Matrix) -> Matrix:
    """(k, columns), k at most as many as columns, with the same scatter about zero; the rows themselves if so few."""
    if len(rows) <= rows.shape[1]:
        return np.ascontiguousarray(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        scatter = rows.T @ rows
        size = np.sqrt(np.diagonal(scatter))
        if np.isfinite(size).all() and size.min() > 1e-140:
            try:
                lower = np.linalg.cholesky(scatter / size / size[:, None])
            except np.linalg.LinAlgError:
                pass
            else:
                if np.diagonal(lower).min() ** 2 > WELL:
                    return np.ascontiguousarray(lower.T * size)
        return np.asarray(np.linalg.qr(rows, mode="r"))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """|y - X w|^2 = rest + sum_j (response_j - singular_j z_j)^2 with z = basis w, whatever w.

    Attributes:
        basis: (r, p) orthonormal rows; r is p where it was asked to be whole.
        singular: (r,) not negative.
        response: (r,).
        rest: not negative.
    """

    basis: Matrix
    singular: Vector
    response: Vector
    rest: float


def spectrum(of: Triangle, *, whole: bool = False) -> Spectrum:
    """By the singular values of the factor; directions in which no row differs are left out unless `whole`."""
    covariates, response = of.factor[:, :-1], of.factor[:, -1]
    left, singular, basis = np.linalg.svd(covariates, full_matrices=whole)
    left = left[:, : len(singular)]
    along = left.T @ response
    rest = response - left @ along
    missing = len(basis) - len(singular)
    return Spectrum(
        np.ascontiguousarray(basis),
        np.concatenate([singular, np.zeros(missing)]),
        np.concatenate([along, np.zeros(missing)]),
        float(rest @ rest),
    )
