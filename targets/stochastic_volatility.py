"""Stochastic volatility (Kim, Shephard and Chib, Review of Economic Studies 65, 1998), on simulated returns.

    mu ~ N(0, 2)   (phi + 1) / 2 ~ Beta(20, 1.5)   sigma^2 ~ InverseGamma(2.5, 0.025)
    h_1 ~ N(mu, sigma / sqrt(1 - phi^2))   h_t ~ N(mu + phi (h_(t-1) - mu), sigma)   return_t ~ N(0, exp(h_t / 2))

with standard deviations. Coordinates, non-centred: mu, logit((phi + 1) / 2), log sigma, z_1 = (h_1 - mu) / sigma, and
z_t, the standardised innovations of h. Were z_1 standardised as well, its scale would vanish as phi goes to 1, and make
a funnel. The density keeps every constant: its log normaliser is the log evidence.
"""

import math

import numpy as np

from targets import reference
from targets.kernel import Matrix, Vector, data_matrix, density, kernel
from targets.options import require
from targets.target import Generative, Named, Target

MU_SD = 2.0
PHI_A, PHI_B = 20.0, 1.5
SHAPE, SCALE = 2.5, 0.025
MU, PHI, SIGMA = -1.0, 0.95, 0.25  # that the returns are simulated with
HEAD = 3  # coordinates before the innovations
LEAST, MOST = 2, 100_000  # returns

