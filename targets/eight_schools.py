"""Eight schools: the effect of coaching in eight parallel experiments (Rubin 1981; Gelman et al., BDA3, section 5.5).

    mu ~ N(0, 5)   tau ~ HalfCauchy(0, 5)   theta_j ~ N(mu, tau)   effect_j ~ N(theta_j, error_j)

with standard deviations. Coordinates: mu, log tau, and theta_j (centred) or raw_j = (theta_j - mu) / tau (non-centred).
Given tau all else is Gaussian, so that the truth needs quadrature over log tau alone. The density keeps every constant:
its log normaliser is the log evidence.
"""

import math
from collections.abc import Callable

import numpy as np

from targets.kernel import Matrix, Vector, data_matrix, density, lean_kernel
from targets.lanes import fma, load, splat, store, subtract, total
from targets.options import require
from targets.quadrature import Grid, mixture_moments
from targets.quantity import Known, Quantity
from targets.target import Generative, Named, Target
from targets.truth import Certificate, Moments, Truth

EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
SCHOOLS = 8
PRIOR = 25.0  # the prior variance of mu, and the squared scale of tau
POOLING = 5.0  # see `odds_of_pooling`

_LOG_2PI = math.log(2 * math.pi)
# of the priors on mu and tau; of the likelihood; of theta (or raw) given mu and tau
_CONSTANT = (
    -0.5 * (_LOG_2PI + math.log(PRIOR))
    + math.log(2 / math.pi)
    - 0.5 * math.log(PRIOR)
    - float(np.sum(np.log(ERROR)))
    - SCHOOLS * _LOG_2PI
)


@lean_kernel
def noncentred(x, gradient, data):  # type: ignore[no-untyped-def]
    """Rows: effect / error, 1 / error; a column a school. The eight schools fill one register."""
    mu = x[0]
    tau = math.exp(x[1])
    zero, raw, inverse = splat(0.0), load(x, 2), load(data, SCHOOLS)
    residual = subtract(load(data, 0), fma(fma(splat(tau), raw, splat(mu)), inverse, zero))
    slope = fma(residual, inverse, zero)
    store(gradient, 2, subtract(fma(splat(tau), slope, zero), raw))
    gradient[0] = total(slope) - mu / PRIOR
    gradient[1] = 1.0 - 2.0 / (1.0 + PRIOR / (tau * tau)) + tau * total(fma(raw, slope, zero))
    squares = total(fma(raw, raw, fma(residual, residual, zero)))
    return _CONSTANT - 0.5 * (squares + mu * mu / PRIOR) - math.log(1.0 + tau * tau / PRIOR) + x[1]


@density
def noncentred_density(x, data):  # type: ignore[no-untyped-def]
    """As `noncentred`, without gradient."""
    mu = x[0]
    tau = math.exp(x[1])
    zero, raw = splat(0.0), load(x, 2)
    residual = subtract(load(data, 0), fma(fma(splat(tau), raw, splat(mu)), load(data, SCHOOLS), zero))
    squares = total(fma(raw, raw, fma(residual, residual, zero)))
    return _CONSTANT - 0.5 * (squares + mu * mu / PRIOR) - math.log(1.0 + tau * tau / PRIOR) + x[1]


@lean_kernel
def centred(x, gradient, data):  # type: ignore[no-untyped-def]
    """As `noncentred` for the data."""
    mu = x[0]
    precision = math.exp(-2.0 * x[1])
    zero, theta, inverse = splat(0.0), load(x, 2), load(data, SCHOOLS)
    away = subtract(theta, splat(mu))
    pull = fma(away, splat(precision), zero)
    residual = subtract(load(data, 0), fma(theta, inverse, zero))
    store(gradient, 2, subtract(fma(residual, inverse, zero), pull))
    distance = total(fma(away, pull, zero))
    gradient[0] = total(pull) - mu / PRIOR
    gradient[1] = 1.0 - SCHOOLS - 2.0 / (1.0 + PRIOR * precision) + distance
    squares = distance + total(fma(residual, residual, zero)) + mu * mu / PRIOR
    return _CONSTANT - 0.5 * squares - math.log(1.0 + 1.0 / (PRIOR * precision)) + (1.0 - SCHOOLS) * x[1]


