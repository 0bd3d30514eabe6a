"""A bioassay: how many of five animals died at each of four doses (Racine et al. 1986; BDA3, section 3.7).

    alpha, beta ~ flat   deaths_i ~ Binomial(5, 1 / (1 + exp(-(alpha + beta log_dose_i))))

(BDA3 is Gelman et al., Bayesian Data Analysis.) The posterior is proper, skewed and curved. The density keeps every
constant but the prior's, which has none. What its users ask for is not a coordinate: the dose that kills half of the
animals, whether the compound is harmful at all, and whether a low dose may be handled.
"""

import functools
import math

import numpy as np

from targets.exponential import exp_minus
from targets.kernel import Matrix, Vector, data_matrix, density, kernel
from targets.quadrature import Grid
from targets.quantity import Known, Quantity
from targets.target import Target
from targets.truth import Certificate, Truth

LOG_DOSE = np.array([-0.86, -0.30, -0.05, 0.73])  # of grams a millilitre
ANIMALS = np.full(4, 5.0)
DEATHS = np.array([0.0, 1.0, 3.0, 5.0])

HANDLED = -0.5  # the log dose that the decision is about
LOSS_OF_DEATH = 20.0  # in units of what forgoing the dose costs

_CORNERS = (-10.0, -20.0), (34.0, 190.0)  # all but 1e-13 of the mass lies between
_COUNTS = (441, 421)
_CHOICES = float(sum(math.log(math.comb(int(n), int(y))) for n, y in zip(ANIMALS, DEATHS, strict=True)))


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Rows: log dose, animals, deaths; a column a dose. log(1 + e^z) = max(z, 0) + log(1 + e^-|z|)."""
    value, by_alpha, by_beta = 0.0, 0.0, 0.0
    for i in range(data.shape[1]):
        dose, animals, deaths = data[0, i], data[1, i], data[2, i]
        z = x[0] + x[1] * dose
        t = exp_minus(abs(z))
        slope = deaths - animals * ((1.0 if z > 0.0 else t) / (1.0 + t))
        by_alpha += slope
        by_beta += slope * dose
        value += deaths * z - animals * (0.5 * (z + abs(z)) + math.log(1.0 + t))
    gradient[0] = by_alpha
    gradient[1] = by_beta
    return value + _CHOICES


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`, without gradient."""
    value = 0.0
    for i in range(data.shape[1]):
        z = x[0] + x[1] * data[0, i]
        value += data[2, i] * z - data[1, i] * (0.5 * (z + abs(z)) + math.log(1.0 + exp_minus(abs(z))))
    return value + _CHOICES


def log_posterior(x: Matrix) -> Vector:
    """(n,) the same at points (n, 2), in NumPy."""
    z = x[:, :1] + x[:, 1:] * LOG_DOSE
    return np.asarray((DEATHS * z - ANIMALS * np.logaddexp(0.0, z)).sum(axis=1) + _CHOICES)


def ld50(x: Matrix) -> Vector:
    """(n,) the log dose at which half of the animals die; it means nothing where beta is negative."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(-x[:, 0] / x[:, 1])


def harmful(x: Matrix) -> Vector:
    """(n,) 1 where more of the compound kills more animals."""
    return np.asarray(x[:, 1] > 0, dtype=np.float64)


def losses(x: Matrix) -> Matrix:
    """(n, 2) what allowing the dose `HANDLED` costs, and what forgoing it does."""
    risk = 0.5 * (1 + np.tanh(0.5 * (x[:, 0] + HANDLED * x[:, 1])))
    return np.stack([LOSS_OF_DEATH * risk, np.ones(len(x))], axis=1)


def bioassay() -> Target:
    """The posterior of the bioassay, with truth by quadrature in the plane."""
    truth, quantities = _truth()
    return Target(
        name="bioassay",
        dim=2,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data_matrix([LOG_DOSE, ANIMALS, DEATHS]),
        truth=truth,
        coordinates=("alpha", "beta"),
        quantities=quantities,
    )


@functools.cache
def _truth() -> tuple[Truth, tuple[Quantity, ...]]:
    grid = Grid(log_posterior, np.array(_CORNERS[0]), np.array(_CORNERS[1]), _COUNTS)
    truth = Truth(
        moments=grid.moments(),
        certificate=Certificate("quadrature", "trapezoidal rule in the plane", {"nodes": len(grid.nodes)}),
        sample=grid.sample,
        log_normaliser=grid.log_normaliser,
        entropy=grid.entropy,
    )
    expected = grid.masses @ losses(grid.nodes)
    action = int(np.argmin(expected))
    spread = grid.masses @ (losses(grid.nodes)[:, action] - expected[action]) ** 2
    negative = _mass_of_negative_beta(grid.log_normaliser)
    return truth, (
        Quantity(
            "LD50",
            "median log dose that kills half of the animals, in log g/ml",
            ld50,
            "median",
            _median_of_ld50(),
            interval=True,
        ),
        Quantity(
            "P(beta > 0)",
            "probability that the compound is harmful",
            harmful,
            known=Known(1 - negative, 0.0, math.sqrt(negative * (1 - negative))),
        ),
        Quantity(
            "loss of handling",
            f"expected loss of the better action: allow a log dose of {HANDLED:g}, a death costing {LOSS_OF_DEATH:g}, "
            "or forgo it at a cost of 1",
            losses,
            "least",
            Known(float(expected[action]), 0.0, math.sqrt(spread)),
        ),
    )


def _median_of_ld50() -> Known:
    """By quadrature over beta given t = -alpha / beta, whose density is p(-t beta, beta) |beta|, and then over t."""
    t, beta = np.linspace(-2.0, 2.0, 1601), np.linspace(_CORNERS[0][1], _CORNERS[1][1], 211)
    points = np.stack([-np.outer(t, beta).ravel(), np.tile(beta, len(t))], axis=1)
    marginal = np.exp(log_posterior(points)).reshape(len(t), -1) @ np.abs(beta)
    cumulative = np.concatenate([[0.0], np.cumsum(marginal[1:] + marginal[:-1])])  # the two tails left out are alike
    low, median, high = np.interp([0.4, 0.5, 0.6], cumulative / cumulative[-1], t)
    return Known(float(median), 0.0, float(0.5 * (high - low) / 0.2))


def _mass_of_negative_beta(log_normaliser: float) -> float:
    """P(beta < 0), with nodes on the border, where the grid of the rest would count too much."""
    alpha, beta = np.linspace(-60.0, 60.0, 301), np.linspace(-20.0, 0.0, 201)
    points = np.stack(np.meshgrid(alpha, beta, indexing="ij"), axis=-1).reshape(-1, 2)
    along = np.exp(log_posterior(points) - log_normaliser).reshape(len(alpha), -1).sum(axis=0)
    return float(np.trapezoid(along, beta) * (alpha[1] - alpha[0]))
