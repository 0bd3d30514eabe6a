"""The scale A of a target's coordinates, x = A z, as loops take it: diagonal, dense, or diagonal and of low rank."""

from typing import NamedTuple

import numpy as np
from numba import types

from targets.kernel import MATRIX, VECTOR, Matrix, Vector, aligned, helper, zeros


class Scale(NamedTuple):
    """One of three forms of A, told apart by which parts are empty.

    - diagonal: A = D, with D the diagonal matrix of `diagonal`;
    - dense: A = `factor`, lower-triangular;
    - low rank: A = D (I + V' S V), with orthonormal rows V = `vectors` and S the diagonal matrix of `stretches`.

    Attributes:
        diagonal: (dim,).
        factor: (dim, dim), or (0, 0).
        vectors: (k, dim), or (0, 0).
        stretches: (k,) root of the variance along each vector, less one.
    """

    diagonal: Vector
    factor: Matrix
    vectors: Matrix
    stretches: Vector

    @property
    def is_dense(self) -> bool:
        return bool(self.factor.shape[0] > 0)

    @property
    def is_diagonal(self) -> bool:
        return not self.is_dense and len(self.stretches) == 0

    @property
    def matrix(self) -> Matrix:
        """(dim, dim) A itself."""
        if self.is_dense:
            return self.factor
        return self.times(np.eye(len(self.diagonal))).T

    @property
    def covariance(self) -> Matrix:
        """(dim, dim) A A'."""
        matrix = self.matrix
        return np.asarray(matrix @ matrix.T)

    @property
    def deviations(self) -> Vector:
        """(dim,) the roots of the diagonal of A A'."""
        if self.is_dense:
            return np.asarray(np.sqrt(np.sum(self.factor**2, axis=1)))
        if not len(self.stretches):
            return self.diagonal
        return np.asarray(self.diagonal * np.sqrt(1.0 + (self.stretches**2 + 2.0 * self.stretches) @ self.vectors**2))

    def times(self, z: Matrix) -> Matrix:
        """A z for z (dim,), or for the rows of z (n, dim)."""
        if self.is_dense:
            return np.asarray(z @ self.factor.T)
        if len(self.stretches):
            z = z + ((z @ self.vectors.T) * self.stretches) @ self.vectors
        return np.asarray(z * self.diagonal)

    def transposed(self, g: Matrix) -> Matrix:
        """A' g for g (dim,), or for the rows of g (n, dim)."""
        if self.is_dense:
            return np.asarray(g @ self.factor)
        z = g * self.diagonal
        if len(self.stretches):
            z = z + ((z @ self.vectors.T) * self.stretches) @ self.vectors
        return np.asarray(z)

    def solve(self, x: Matrix) -> Matrix:
        """The rows of x (n, dim) in units of the scale: A^-1 x."""
        if self.is_dense:
            return np.asarray(np.linalg.solve(self.factor, x.T).T)
        z = x / self.diagonal
        if len(self.stretches):
            z = z - ((z @ self.vectors.T) * (self.stretches / (1.0 + self.stretches))) @ self.vectors
        return np.asarray(z)


SCALE = types.NamedTuple((VECTOR, MATRIX, MATRIX, VECTOR), Scale)


def diagonal_scale(sd: Vector) -> Scale:
    """The scale of independent coordinates with standard deviations (dim,)."""
    return Scale(aligned(sd), zeros(0, 0), zeros(0, 0), zeros(0))


def dense_scale(factor: Matrix) -> Scale:
    """The scale with a lower-triangular factor (dim, dim) of the covariance."""
    return Scale(zeros(len(factor)), aligned(factor), zeros(0, 0), zeros(0))


def low_rank_scale(sd: Vector, vectors: Matrix, variances: Vector) -> Scale:
    """The scale whose covariance, in units of `sd` (dim,), has `variances` (k,) along the rows of `vectors` (k, dim).

    The rows are orthonormal, and the variance is one in all other directions.
    """
    if len(variances) == 0:
        return diagonal_scale(sd)
    return Scale(aligned(sd), zeros(0, 0), aligned(vectors), aligned(np.sqrt(variances) - 1.0))


@helper
def move_along(scale, z, step, x, spare):  # type: ignore[no-untyped-def]
    """Add step A z to x; all (dim,). `spare` is written where A is of low rank, and may be z itself if that may go."""
    dim = x.shape[0]
    if scale.factor.shape[0] > 0:
        factor = scale.factor
        for i in range(dim):
            total = 0.0
            for j in range(i + 1):
                total += factor[i, j] * z[j]
            x[i] += step * total
    elif scale.vectors.shape[0] > 0:
        diagonal = scale.diagonal
        for i in range(dim):
            spare[i] = z[i]
        stretch_along(scale, spare)
        for i in range(dim):
            x[i] += step * diagonal[i] * spare[i]
    else:
        diagonal = scale.diagonal
        for i in range(dim):
            x[i] += step * diagonal[i] * z[i]


@helper
def pull_back(scale, g, force):  # type: ignore[no-untyped-def]
    """Write A' g into `force`; both (dim,)."""
    dim = g.shape[0]
    if scale.factor.shape[0] > 0:
        factor = scale.factor
        for i in range(dim):
            force[i] = 0.0
        for i in range(dim):
            slope = g[i]
            for j in range(i + 1):
                force[j] += factor[i, j] * slope
    else:
        diagonal = scale.diagonal
        for i in range(dim):
            force[i] = diagonal[i] * g[i]
        if scale.vectors.shape[0] > 0:
            stretch_along(scale, force)


@helper
def stretch_along(scale, z):  # type: ignore[no-untyped-def]
    """(I + V' S V) z in place; one vector after the other, since they are orthogonal."""
    vectors, stretches = scale.vectors, scale.stretches
    dim = z.shape[0]
    for k in range(vectors.shape[0]):
        along = 0.0
        for i in range(dim):
            along += vectors[k, i] * z[i]
        along *= stretches[k]
        for i in range(dim):
            z[i] += along * vectors[k, i]
