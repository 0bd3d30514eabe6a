"""Hares and lynxes of Hudson Bay, 1900 to 1920: a predator-prey model, solved with its sensitivities (Carpenter 2018).

    d hare / dt = (alpha - beta lynx) hare      alpha, gamma ~ N(1, 0.5)     beta, delta ~ N(0.05, 0.05), all positive
    d lynx / dt = (delta hare - gamma) lynx     hare(1900), lynx(1900) ~ LogNormal(log 10, 1)
    pelts of each species in each year ~ LogNormal(log of its number, sigma of the species)   sigma ~ LogNormal(-1, 1)

Numbers and pelts are in thousands, times in years. Coordinates: the logs of alpha, beta, gamma, delta, of both numbers
in 1900 and of both sigmas. The equations are solved for the logs of the numbers by the classical Runge-Kutta rule in
steps of one length, and the density is that of the discrete solution: the sensitivities, carried along by the same
rule, are its exact derivatives. Every constant is kept: the log normaliser is the log evidence.
"""

import math
import pathlib

import numpy as np
from scipy.special import ndtr, ndtri

from targets import reference
from targets.kernel import Matrix, Vector, data_matrix, density, helper, lean_kernel
from targets.lanes import fma, load, splat, store
from targets.options import require
from targets.target import Generative, Named, Target

NAMES = ("alpha", "beta", "gamma", "delta", "hare_1900", "lynx_1900", "sigma_hare", "sigma_lynx")
RATE, RATE_SD = 1.0, 0.5  # prior of alpha and gamma
CONTACT, CONTACT_SD = 0.05, 0.05  # of beta and delta
START = math.log(10.0)  # prior mean of the log numbers in 1900
SIGMA = -1.0  # prior mean of the log sigmas
FAR = 25.0  # log thousands of animals, beyond which the density is zero
MOST = 1000  # steps a year
YEARS = 21

_FILE = pathlib.Path(__file__).parent / "data" / "hudson_bay.csv"
_LOG_2PI = math.log(2 * math.pi)


def _log_share_above_zero(z: float) -> float:
    return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))


# of the eight priors: normals cut at zero, and lognormals of width 1
_PRIOR = (
    -4.0 * _LOG_2PI
    - 2.0 * (math.log(RATE_SD) + _log_share_above_zero(RATE / RATE_SD))
    - 2.0 * (math.log(CONTACT_SD) + _log_share_above_zero(CONTACT / CONTACT_SD))
)


@helper
def _slopes(hare, lynx, to_hare, to_lynx, rates, units):  # type: ignore[no-untyped-def]
    """Time derivatives of the log numbers, and of their derivatives by the first six coordinates (`to_*`)."""
    alpha, beta, gamma, delta = rates
    a, b, c, d = units
    eaten, born = beta * math.exp(lynx), delta * math.exp(hare)
    slope_hare = fma(splat(-eaten), fma(b, splat(1.0), to_lynx), fma(splat(alpha), a, splat(0.0)))
    slope_lynx = fma(splat(born), fma(d, splat(1.0), to_hare), fma(splat(-gamma), c, splat(0.0)))
    return alpha - eaten, born - gamma, slope_hare, slope_lynx


@helper
def _prior(x, alpha, beta, gamma, delta):  # type: ignore[no-untyped-def]
    """Log density of the coordinates' priors, the Jacobians of the logs included."""
    rates = (alpha - RATE) ** 2 + (gamma - RATE) ** 2
    contacts = (beta - CONTACT) ** 2 + (delta - CONTACT) ** 2
    starts = (x[4] - START) ** 2 + (x[5] - START) ** 2
    sigmas = (x[6] - SIGMA) ** 2 + (x[7] - SIGMA) ** 2
    squares = rates / RATE_SD**2 + contacts / CONTACT_SD**2 + starts + sigmas
    return _PRIOR - 0.5 * squares + x[0] + x[1] + x[2] + x[3]


