"""What is known exactly when target and approximation are both Gaussian."""

import numpy as np

from targets.kernel import Matrix, Vector
from variational.gaussian import Gaussian


def kl_gaussians(q: Gaussian, p: Gaussian) -> float:
    """KL(q || p) in nats."""
    if q.diagonal and p.diagonal:
        spread = float(np.sum((q.factor / p.factor) ** 2))
    else:
        spread = float(np.sum(p.standardise(p.mean + _dense(q).T) ** 2))
    shift = float(np.sum(p.standardise(q.mean) ** 2))
    return 0.5 * (spread + shift - q.dim) + p.half_log_determinant - q.half_log_determinant


def kl_from_precision(q: Gaussian, mean: Vector, precision: Matrix) -> float:
    """KL(q || N(mean, precision^-1)) in nats; cheap where the precision is what is known."""
    offset = q.mean - mean
    if q.diagonal:
        trace = float(np.diagonal(precision) @ q.variance)
    else:
        trace = float(np.einsum("ij,ik,kj->", q.factor, precision, q.factor, optimize=True))
    log_determinant = float(np.linalg.slogdet(precision)[1])
    return 0.5 * (trace + float(offset @ precision @ offset) - q.dim - log_determinant) - q.half_log_determinant


def reverse_optimum(mean: Vector, precision: Matrix) -> Gaussian:
    """The minimiser of KL(q || p) over independent coordinates: variances 1 / precision_ii (Bishop 2006, 10.1.2)."""
    return Gaussian(mean, 1 / np.sqrt(np.diagonal(precision)))


def reverse_divergence(precision: Matrix) -> float:
    """KL(q || p) at `reverse_optimum`: (sum log L_ii - log |L|) / 2."""
    return 0.5 * float(np.sum(np.log(np.diagonal(precision))) - np.linalg.slogdet(precision)[1])


def forward_optimum(mean: Vector, covariance: Matrix) -> Gaussian:
    """The minimiser of KL(p || q) over independent coordinates: the marginal variances."""
    return Gaussian(mean, np.sqrt(np.diagonal(covariance)))


def forward_divergence(covariance: Matrix) -> float:
    """KL(p || q) at `forward_optimum`: (sum log S_ii - log |S|) / 2."""
    return 0.5 * float(np.sum(np.log(np.diagonal(covariance))) - np.linalg.slogdet(covariance)[1])


def _dense(q: Gaussian) -> Matrix:
    return np.diag(q.factor) if q.diagonal else np.asarray(q.factor)
