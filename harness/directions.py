"""From the reverse to the forward divergence on two modes far apart: every Gaussian optimum, by quadrature.

In more dimensions than one the optimum is the same along the line of the modes, and the target's own across it, as long
as both components are as wide: the divergences of a product add up, or multiply, and those across are zero.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from harness.figures_bimodal import GRID
from harness.spec import Spec
from reports.section import Cell, Section
from targets import registry as targets
from targets.target import Target
from targets.truth import Truth
from variational.gaussian import Gaussian
from variational.grid import Grid, integrate
from variational.objectives import kl_forward as forward_divergence
from variational.quadrature import Optimum, alpha_divergence, distinct, forward_kl, reverse_kl

SEPARATION, WEIGHT = 10.0, 0.3
DIM = 2  # of the race
DRAWS = 50  # of the bound of an alpha-divergence that starts broad; few would pull it towards the reverse divergence
ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.825, 0.85, 0.9, 1.0)
SHOWN = (0.0, 0.7, 0.75, 1.0)  # whose densities are drawn
REACH = 9.0  # of the densities drawn, beyond the centre

NOTE = (
    "Every local minimum over Gaussians of D_alpha, from both modes and from between; the best first. D_0 is "
    "KL(q ‖ p) and D_1 is KL(p ‖ q). The mass is that of q on the side of the left mode, where the target has {mass:g}."
)


class Found(NamedTuple):
    """A local minimum of D_alpha, and where it lies between the two divergences at the ends."""

    alpha: float
    optimum: Optimum
    mass: float
    kl_reverse: float
    kl_forward: float


def optima(target: Target, truth: Truth, grid: Grid, alpha: float) -> list[Found]:
    """The minima of D_alpha over Gaussians, best first."""
    half = 0.5 * SEPARATION
    starts = ((-half, 1.0), (half, 1.0), (0.4 * half, half), (0.0, 0.7))
    found = [_minimum(target, grid, alpha, np.array([mean]), np.array([sd])) for mean, sd in starts]
    return [
        Found(
            alpha,
            optimum,
            float(ndtr(-optimum.q.mean[0] / optimum.q.sd[0])),
            _reverse(optimum.q, target, truth),
            forward_divergence(optimum.q, truth).value,
        )
        for optimum in distinct(found)
    ]


def _minimum(target: Target, grid: Grid, alpha: float, mean: np.ndarray, sd: np.ndarray) -> Optimum:
    if alpha == 0.0:
        return reverse_kl(target, mean, sd)
    if alpha == 1.0:
        return forward_kl(target, mean, sd, grid=grid)
    return alpha_divergence(target, alpha, mean, sd, grid=grid)


def _reverse(q: Gaussian, target: Target, truth: Truth) -> float:
    axis = q.mean + q.sd * np.linspace(-REACH, REACH, 4 * GRID)[:, None]
    log_q = q.log_density(axis)
    mass = np.exp(log_q) / np.exp(log_q).sum()
    return float(mass @ (log_q - target.log_densities(axis)) + truth.log_normaliser)


def measure(_: list[Spec]) -> Section:
    """The table of all optima from alpha = 0 to 1, whose numbers the figure draws as well."""
    target = targets.load("bimodal_mixture", separation=SEPARATION, weight=WEIGHT)
    truth = target.truth
    assert truth is not None and truth.modes is not None  # noqa: S101  # of this target
    grid = integrate(target, truth.moments.mean, truth.moments.sd)
    assert grid is not None  # noqa: S101
    rows, numbers = [], []
    best: list[Found] = []
    for alpha in ALPHAS:
        found = optima(target, truth, grid, alpha)
        best.append(found[0])
        rows += [_row(each, each is found[0]) for each in found]
        numbers += [_numbers(each, each is found[0]) for each in found]
    axis = np.linspace(-REACH - 0.5 * SEPARATION, REACH + 0.5 * SEPARATION, GRID)
    drawn: list[dict[str, Any]] = [
        {
            "alpha": each.alpha,
            "grid": axis.tolist(),
            "density": np.exp(each.optimum.q.log_density(axis[:, None])).tolist(),
        }
        for each in best
        if each.alpha in SHOWN
    ]
    exact = np.exp(target.log_densities(axis[:, None]) - truth.log_normaliser)
    drawn.append({"alpha": None, "grid": axis.tolist(), "density": exact.tolist()})
    head = ("alpha", "optimum", "mean", "sd", "mass left", "D_alpha", "KL(q ‖ p)", "KL(p ‖ q)")
    return Section(
        "The Gaussian optimum between the two divergences",
        head,
        rows,
        _sentences(best),
        NOTE.format(mass=WEIGHT),
        [*numbers, *drawn],
    )


def _sentences(best: list[Found]) -> list[str]:
    alone = [each.alpha for each in best if each.mass < 0.01]
    both = [each.alpha for each in best if each.mass >= 0.01]
    return [
        f"Up to alpha = {max(alone):g} the best Gaussian holds the right mode alone, and misses "
        f"{100 * WEIGHT:g} % of the mass; from {min(both):g} on it covers both.",
        f"At alpha = 0 it costs KL(q ‖ p) = {best[0].kl_reverse:.3f}, minus the log of the mass held, and "
        f"KL(p ‖ q) = {best[0].kl_forward:.3g}; at alpha = 1 it costs {best[-1].kl_reverse:.3f} and "
        f"{best[-1].kl_forward:.3f}.",
    ]


def _row(found: Found, best: bool) -> list[Cell]:
    q = found.optimum.q
    values = (
        float(q.mean[0]),
        float(q.sd[0]),
        found.mass,
        found.optimum.divergence,
        found.kl_reverse,
        found.kl_forward,
    )
    return [
        Cell(f"{found.alpha:g}"),
        Cell("best" if best else "local"),
        *(Cell.of(value, f"{value:.3f}") for value in values),
    ]


def _numbers(found: Found, best: bool) -> dict[str, Any]:
    return {
        "alpha": found.alpha,
        "best": best,
        "mean": float(found.optimum.q.mean[0]),
        "sd": float(found.optimum.q.sd[0]),
        "mass": found.mass,
        "divergence": found.optimum.divergence,
        "kl_reverse": found.kl_reverse,
        "kl_forward": found.kl_forward,
    }
