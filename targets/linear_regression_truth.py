"""The truth about a linear regression with unknown noise: in closed form, or by quadrature over two precisions."""

import math

import numpy as np
from scipy.special import gammaln, polygamma, psi

from targets.conjugate.least_squares import Spectrum, spectrum, triangle
from targets.kernel import Matrix, Vector
from targets.linear_regression_kernels import LEVEL, NOISE_LEVEL, NOISE_RATE, NOISE_SHAPE, RATE, RATIO, SHAPE
from targets.quadrature import Grid, conditional_moments
from targets.truth import Certificate, Moments, Truth

_LOG_2PI = math.log(2 * math.pi)


def truth(prior: str, joined: Matrix) -> Truth:
    """Of the target with rows [covariates, response] and the prior 'ratio' or 'shared'."""
    parts = spectrum(triangle(joined, centred=False), whole=True)
    return _joint(parts, len(joined)) if prior == "ratio" else _Shared(parts, len(joined)).truth()


def _joint(parts: Spectrum, n: int) -> Truth:
    """The normal-gamma posterior: the noise precision is Gamma(a, b), the coefficients are Student's t."""
    own = RATIO + parts.singular**2
    along = parts.singular * parts.response / own
    residual = parts.rest + float(((parts.response - parts.singular * along) ** 2).sum())
    a, b = NOISE_SHAPE + 0.5 * n, NOISE_RATE + 0.5 * (residual + RATIO * float(along @ along))
    shape = (parts.basis.T / own) @ parts.basis  # of the coefficients' covariance, in units of the noise's
    mean, spread = along @ parts.basis, np.diagonal(shape)
    p = len(mean)
    level = 0.5 * (p * math.log(RATIO) - float(np.log(own).sum()) - n * _LOG_2PI)
    log_normaliser = level + NOISE_LEVEL + math.lgamma(a) - a * math.log(b)
    # log precision, then coefficients given it: E of the second entropy takes E log precision
    entropy_noise = math.lgamma(a) - a * float(psi(a)) + a
    entropy = entropy_noise + 0.5 * (p * (1 + _LOG_2PI - float(psi(a)) + math.log(b)) - float(np.log(own).sum()))

    def moments(first: float, variance: float, third: float, fourth: float) -> Moments:
        covariance = np.zeros((p + 1, p + 1))
        covariance[0, 0] = variance
        covariance[1:, 1:] = 0.5 * (shape + shape.T) * b / (a - 1)
        tails = 3 * spread**2 * b**2 / ((a - 1) * (a - 2))
        return Moments.from_central(
            np.concatenate([[first], mean]),
            covariance,
            np.concatenate([[third], np.zeros(p)]),
            np.concatenate([[fourth], tails]),
        )

    def sample(rng: np.random.Generator, size: int) -> Matrix:
        noise = rng.gamma(a, 1 / b, size)
        z = along + rng.standard_normal((size, p)) / np.sqrt(own * noise[:, None])
        return np.column_stack([np.log(noise), z @ parts.basis])

    log_moments = psi(a) - math.log(b), polygamma(1, a), polygamma(2, a), polygamma(3, a) + 3 * polygamma(1, a) ** 2
    raw = [math.exp(0.5 * k * math.log(b) + gammaln(a - 0.5 * k) - gammaln(a)) for k in range(1, 5)]  # E sd^k
    return Truth(
        moments(*(float(value) for value in log_moments)),
        Certificate("closed form", "the normal-gamma posterior"),
        sample=sample,
        log_normaliser=log_normaliser,
        entropy=entropy,
        named=moments(
            raw[0],
            raw[1] - raw[0] ** 2,
            raw[2] - 3 * raw[0] * raw[1] + 2 * raw[0] ** 3,
            raw[3] - 4 * raw[0] * raw[2] + 6 * raw[0] ** 2 * raw[1] - 3 * raw[0] ** 4,
        ),
    )


class _Shared:
    """Given both precisions the coefficients are Gaussian, with independent coordinates along the singular vectors."""

    def __init__(self, parts: Spectrum, n: int) -> None:
        self.parts, self.n = parts, n

    def given(self, logs: Matrix) -> tuple[Matrix, Matrix]:
        """Means and variances (m, p) along the basis at log precisions (m, 2) of noise and coefficients."""
        noise, precision = np.exp(logs[:, :1]), np.exp(logs[:, 1:])
        own = precision + noise * self.parts.singular**2
        return noise * self.parts.singular * self.parts.response / own, 1 / own

    def log_density(self, logs: Matrix) -> Vector:
        """(m,) log of evidence times prior."""
        noise, precision = np.exp(logs[:, :1]), np.exp(logs[:, 1:])
        own = precision + noise * self.parts.singular**2
        fit = noise[:, 0] * (self.parts.rest + (self.parts.response**2 * precision / own).sum(axis=1))
        level = self.n * (logs[:, 0] - _LOG_2PI) + (logs[:, 1:] - np.log(own)).sum(axis=1) - fit
        prior = NOISE_LEVEL + NOISE_SHAPE * logs[:, 0] - NOISE_RATE * noise[:, 0]
        return np.asarray(0.5 * level + prior + LEVEL + SHAPE * logs[:, 1] - RATE * precision[:, 0])

    def truth(self) -> Truth:
        """By the trapezoidal rule over both log precisions."""
        grid = self._grid()
        seen = grid.masses > 1e-17
        masses, logs = grid.masses[seen], grid.nodes[seen]
        mean, variance = self.given(logs)
        basis = self.parts.basis
        centre, spread = mean @ basis, variance @ basis**2
        p = len(basis)
        within = np.zeros((p + 2, p + 2))
        within[1:-1, 1:-1] = (basis.T * (masses @ variance)) @ basis

        def moments(ends: Matrix) -> Moments:
            zero = np.zeros((len(ends), 1))
            return conditional_moments(
                masses, np.hstack([ends[:, :1], centre, ends[:, 1:]]), np.hstack([zero, spread, zero]), within
            )

        def sample(rng: np.random.Generator, size: int) -> Matrix:
            drawn = grid.sample(rng, size)
            mean, variance = self.given(drawn)
            z = mean + np.sqrt(variance) * rng.standard_normal(mean.shape)
            return np.column_stack([drawn[:, 0], z @ basis, drawn[:, 1]])

        entropy = 0.5 * (p * (1 + _LOG_2PI) + float(masses @ np.log(variance).sum(axis=1)))
        return Truth(
            moments(logs),
            Certificate("quadrature", "trapezoidal rule over both log precisions; the coefficients are Gaussian"),
            sample=sample,
            log_normaliser=grid.log_normaliser,
            entropy=grid.entropy + entropy,
            named=moments(np.exp(-0.5 * logs)),
        )

    def _grid(self) -> Grid:
        """Narrowed twice, to what is within 45 nats of the top: a fine grid from a coarse one."""
        lower, upper = np.array([-25.0, -25.0]), np.array([25.0, 10.0])
        for counts in ((501, 351), (201, 201)):
            coarse = Grid(self.log_density, lower, upper, counts)
            inside = coarse.nodes[coarse.log_values > coarse.log_values.max() - 45]
            lower, upper = inside.min(axis=0) - coarse.steps, inside.max(axis=0) + coarse.steps
        return Grid(self.log_density, lower, upper, (121, 121))
