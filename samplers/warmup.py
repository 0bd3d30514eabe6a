"""What warm-up knows before its first draw, and how it keeps the chains' step sizes together."""

import numpy as np

from samplers.chain import Tally, Values
from targets.kernel import Matrix, Vector, aligned

REMEMBERING = 60  # draws a chain
SMALLEST_STEP = 1e-10
STUCK = 100  # equal draws in a row; at an acceptance of 0.234 they come by chance once in 4e11
FARTHEST = 1e100  # of a coordinate: a chain gets there only where nothing holds it, and squares overflow soon after


def first_scale(positions: Matrix, gradients: Matrix) -> Vector:
    """(dim,) a first guess, from the starting points (n, dim) and their gradients: (Var x / Var gradient)^(1/4).

    That is the standard deviation of an uncorrelated Gaussian, wherever the points lie (as in nutpie's metric,
    arXiv:2603.18845). One where it is undefined: a single chain, equal points, or no gradients.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        guess = (positions.var(axis=0) / gradients.var(axis=0)) ** 0.25
    return aligned(np.where(np.isfinite(guess) & (guess > 0.0), guess, 1.0))


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


def complaint(counters: Tally, drawn: Values, last: bool) -> str:
    """Why warm-up failed, or ''; `drawn` (chains, n, width) are its draws so far, and `last` whether it ends here.

    A chain has run off if it is beyond `FARTHEST`, and is stuck if the `STUCK` last draws of warm-up are one.
    """
    for c in np.flatnonzero(np.any(np.abs(drawn[:, -1:]) > FARTHEST, axis=(1, 2))):
        return f"chain {c} ran off to {np.max(np.abs(drawn[c, -1])):.0e}; the density may have no finite integral"
    for chain, step in enumerate(np.exp(counters["log_step"])):
        if not step > SMALLEST_STEP:
            return f"the step size of chain {chain} fell to {step:.1e} in warm-up"
    if last and drawn.shape[1] >= STUCK:
        for c in np.flatnonzero(np.all(drawn[:, -STUCK:] == drawn[:, -1:], axis=(1, 2))):
            return f"chain {c} rejected every proposal in the last {STUCK} iterations of warm-up"
    return ""
