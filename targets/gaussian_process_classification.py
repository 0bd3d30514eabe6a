"""Gaussian process classification of O-ring failures (Dalal, Fowlkes and Hoadley 1989), latent values whitened.

    log length ~ N(2, 0.5)   log amplitude ~ N(1, 0.5)   f ~ GP(0, amplitude^2 exp(-(t - t')^2 / (2 length^2)))
    failures at temperature t ~ Binomial(launches at t, 1 / (1 + exp(-f(t))))

23 launches of the space shuttle before the Challenger's last, at 16 temperatures in degrees Fahrenheit; a launch counts
as failed if any O-ring showed thermal distress. Coordinates: log length, log amplitude, and z with
f = amplitude L z, L L' the correlation of f plus a jitter of 1e-6. The density keeps every constant: its log normaliser
is the log evidence.
"""

import math

import numpy as np
import numpy.typing as npt

from targets import reference
from targets.exponential import exp_minus
from targets.kernel import Matrix, Vector, data_matrix, density, helper, kernel
from targets.target import Generative, Named, Target

TEMPERATURE = np.array([53, 57, 58, 63, 66, 67, 68, 69, 70, 72, 73, 75, 76, 78, 79, 81], dtype=np.float64)
LAUNCHES = np.array([1, 1, 1, 1, 1, 3, 1, 1, 4, 1, 1, 2, 2, 1, 1, 1], dtype=np.float64)
FAILED = np.array([1, 1, 1, 1, 0, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0], dtype=np.float64)
LENGTH, AMPLITUDE = 2.0, 1.0  # prior means of the logs
PRIOR_PRECISION = 4.0  # of both
JITTER = 1e-6
HEAD = 2  # coordinates before z
FARTHEST = 700.0  # half squared lengths apart, where the correlation is zero

_LOG_2PI = math.log(2 * math.pi)


@helper
def _correlation(data, i, j, steep):  # type: ignore[no-untyped-def]
    """Half the squared distance in lengths, and the correlation."""
    apart = steep * (data[0, i] - data[0, j]) ** 2
    apart = FARTHEST if apart > FARTHEST else apart  # noqa: FURB136 (`min` would lose a NaN)
    return apart, exp_minus(apart)


@kernel
def posterior(x, gradient, data):  # type: ignore[no-untyped-def]
    """Rows: temperatures, launches, failures. The factor L and its derivative by log length are made side by side."""
    n = data.shape[1]
    steep, amplitude = 0.5 * math.exp(-2.0 * x[0]), math.exp(x[1])
    factor, moved = np.empty((n, n)), np.empty((n, n))
    value, to_length, to_amplitude, squares = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        gradient[2 + i] = -x[2 + i]
        squares += x[2 + i] * x[2 + i]
    for i in range(n):
        pivot, turn = 1.0 + JITTER, 0.0
        latent, latent_moved = 0.0, 0.0
        for j in range(i):
            apart, total = _correlation(data, i, j, steep)
            change = 2.0 * apart * total
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
                change -= factor[i, k] * moved[j, k] + moved[i, k] * factor[j, k]
            factor[i, j] = total / factor[j, j]
            moved[i, j] = (change - factor[i, j] * moved[j, j]) / factor[j, j]
            pivot -= factor[i, j] * factor[i, j]
            turn -= 2.0 * factor[i, j] * moved[i, j]
            latent += factor[i, j] * x[2 + j]
            latent_moved += moved[i, j] * x[2 + j]
        factor[i, i] = math.sqrt(pivot)
        moved[i, i] = 0.5 * turn / factor[i, i]
        latent += factor[i, i] * x[2 + i]
        latent_moved += moved[i, i] * x[2 + i]
        f = amplitude * latent
        t = exp_minus(abs(f))
        share = (1.0 if f > 0.0 else t) / (1.0 + t)
        slope = amplitude * (data[2, i] - data[1, i] * share)
        value += data[2, i] * f - data[1, i] * (0.5 * (f + abs(f)) + math.log(1.0 + t))
        to_length += slope * latent_moved
        to_amplitude += slope * latent
        for j in range(i + 1):
            gradient[2 + j] += slope * factor[i, j]
    gradient[0] = to_length - PRIOR_PRECISION * (x[0] - LENGTH)
    gradient[1] = to_amplitude - PRIOR_PRECISION * (x[1] - AMPLITUDE)
    squares += PRIOR_PRECISION * ((x[0] - LENGTH) ** 2 + (x[1] - AMPLITUDE) ** 2)
    return value + data[3, 0] - 0.5 * squares


