"""A Gaussian of any dimension, with structured or dense correlation. Everything about it is known exactly."""

import math
from typing import Literal

import numpy as np

from targets.kernel import Matrix, Vector, data_matrix, kernel
from targets.options import require
from targets.target import GaussianStructure, Target
from targets.truth import Certificate, Moments, Truth


@kernel
def dense(x, gradient, data):  # type: ignore[no-untyped-def]
    """Rows 0..dim-1: the precision. Row dim: the mean. The normaliser is left out."""
    dim = x.shape[0]
    total = 0.0
    for i in range(dim):
        product = 0.0
        for j in range(dim):
            product += data[i, j] * (x[j] - data[dim, j])
        gradient[i] = -product
        total += product * (x[i] - data[dim, i])
    return -0.5 * total


def correlated_gaussian(
    *, dim: int = 10, structure: str = "ar1", rho: float = 0.9, condition: float = 100.0, seed: int = 0
) -> Target:
    """A zero-mean Gaussian."""
    require(dim >= 1, f"correlated_gaussian: dim={dim} is not accepted; it takes 1 or more")
    index = np.arange(dim)
    covariance = rho ** np.abs(index[:, None] - index[None, :])
    mean = np.zeros(dim)
    precision = np.linalg.inv(covariance)
    factor = np.linalg.cholesky(covariance)

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        return rng.standard_normal((n, dim)) @ factor.T + mean

    log_determinant = float(np.linalg.slogdet(covariance)[1])
    return Target(
        name="correlated_gaussian",
        dim=dim,
        log_density_and_gradient=dense,
        data=data_matrix(np.vstack([precision, mean])),
        truth=Truth(
            Moments.gaussian(mean, covariance),
            Certificate("closed form"),
            sample=sample,
            log_normaliser=0.5 * (dim * math.log(2 * math.pi) + log_determinant),
            entropy=0.5 * (dim * (1 + math.log(2 * math.pi)) + log_determinant),
        ),
        gaussian=GaussianStructure(mean, precision),
    )