_LOG_2PI = math.log(2 * math.pi)
_CONSTANT = (
    -0.5 * _LOG_2PI
    - math.log(MU_SD)
    + math.lgamma(PHI_A + PHI_B)
    - math.lgamma(PHI_A)
    - math.lgamma(PHI_B)
    + math.log(2)
    + SHAPE * math.log(SCALE)
    - math.lgamma(SHAPE)
)


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """One row: squared returns. The way forth keeps h_t - mu in the gradient, the way back overwrites it."""
    n = data.shape[1]
    mu, tail, sigma = x[0], math.exp(-abs(x[1])), math.exp(x[2])
    upper = (1.0 if x[1] > 0.0 else tail) / (1.0 + tail)  # (phi + 1) / 2
    lower = (tail if x[1] > 0.0 else 1.0) / (1.0 + tail)
    phi, left = upper - lower, 4.0 * upper * lower  # left = 1 - phi^2
    away = sigma * x[3]
    for t in range(n - 1):
        gradient[3 + t] = away
        away = phi * away + sigma * x[4 + t]
    energy, later, to_mu, to_phi, to_sigma = 0.0, 0.0, 0.0, 0.0, 0.0
    for s in range(n - 1):
        t = n - 1 - s
        raw = x[3 + t]
        squared = data[0, t] * math.exp(-mu - away)
        slope = 0.5 * (squared - 1.0)
        energy += squared + away + raw * raw
        later = slope + phi * later  # to h_t, by itself and by all that follow
        to_mu += slope
        away = gradient[2 + t]
        to_phi += later * away
        to_sigma += later * raw
        gradient[3 + t] = sigma * later - raw
    raw = x[3]
    squared = data[0, 0] * math.exp(-mu - away)
    slope = 0.5 * (squared - 1.0)
    energy += squared + away + left * raw * raw - math.log(left)
    later = slope + phi * later
    gradient[3] = sigma * later - left * raw
    gradient[0] = to_mu + slope - mu / MU_SD**2
    # d phi / d x[1] = (1 - phi^2) / 2, and the first step's scale depends on phi
    gradient[1] = 0.5 * (left * to_phi + phi * (left * raw * raw - 1.0)) + PHI_A * lower - PHI_B * upper
    shrink = SCALE / (sigma * sigma)
    gradient[2] = sigma * to_sigma + later * away - 2.0 * SHAPE + 2.0 * shrink
    # log upper = min(x, 0) - log(1 + tail), log lower = min(-x, 0) - log(1 + tail)
    logs = PHI_A * min(x[1], 0.0) + PHI_B * min(-x[1], 0.0) - (PHI_A + PHI_B) * math.log1p(tail)
    likelihood = -0.5 * (energy + n * mu) - n * _LOG_2PI
    return _CONSTANT + likelihood + logs - 0.5 * mu * mu / MU_SD**2 - 2.0 * SHAPE * x[2] - shrink


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`."""
    n = data.shape[1]
    mu, tail, sigma = x[0], math.exp(-abs(x[1])), math.exp(x[2])
    upper = (1.0 if x[1] > 0.0 else tail) / (1.0 + tail)
    lower = (tail if x[1] > 0.0 else 1.0) / (1.0 + tail)
    phi, left, away = upper - lower, 4.0 * upper * lower, 0.0
    energy = (left - 1.0) * x[3] * x[3] - math.log(left)
    for t in range(n):
        away = phi * away + sigma * x[3 + t]
        energy += data[0, t] * math.exp(-mu - away) + away + x[3 + t] * x[3 + t]
    shrink = SCALE / (sigma * sigma)
    logs = PHI_A * min(x[1], 0.0) + PHI_B * min(-x[1], 0.0) - (PHI_A + PHI_B) * math.log1p(tail)
    likelihood = -0.5 * (energy + n * mu) - n * _LOG_2PI
    return _CONSTANT + likelihood + logs - 0.5 * mu * mu / MU_SD**2 - 2.0 * SHAPE * x[2] - shrink


def stochastic_volatility(*, n: int = 100, seed: int = 0) -> Target:
    """The posterior of the volatility of simulated returns, with a certified truth where there is a certificate.

    Args:
        n: returns; the posterior has n + 3 dimensions.
        seed: of the returns.

    Raises:
        UsageError: an option is out of range.
    """
    require(LEAST <= n <= MOST, f"stochastic_volatility: n={n} is not accepted; it takes {LEAST} to {MOST}")
    times = range(1, n + 1)
    target = Target(
        name="stochastic_volatility",
        dim=HEAD + n,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data_matrix(_returns(n, seed)[None] ** 2),
        coordinates=("mu", "logit_phi", "log_sigma", *(f"z[{t}]" for t in times)),
        named=Named(("mu", "phi", "sigma", *(f"h[{t}]" for t in times)), _named),
        generative=Generative(lambda rng: _from_prior(rng, n), _simulated),
        description=f"stochastic volatility of {n} simulated returns, non-centred",
    )
    return reference.attach(target)


def _from_prior(rng: np.random.Generator, n: int) -> Vector:
    # the logit of a Beta variable is the difference of the logs of two Gamma variables, and exact near 1
    logit = math.log(rng.gamma(PHI_A)) - math.log(rng.gamma(PHI_B))
    head = [MU_SD * rng.standard_normal(), logit, 0.5 * math.log(SCALE / rng.gamma(SHAPE))]
    raw = rng.standard_normal(n)
    raw[0] *= math.cosh(0.5 * logit)  # 1 / sqrt(1 - phi^2)
    return np.concatenate([head, raw])


def _simulated(rng: np.random.Generator, x: Vector) -> Matrix:
    volatility = _named(x[None])[:, HEAD:]
    return np.asarray(rng.standard_normal(volatility.shape) ** 2 * np.exp(volatility))


def _returns(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    raw, noise = rng.standard_normal((2, n))
    raw[0] /= math.sqrt(1 - PHI**2)
    return np.asarray(noise * np.exp(0.5 * _volatility(raw[None], np.array([[MU, PHI, SIGMA]]))[0]))


def _volatility(raw: Matrix, head: Matrix) -> Matrix:
    """(m, n) log variances h, from innovations (m, n) and mu, phi, sigma (m, 3)."""
    mu, phi, sigma = head.T
    away = sigma[:, None] * raw
    for t in range(1, raw.shape[1]):
        away[:, t] += phi * away[:, t - 1]
    return np.asarray(mu[:, None] + away)


def _named(x: Matrix) -> Matrix:
    head = np.stack([x[:, 0], np.tanh(0.5 * x[:, 1]), np.exp(x[:, 2])], axis=1)
    return np.hstack([head, _volatility(x[:, HEAD:], head)])