@density
def centred_density(x, data):  # type: ignore[no-untyped-def]
    """As `centred`, without gradient."""
    mu = x[0]
    precision = math.exp(-2.0 * x[1])
    zero, theta = splat(0.0), load(x, 2)
    away = subtract(theta, splat(mu))
    residual = subtract(load(data, 0), fma(theta, load(data, SCHOOLS), zero))
    squares = total(fma(away, fma(away, splat(precision), zero), fma(residual, residual, zero))) + mu * mu / PRIOR
    return _CONSTANT - 0.5 * squares - math.log(1.0 + 1.0 / (PRIOR * precision)) + (1.0 - SCHOOLS) * x[1]


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
    truth = _truth(raw)
    named = _named_from_noncentred if raw else _named_from_centred
    return Target(
        name="eight_schools",
        dim=2 + SCHOOLS,
        log_density_and_gradient=noncentred if raw else centred,
        log_density=noncentred_density if raw else centred_density,
        data=data_matrix([EFFECT / ERROR, 1 / ERROR]),
        truth=truth,
        coordinates=("mu", "log_tau", *(f"{letter}[{j}]" for j in schools)),
        named=Named(("mu", "tau", *(f"theta[{j}]" for j in schools)), named),
        quantities=_quantities(named, truth.log_normaliser),
        tags=frozenset() if raw else frozenset({"funnel"}),
        generative=_generative(raw),
    )


def _named_from_noncentred(x: Matrix) -> Matrix:
    tau = np.exp(x[:, 1:2])
    return np.hstack([x[:, :1], tau, x[:, :1] + tau * x[:, 2:]])


def _named_from_centred(x: Matrix) -> Matrix:
    return np.hstack([x[:, :1], np.exp(x[:, 1:2]), x[:, 2:]])


def _generative(raw: bool) -> Generative:
    def prior(rng: np.random.Generator) -> Vector:
        mu, tau, z = math.sqrt(PRIOR) * rng.standard_normal(), math.sqrt(PRIOR) * abs(rng.standard_cauchy()), _raw(rng)
        return np.concatenate([[mu, math.log(tau)], z if raw else mu + tau * z])

    def simulate(rng: np.random.Generator, x: Vector) -> Matrix:
        theta = (_named_from_noncentred if raw else _named_from_centred)(x[None])[0, 2:]
        return np.stack([theta / ERROR + _raw(rng), 1 / ERROR])

    return Generative(prior, simulate, np.zeros((2, SCHOOLS)))


def _raw(rng: np.random.Generator) -> Vector:
    return rng.standard_normal(SCHOOLS)


def _quantities(named: Callable[[Matrix], Matrix], log_evidence: float) -> tuple[Quantity, ...]:
    def indicator(of: Callable[[Matrix], np.ndarray]) -> Callable[[Matrix], Vector]:
        return lambda x: of(named(x)).astype(np.float64)

    return (
        Quantity(
            "P(theta[1] > theta[3])",
            "probability that coaching does more in school 1, of the largest effect, than in school 3, of the least",
            indicator(lambda values: values[:, 2] > values[:, 4]),
        ),
        Quantity(
            "P(school 1 is best)",
            "probability that coaching does most in school 1",
            indicator(lambda values: values[:, 2:].argmax(axis=1) == 0),
        ),
        Quantity(
            "best effect",
            "expected effect in the best of the eight schools, in points",
            lambda x: named(x)[:, 2:].max(axis=1),
            interval=True,
        ),
        Quantity(
            "P(pooled)",
            "weight of the model in which all schools are alike (tau = 0) against this one, of equal odds beforehand",
            lambda x: odds_of_pooling(named(x)[:, :2]),
            "odds",
            Known(1 / (1 + math.exp(log_evidence - log_evidence_of_pooling()))),
        ),
    )


def odds_of_pooling(x: Matrix) -> Vector:
    """(n,) from mu and tau, (n, 2): the mean over the posterior is the evidence of tau = 0 over that of the model.

    With theta integrated out, the posterior mean of L(mu, 0) g(tau) / (p(tau) L(mu, tau)) is that ratio for any density
    g; with the prior p for g its variance is infinite, with a half normal of scale `POOLING` it is not.
    """
    mu, tau = x[:, :1], x[:, 1:]
    spread = ERROR**2 + tau**2
    likelihood = (-0.5 * (EFFECT - mu) ** 2 * (1 / ERROR**2 - 1 / spread) + 0.5 * np.log(spread / ERROR**2)).sum(axis=1)
    tau = tau[:, 0]
    half_normal = 0.5 * math.log(2 / math.pi) - math.log(POOLING) - 0.5 * (tau / POOLING) ** 2
    half_cauchy = math.log(2 / (math.pi * math.sqrt(PRIOR))) - np.log1p(tau**2 / PRIOR)
    return np.asarray(np.exp(likelihood + half_normal - half_cauchy))


def log_evidence_of_pooling() -> float:
    """Of the model with tau = 0: mu ~ N(0, 5), effect_j ~ N(mu, error_j)."""
    precision = 1 / PRIOR + float((1 / ERROR**2).sum())
    pull = float((EFFECT / ERROR**2).sum())
    fit = -0.5 * float((np.log(2 * np.pi * ERROR**2) + EFFECT**2 / ERROR**2).sum())
    return fit + 0.5 * pull**2 / precision - 0.5 * math.log(PRIOR * precision)


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
