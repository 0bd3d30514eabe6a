"""Eight schools: the effect of coaching in eight parallel experiments (Rubin 1981; Gelman et al., BDA3, section 5.5).

    mu ~ N(0, 5)   tau ~ HalfCauchy(0, 5)   theta_j ~ N(mu, tau)   effect_j ~ N(theta_j, error_j)

with standard deviations. Coordinates: mu, log tau, and theta_j (centred) or raw_j = (theta_j - mu) / tau (non-centred).
Given tau all else is Gaussian, so that the truth needs quadrature over log tau alone. The density keeps every constant:
its log normaliser is the log evidence.
"""

import math

import numpy as np

from targets.kernel import Matrix, Vector, data_matrix, density, kernel
from targets.options import require
from targets.quadrature import Grid, mixture_moments
from targets.target import Named, Target
from targets.truth import Certificate, Moments, Truth

EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
SCHOOLS = 8
PRIOR = 25.0  # the prior variance of mu, and the squared scale of tau

_LOG_2PI = math.log(2 * math.pi)
# of the priors on mu and tau; of the likelihood; of theta (or raw) given mu and tau
_CONSTANT = (
    -0.5 * (_LOG_2PI + math.log(PRIOR))
    + math.log(2 / math.pi)
    - 0.5 * math.log(PRIOR)
    - float(np.sum(np.log(ERROR)))
    - SCHOOLS * _LOG_2PI
)