@lean_kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Rows of 8: a year's log hares, log lynxes and, in the first row, steps a year and the sum of all logs.

    After the 21 years come six unit rows: the derivative of each of the first six coordinates by all. Eight
    sensitivities fill one register.
    """
    alpha, beta, gamma, delta = math.exp(x[0]), math.exp(x[1]), math.exp(x[2]), math.exp(x[3])
    rates, first = (alpha, beta, gamma, delta), 8 * YEARS
    units = (load(data, first), load(data, first + 8), load(data, first + 16), load(data, first + 24))
    hare, lynx, to_hare, to_lynx = x[4], x[5], load(data, first + 32), load(data, first + 40)
    finest = math.exp(-2.0 * x[6])
    finest_lynx = math.exp(-2.0 * x[7])
    steps = int(data[0, 2])
    whole, half, sixth = 1.0 / data[0, 2], 0.5 / data[0, 2], 1.0 / (6.0 * data[0, 2])
    squares_hare, squares_lynx, slope, zero, two = 0.0, 0.0, splat(0.0), splat(0.0), splat(2.0)
    for year in range(YEARS):
        for _ in range(steps if year > 0 else 0):
            h1, l1, p1, q1 = _slopes(hare, lynx, to_hare, to_lynx, rates, units)
            by = splat(half)
            h2, l2, p2, q2 = _slopes(
                hare + half * h1, lynx + half * l1, fma(by, p1, to_hare), fma(by, q1, to_lynx), rates, units
            )
            h3, l3, p3, q3 = _slopes(
                hare + half * h2, lynx + half * l2, fma(by, p2, to_hare), fma(by, q2, to_lynx), rates, units
            )
            by = splat(whole)
            h4, l4, p4, q4 = _slopes(
                hare + whole * h3, lynx + whole * l3, fma(by, p3, to_hare), fma(by, q3, to_lynx), rates, units
            )
            hare += sixth * (h1 + 2.0 * (h2 + h3) + h4)
            lynx += sixth * (l1 + 2.0 * (l2 + l3) + l4)
            by, one = splat(sixth), splat(1.0)
            to_hare = fma(by, fma(two, fma(one, p2, p3), fma(one, p1, p4)), to_hare)
            to_lynx = fma(by, fma(two, fma(one, q2, q3), fma(one, q1, q4)), to_lynx)
            if not (hare < FAR and lynx < FAR):
                for i in range(8):
                    gradient[i] = 0.0
                return -math.inf
        away, off = data[year, 0] - hare, data[year, 1] - lynx
        squares_hare += away * away
        squares_lynx += off * off
        slope = fma(splat(finest * away), to_hare, fma(splat(finest_lynx * off), to_lynx, slope))
    store(gradient, 0, fma(slope, splat(1.0), zero))
    gradient[0] += 1.0 - alpha * (alpha - RATE) / RATE_SD**2
    gradient[1] += 1.0 - beta * (beta - CONTACT) / CONTACT_SD**2
    gradient[2] += 1.0 - gamma * (gamma - RATE) / RATE_SD**2
    gradient[3] += 1.0 - delta * (delta - CONTACT) / CONTACT_SD**2
    gradient[4] -= x[4] - START
    gradient[5] -= x[5] - START
    gradient[6] = finest * squares_hare - YEARS - (x[6] - SIGMA)
    gradient[7] = finest_lynx * squares_lynx - YEARS - (x[7] - SIGMA)
    fit = -0.5 * (finest * squares_hare + finest_lynx * squares_lynx) - YEARS * (x[6] + x[7] + _LOG_2PI) - data[0, 3]
    return fit + _prior(x, alpha, beta, gamma, delta)


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`."""
    alpha, beta, gamma, delta = math.exp(x[0]), math.exp(x[1]), math.exp(x[2]), math.exp(x[3])
    hare, lynx, steps = x[4], x[5], int(data[0, 2])
    whole, half, sixth = 1.0 / data[0, 2], 0.5 / data[0, 2], 1.0 / (6.0 * data[0, 2])
    squares_hare, squares_lynx = 0.0, 0.0
    for year in range(YEARS):
        for _ in range(steps if year > 0 else 0):
            h1, l1 = alpha - beta * math.exp(lynx), delta * math.exp(hare) - gamma
            h2, l2 = alpha - beta * math.exp(lynx + half * l1), delta * math.exp(hare + half * h1) - gamma
            h3, l3 = alpha - beta * math.exp(lynx + half * l2), delta * math.exp(hare + half * h2) - gamma
            h4, l4 = alpha - beta * math.exp(lynx + whole * l3), delta * math.exp(hare + whole * h3) - gamma
            hare += sixth * (h1 + 2.0 * (h2 + h3) + h4)
            lynx += sixth * (l1 + 2.0 * (l2 + l3) + l4)
            if not (hare < FAR and lynx < FAR):
                return -math.inf
        squares_hare += (data[year, 0] - hare) ** 2
        squares_lynx += (data[year, 1] - lynx) ** 2
    fit = -0.5 * (math.exp(-2.0 * x[6]) * squares_hare + math.exp(-2.0 * x[7]) * squares_lynx)
    fit -= YEARS * (x[6] + x[7] + _LOG_2PI) + data[0, 3]
    return fit + _prior(x, alpha, beta, gamma, delta)