@density
def posterior_density(x, data):  # type: ignore[no-untyped-def]
    """As `posterior`."""
    n = data.shape[1]
    steep, amplitude = 0.5 * math.exp(-2.0 * x[0]), math.exp(x[1])
    factor = np.empty((n, n))
    value = 0.0
    squares = PRIOR_PRECISION * ((x[0] - LENGTH) ** 2 + (x[1] - AMPLITUDE) ** 2)
    for i in range(n):
        pivot, latent = 1.0 + JITTER, 0.0
        for j in range(i):
            _, total = _correlation(data, i, j, steep)
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            factor[i, j] = total / factor[j, j]
            pivot -= factor[i, j] * factor[i, j]
            latent += factor[i, j] * x[2 + j]
        factor[i, i] = math.sqrt(pivot)
        f = amplitude * (latent + factor[i, i] * x[2 + i])
        value += data[2, i] * f - data[1, i] * (0.5 * (f + abs(f)) + math.log(1.0 + exp_minus(abs(f))))
        squares += x[2 + i] * x[2 + i]
    return value + data[3, 0] - 0.5 * squares


def gaussian_process_classification() -> Target:
    """The posterior of length, amplitude and latent values, with a certified truth where there is a certificate."""
    n = len(TEMPERATURE)
    degrees = [f"{t:.0f}" for t in TEMPERATURE]
    target = Target(
        name="gaussian_process_classification",
        dim=HEAD + n,
        log_density_and_gradient=posterior,
        log_density=posterior_density,
        data=data_matrix(_data(FAILED)),
        coordinates=("log_length", "log_amplitude", *(f"z[{t}]" for t in degrees)),
        named=Named(("length", "amplitude", *(f"probability[{t}]" for t in degrees)), _named),
        generative=Generative(
            lambda rng: np.concatenate([_hyperparameters(rng), rng.standard_normal(n)]),
            lambda rng, x: _data(rng.binomial(LAUNCHES.astype(np.intp), _named(x[None])[0, HEAD:])),
            np.stack([TEMPERATURE, *np.zeros((3, n))]),
        ),
        description="failures of O-rings by temperature: a Gaussian process behind a logit",
    )
    return reference.attach(target)


def _data(failed: npt.ArrayLike) -> Matrix:
    data = np.zeros((4, len(TEMPERATURE)))
    data[:3] = TEMPERATURE, LAUNCHES, np.asarray(failed)
    # of the priors, and of the binomial coefficients
    data[3, 0] = math.log(PRIOR_PRECISION) - 0.5 * (HEAD + len(TEMPERATURE)) * _LOG_2PI
    data[3, 0] += sum(math.log(math.comb(int(m), int(k))) for m, k in zip(LAUNCHES, data[2], strict=True))
    return data


def _hyperparameters(rng: np.random.Generator) -> Vector:
    return np.array([LENGTH, AMPLITUDE]) + rng.standard_normal(HEAD) / math.sqrt(PRIOR_PRECISION)


def _named(x: Matrix) -> Matrix:
    """Length, amplitude, and the probability of a failed launch at each temperature."""
    length, amplitude = np.exp(x[:, :HEAD]).T
    apart = 0.5 * (TEMPERATURE[:, None] - TEMPERATURE) ** 2
    correlation = np.exp(-np.minimum(apart / length[:, None, None] ** 2, FARTHEST)) + JITTER * np.eye(len(TEMPERATURE))
    latent = amplitude[:, None] * np.einsum("mij,mj->mi", np.linalg.cholesky(correlation), x[:, HEAD:])
    return np.hstack([np.exp(x[:, :HEAD]), 0.5 + 0.5 * np.tanh(0.5 * latent)])
