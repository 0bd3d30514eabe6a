"""Covariances of coefficients, in the forms in which updates have them."""

import math
from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix, Vector


@dataclass(frozen=True, eq=False)
class Along:
    """Variances of coefficients: `within` along the rows of a basis (r, p), and `beside` across all of them."""

    basis: Matrix
    within: Vector
    beside: float

    def of(self, rows: Matrix) -> Vector:
        """(n,) variances of rows . coef."""
        along = rows @ self.basis.T
        across = np.maximum(np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", along, along), 0.0)
        if len(self.basis) == self.basis.shape[1]:
            across = np.zeros(len(rows))
        return np.asarray(along**2 @ self.within + self.beside * across)

    def covariance(self) -> Matrix:
        """(p, p)."""
        inner = (self.basis.T * (self.within - self.beside)) @ self.basis
        inner[np.diag_indices_from(inner)] += self.beside
        return np.asarray(inner)

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, p) with mean zero."""
        wide = math.sqrt(self.beside) * rng.standard_normal((n, self.basis.shape[1]))
        inner = np.sqrt(self.within) * rng.standard_normal((n, len(self.within)))
        return np.asarray(wide + (inner - wide @ self.basis.T) @ self.basis)


@dataclass(frozen=True, eq=False)
class Dense:
    """A covariance (k, k) of some coefficients, those at `places` (k,) of p; the others are zero."""

    places: np.ndarray
    matrix: Matrix
    dim: int

    def of(self, rows: Matrix) -> Vector:
        """(n,) variances of rows . coef."""
        some = rows[:, self.places]
        return np.asarray(np.einsum("ij,ij->i", some @ self.matrix, some))

    def covariance(self) -> Matrix:
        """(p, p)."""
        full = np.zeros((self.dim, self.dim))
        full[np.ix_(self.places, self.places)] = self.matrix
        return full

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        """(n, p) with mean zero."""
        values, vectors = np.linalg.eigh(self.matrix)
        some = (rng.standard_normal((n, len(values))) * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        full = np.zeros((n, self.dim))
        full[:, self.places] = some
        return full