def lotka_volterra(*, steps: int = 10) -> Target:
    """The posterior of rates, first numbers and errors, with a certified truth where there is a certificate.

    Args:
        steps: of the Runge-Kutta rule in a year; a gradient's cost is proportional to it.

    Raises:
        UsageError: an option is out of range.
    """
    require(1 <= steps <= MOST, f"lotka_volterra: steps={steps} is not accepted; it takes 1 to {MOST}")
    target = Target(
        name="lotka_volterra",
        dim=8,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=_data(steps),
        coordinates=tuple(f"log_{name}" for name in NAMES),
        named=Named(NAMES, np.exp),
        initial=_folded,
        generative=Generative(lambda rng: _from_prior(rng, steps), lambda rng, x: _simulated(rng, x, steps)),
        description=f"hares and lynxes, 1900 to 1920: an ordinary differential equation in {steps} steps a year",
    )
    return reference.attach(target)


def _data(steps: int) -> Matrix:
    _, *pelts = np.loadtxt(_FILE, delimiter=",", skiprows=1).T
    return data_matrix(_matrix(np.log(pelts).T, steps))


def _matrix(logs: Matrix, steps: int) -> Matrix:
    """What the kernel takes, from log pelts (years, 2)."""
    data = np.zeros((YEARS + 6, 8))
    data[:YEARS, :2] = logs
    data[0, 2:4] = steps, logs.sum()
    data[YEARS:, :6] = np.eye(6)
    return data


def _folded(rng: np.random.Generator) -> Vector:
    """Near a draw of the prior: the normals folded at zero rather than cut."""
    z = rng.standard_normal(8)
    rates = np.abs([RATE, CONTACT, RATE, CONTACT] + z[:4] * [RATE_SD, CONTACT_SD, RATE_SD, CONTACT_SD])
    return np.concatenate([np.log(rates), START + z[4:6], SIGMA + z[6:]])


def _from_prior(rng: np.random.Generator, steps: int) -> Vector:
    """A draw of the prior where the density is not zero: whose numbers stay below the bound."""
    mean = np.array([RATE, CONTACT, RATE, CONTACT])
    sd = np.array([RATE_SD, CONTACT_SD, RATE_SD, CONTACT_SD])
    while True:
        rates = mean - sd * ndtri(rng.random(4) * ndtr(mean / sd))  # the mirror image of a normal cut from above
        x = np.concatenate([np.log(rates), np.array([START, START, SIGMA, SIGMA]) + rng.standard_normal(4)])
        if np.isfinite(_solved(x, steps)).all():
            return x


def _simulated(rng: np.random.Generator, x: Vector, steps: int) -> Matrix:
    return _matrix(_solved(x, steps) + np.exp(x[6:]) * rng.standard_normal((YEARS, 2)), steps)


def _solved(x: Vector, steps: int) -> Matrix:
    """(years, 2) log numbers by the kernel's rule; NaN from where they reach the bound."""
    alpha, beta, gamma, delta, hare, lynx = *(math.exp(value) for value in x[:4]), float(x[4]), float(x[5])

    def slopes(hare: float, lynx: float) -> tuple[float, float]:
        return alpha - beta * math.exp(lynx), delta * math.exp(hare) - gamma

    path = np.full((YEARS, 2), np.nan)
    path[0] = hare, lynx
    whole, half, sixth = 1.0 / steps, 0.5 / steps, 1.0 / (6.0 * steps)
    for year in range(1, YEARS):
        for _ in range(steps):
            try:
                h1, l1 = slopes(hare, lynx)
                h2, l2 = slopes(hare + half * h1, lynx + half * l1)
                h3, l3 = slopes(hare + half * h2, lynx + half * l2)
                h4, l4 = slopes(hare + whole * h3, lynx + whole * l3)
            except OverflowError:  # a step that goes so far within ends beyond the bound
                return path
            hare += sixth * (h1 + 2.0 * (h2 + h3) + h4)
            lynx += sixth * (l1 + 2.0 * (l2 + l3) + l4)
            if not (hare < FAR and lynx < FAR):
                return path
        path[year] = hare, lynx
    return path