@kernel
def noncentred(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: effect / error, 1 / error; a row a school."""
    mu = x[0]
    tau = math.exp(x[1])
    to_mu, to_tau, total = 0.0, 0.0, 0.0
    for j in range(SCHOOLS):
        raw = x[2 + j]
        residual = data[j, 0] - (mu + tau * raw) * data[j, 1]
        slope = residual * data[j, 1]
        gradient[2 + j] = tau * slope - raw
        to_mu += slope
        to_tau += raw * slope
        total += raw * raw + residual * residual
    gradient[0] = to_mu - mu / PRIOR
    gradient[1] = 1.0 - 2.0 / (1.0 + PRIOR / (tau * tau)) + tau * to_tau
    return _CONSTANT - 0.5 * (total + mu * mu / PRIOR) - math.log1p(tau * tau / PRIOR) + x[1]


@density
def noncentred_density(x, data):  # type: ignore[no-untyped-def]
    """As `noncentred`, without gradient."""
    mu = x[0]
    tau = math.exp(x[1])
    total = mu * mu / PRIOR
    for j in range(SCHOOLS):
        raw = x[2 + j]
        residual = data[j, 0] - (mu + tau * raw) * data[j, 1]
        total += raw * raw + residual * residual
    return _CONSTANT - 0.5 * total - math.log1p(tau * tau / PRIOR) + x[1]


@kernel
def centred(x, gradient, data):  # type: ignore[no-untyped-def]
    """Columns: effect / error, 1 / error; a row a school."""
    mu = x[0]
    precision = math.exp(-2.0 * x[1])
    to_mu, distance, misfit = 0.0, 0.0, 0.0
    for j in range(SCHOOLS):
        away = x[2 + j] - mu
        residual = data[j, 0] - x[2 + j] * data[j, 1]
        pull = away * precision
        gradient[2 + j] = residual * data[j, 1] - pull
        to_mu += pull
        distance += away * away
        misfit += residual * residual
    gradient[0] = to_mu - mu / PRIOR
    gradient[1] = 1.0 - SCHOOLS - 2.0 / (1.0 + PRIOR * precision) + distance * precision
    tail = math.log1p(1.0 / (PRIOR * precision))
    return _CONSTANT - 0.5 * (distance * precision + misfit + mu * mu / PRIOR) - tail + (1.0 - SCHOOLS) * x[1]


@density
def centred_density(x, data):  # type: ignore[no-untyped-def]
    """As `centred`, without gradient."""
    mu = x[0]
    precision = math.exp(-2.0 * x[1])
    distance, misfit = 0.0, 0.0
    for j in range(SCHOOLS):
        away = x[2 + j] - mu
        residual = data[j, 0] - x[2 + j] * data[j, 1]
        distance += away * away
        misfit += residual * residual
    tail = math.log1p(1.0 / (PRIOR * precision))
    return _CONSTANT - 0.5 * (distance * precision + misfit + mu * mu / PRIOR) - tail + (1.0 - SCHOOLS) * x[1]


def eight_schools(*, parameterisation: str = "noncentred") -> Target:
    """The posterior of the eight schools, with truth by quadrature.

    Args:
        parameterisation: 'noncentred', or 'centred', a funnel that is hard to sample.

    Raises:
        UsageError: another parameterisation.
    """
    require(
        parameterisation in ("noncentred", "centred"),
        f"eight_schools: parameterisation={parameterisation!r} is not accepted; it takes 'noncentred' or 'centred'",
    )
    raw = parameterisation == "noncentred"
    letter = "raw" if raw else "theta"
    schools = range(1, SCHOOLS + 1)
    return Target(
        name="eight_schools",
        dim=2 + SCHOOLS,
        log_density_and_gradient=noncentred if raw else centred,
        log_density=noncentred_density if raw else centred_density,
        data=data_matrix(np.stack([EFFECT / ERROR, 1 / ERROR], axis=1)),
        truth=_truth(raw),
        coordinates=("mu", "log_tau", *(f"{letter}[{j}]" for j in schools)),
        named=Named(
            ("mu", "tau", *(f"theta[{j}]" for j in schools)), _named_from_noncentred if raw else _named_from_centred
        ),
        tags=frozenset() if raw else frozenset({"funnel"}),
    )


def _named_from_noncentred(x: Matrix) -> Matrix:
    tau = np.exp(x[:, 1:2])
    return np.hstack([x[:, :1], tau, x[:, :1] + tau * x[:, 2:]])


def _named_from_centred(x: Matrix) -> Matrix:
    return np.hstack([x[:, :1], np.exp(x[:, 1:2]), x[:, 2:]])


def _given_tau(log_tau: Vector) -> tuple[Vector, Vector, Vector]:
    """Log of evidence times prior, theta integrated out, and mu's mean and standard deviation given tau; (n,) each."""
    tau = np.exp(log_tau)
    spread = ERROR**2 + tau[:, None] ** 2
    precision = 1 / PRIOR + (1 / spread).sum(axis=1)
    pull = (EFFECT / spread).sum(axis=1)
    fit = -0.5 * (np.log(2 * np.pi * spread) + EFFECT**2 / spread).sum(axis=1)
    fit += 0.5 * pull**2 / precision - 0.5 * np.log(PRIOR * precision)
    prior = math.log(2 / (math.pi * math.sqrt(PRIOR))) - np.log1p(tau**2 / PRIOR) + log_tau
    return fit + prior, pull / precision, precision**-0.5


def _truth(raw: bool) -> Truth:
    # the tails fall as tau to the left and as tau^-9 to the right; tau^4 is to be integrated too
    grid = Grid(lambda u: _given_tau(u[:, 0])[0], np.array([-45.0]), np.array([15.0]), (3001,))
    u, (_, mu, mu_sd) = grid.nodes, _given_tau(grid.nodes[:, 0])
    mu, mu_sd, tau = mu[:, None], mu_sd[:, None], np.exp(u)
    spread = ERROR**2 + tau**2
    zero = np.zeros_like(u)
    theta = ((tau**2 * EFFECT + ERROR**2 * mu) / spread, ERROR**2 / spread * mu_sd, ERROR * tau / np.sqrt(spread))
    deviation = (tau * (EFFECT - mu) / spread, -tau / spread * mu_sd, ERROR / np.sqrt(spread))
    schools = deviation if raw else theta

    def moments(second: Matrix, parts: tuple[Matrix, Matrix, Matrix]) -> Moments:
        centre, shared, own = parts
        return mixture_moments(
            grid.masses,
            np.hstack([mu, second, centre]),
            np.hstack([mu_sd, zero, shared]),
            np.hstack([zero, zero, own]),
        )

    given = np.log(mu_sd[:, 0]) + np.log(schools[2]).sum(axis=1) + 0.5 * (1 + SCHOOLS) * (1 + _LOG_2PI)

    def sample(rng: np.random.Generator, n: int) -> Matrix:
        log_tau = grid.sample(rng, n)
        _, mean, sd = _given_tau(log_tau[:, 0])
        drawn = (mean + sd * rng.standard_normal(n))[:, None]
        scale = np.exp(log_tau)
        total = ERROR**2 + scale**2
        noise = rng.standard_normal((n, SCHOOLS)) * ERROR / np.sqrt(total)
        off = scale * (EFFECT - drawn) / total + noise  # (theta - mu) / tau
        return np.hstack([drawn, log_tau, off if raw else drawn + scale * off])

    return Truth(
        moments=moments(u, schools),
        certificate=Certificate("quadrature", "trapezoidal rule over log tau; the rest is Gaussian given tau"),
        sample=sample,
        log_normaliser=grid.log_normaliser,
        entropy=grid.entropy + float(grid.masses @ given),
        named=moments(tau, theta),
    )
