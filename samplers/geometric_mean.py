"""The geometric mean of covariances, which is the metric that draws and slopes of the log density give together."""

import numpy as np

from targets.kernel import Matrix

SMALLEST = 1e-10  # of eigenvalues, in units of the largest


def geometric_mean(draws: Matrix, slopes: Matrix) -> Matrix:
    """C # B^-1, the S with S B S = C: it maps the slopes' covariance B to the draws' C, (k, k) each.

    S = B^(-1/2) (B^(1/2) C B^(1/2))^(1/2) B^(-1/2) (Bhatia 2007, chapter 4). Eigenvalues are kept above `SMALLEST`.

    Raises:
        LinAlgError: a matrix is not finite, or zero.
    """
    sizes, vectors = _eigen(slopes)
    root = (vectors * np.sqrt(sizes)) @ vectors.T
    inverse = (vectors / np.sqrt(sizes)) @ vectors.T
    sizes, vectors = _eigen(root @ draws @ root)
    return np.asarray(inverse @ ((vectors * np.sqrt(sizes)) @ vectors.T) @ inverse)


def _eigen(matrix: Matrix) -> tuple[Matrix, Matrix]:
    sizes, vectors = np.linalg.eigh(matrix)
    if not np.all(np.isfinite(sizes)) or not sizes[-1] > 0.0:
        raise np.linalg.LinAlgError("no positive definite matrix")
    return np.maximum(sizes, SMALLEST * sizes[-1]), vectors
