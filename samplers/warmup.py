"""What warm-up learns between windows, from the draws of all chains together."""

import numpy as np
import numpy.typing as npt

from samplers.chain import Chain, Tally
from targets.kernel import Vector, aligned

Values = npt.NDArray[np.float64]

# Ends of the windows as fractions of the warm-up. After all but the last the scale and the path are learned afresh; the
# last is for the step size alone, at the path used later.
WINDOWS = (0.1, 0.2, 0.4, 0.85, 1.0)
WINDOWS_KEPT = (0.5, 1.0)  # where a full covariance was given and only step size and path are to be found

POWER_ITERATIONS = 30
REMEMBERING = 60  # draws a chain
SMALLEST_STEP = 1e-10
ENOUGH = 3  # draws a dimension, for a covariance


def window_ends(length: int, kept: bool) -> list[int]:
    """Iterations at which the windows of a warm-up of `length` iterations end."""
    fractions = WINDOWS_KEPT if kept else WINDOWS
    return sorted({max(1, round(length * fraction)) for fraction in fractions}) if length else []


def first_scale(chains: list[Chain]) -> Vector:
    """(dim,) a first guess, from the starting points and their gradients: (Var x / Var gradient)^(1/4).

    That is the standard deviation of an uncorrelated Gaussian, wherever the points lie (as in nutpie's metric,
    arXiv:2603.18845). One where it is undefined: a single chain, equal points, or no gradients.
    """
    positions = np.array([chain.position for chain in chains])
    gradients = np.array([chain.gradient for chain in chains])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        guess = (positions.var(axis=0) / gradients.var(axis=0)) ** 0.25
    return aligned(np.where(np.isfinite(guess) & (guess > 0.0), guess, 1.0))


def standard_deviations(values: Values, before: Vector) -> Vector:
    """(dim,) pooled over the draws (chains, n, dim), shrunk towards those of the window `before`.

    The weights are Stan's, n to 5, but of logarithms, and not towards a constant: the result has no unit of its own.
    """
    flat = values.reshape(-1, values.shape[2])
    n = len(flat)
    variances = flat.var(axis=0)
    known = np.where(variances > 0.0, variances, before**2)
    return aligned(np.exp((n * np.log(known) + 5.0 * np.log(before**2)) / (2.0 * (n + 5.0))))


def draw_gradient_deviations(values: Values, gradients: Values, before: Vector) -> Vector:
    """(dim,) (Var x / Var gradient)^(1/4), pooled over draws and their gradients (chains, n, dim), shrunk as above.

    That is nutpie's metric (arXiv:2603.18845): the diagonal one that brings draws and gradients to the same scale.
    """
    n = values.shape[0] * values.shape[1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = values.var(axis=(0, 1)) / gradients.var(axis=(0, 1))
    known = np.where(np.isfinite(ratio) & (ratio > 0.0), ratio, before**4)
    return aligned(np.exp((n * np.log(known) + 5.0 * np.log(before**4)) / (4.0 * (n + 5.0))))


def covariance_factor(values: Values, before: Values) -> Values:
    """(dim, dim) lower factor of the covariance pooled over the draws (chains, n, dim).

    As in Stan the covariance is shrunk by n / (n + 5) towards 1e-3 of a diagonal, here its own. Below `ENOUGH` draws a
    dimension its inverse would be too noisy, and the standard deviations are taken alone, (dim,).
    """
    flat = values.reshape(-1, values.shape[2])
    n, dim = flat.shape
    diagonal = standard_deviations(values, np.sqrt(np.sum(before**2, axis=1)) if before.ndim == 2 else before)
    if n < ENOUGH * dim:
        return diagonal
    correlation = np.cov((flat / diagonal).T, bias=True).reshape(dim, dim) * (n / (n + 5.0))
    correlation[np.diag_indices(dim)] += 5e-3 / (n + 5.0)
    return aligned(diagonal[:, None] * np.linalg.cholesky(correlation))


def largest_variance(values: Values, scale: Values) -> float:
    """Variance of the draws (chains, n, dim) along their widest direction, in units of `scale`.

    The direction is found by power iteration on one half of the chains and the variance measured on the other, and the
    two results are averaged: the largest eigenvalue of a sample covariance would exceed the truth by (1 + sqrt(d/n))^2.
    """
    chains, n, dim = values.shape
    centred = (values - values.mean(axis=(0, 1))).reshape(-1, dim)
    centred = np.linalg.solve(scale, centred.T).T if scale.ndim == 2 else centred / scale
    middle = (chains // 2) * n if chains > 1 else n // 2
    halves = centred[:middle], centred[middle:]
    found = [_variance_along(_widest(one), other) for one, other in (halves, halves[::-1])]
    return float(np.mean(found))


def memory(values: Values) -> float:
    """The largest autocorrelation of a coordinate at lag one, over the draws (chains, n, dim), each chain by itself.

    NaN for few draws: those of early windows still travel, and remember where from.
    """
    if values.shape[1] < REMEMBERING:
        return float("nan")
    centred = values - values.mean(axis=1, keepdims=True)
    squares = np.einsum("cni,cni->i", centred, centred)
    products = np.einsum("cni,cni->i", centred[:, 1:], centred[:, :-1])
    return float(np.max(products / np.where(squares > 0.0, squares, np.inf)))


def _widest(points: Values) -> Vector:
    direction: Vector = points[np.argmax(np.einsum("ij,ij->i", points, points))]
    for _ in range(POWER_ITERATIONS):
        norm = float(np.linalg.norm(direction))
        if not norm > 0.0:
            break
        direction = (points @ (direction / norm)) @ points
    return direction


def _variance_along(direction: Vector, points: Values) -> float:
    norm = float(np.linalg.norm(direction))
    return float(np.mean((points @ (direction / norm)) ** 2)) if norm > 0.0 else 0.0


def pool_steps(counters: Tally) -> None:
    """Give every chain the geometric mean of the averaged step sizes, and restart their adaptation from it."""
    counters["log_step"] = np.mean(counters["log_step_mean"])
    restart(counters)


def restart(counters: Tally) -> None:
    """Forget what the adaptation of the step size knew, but the step size itself."""
    counters["centre"] = counters["log_step"]
    counters["log_step_mean"] = counters["log_step"]
    counters["error"] = 0.0
    counters["adaptations"] = 0


def complaint(counters: Tally, accepted_before: npt.NDArray[np.int64] | None) -> str:
    """Why warm-up failed, or ''. A chain that accepted nothing since `accepted_before` is stuck; None: do not look."""
    for chain, step in enumerate(np.exp(counters["log_step"])):
        if not step > SMALLEST_STEP:
            return f"the step size of chain {chain} fell to {step:.1e} in warm-up"
    if accepted_before is not None:
        for c in np.flatnonzero(counters["accepted"] == accepted_before):
            return f"chain {c} rejected every proposal in the last window of warm-up"
    return ""
