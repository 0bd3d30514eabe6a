"""Linear regressions with an unknown scale: y ~ N(X beta, sigma), beta and sigma with priors or flat.

The likelihood depends on the data through the least squares fit b, the Gram matrix G = X'X and the residual sum of
squares alone: |y - X beta|^2 = rss + (beta - b)' G (beta - b). About b nothing cancels, and an evaluation takes K^2
multiplications however many rows there are. Coordinates: the coefficients, then log sigma.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from targets.kernel import Kernel, Matrix, Vector, density, helper, lean_kernel
from targets.posteriordb.build import posterior
from targets.posteriordb.folder import Values
from targets.target import Target

_LOG_2PI = math.log(2.0 * math.pi)
HEADER = 5  # numbers in the last row of the data: n, rss, precision of the coefficients, constant, scale of sigma


@helper
def fit(x, gradient, data):  # type: ignore[no-untyped-def]
    """Likelihood, prior of the coefficients and Jacobian of log sigma; writes the whole gradient.

    The data: K rows of G, a row with b, and a row with n, rss, the precision of the coefficients' prior (zero if flat),
    the logarithm of all constants, and the scale of sigma's prior.
    """
    k = x.shape[0] - 1
    n, precision = data[k + 1, 0], data[k + 1, 2]
    weight = math.exp(-2.0 * x[k])
    squares, prior = data[k + 1, 1], 0.0
    for j in range(k):
        pull = 0.0
        for i in range(k):
            pull += data[j, i] * (x[i] - data[k, i])
        squares += (x[j] - data[k, j]) * pull
        prior += x[j] * x[j]
        gradient[j] = -weight * pull - precision * x[j]
    gradient[k] = weight * squares - n + 1.0
    return data[k + 1, 3] - 0.5 * (weight * squares + precision * prior) - (n - 1.0) * x[k]


@helper
def fit_alone(x, data):  # type: ignore[no-untyped-def]
    """As `fit`, without gradient."""
    k = x.shape[0] - 1
    weight = math.exp(-2.0 * x[k])
    squares, prior = data[k + 1, 1], 0.0
    for j in range(k):
        pull = 0.0
        for i in range(k):
            pull += data[j, i] * (x[i] - data[k, i])
        squares += (x[j] - data[k, j]) * pull
        prior += x[j] * x[j]
    return data[k + 1, 3] - 0.5 * (weight * squares + data[k + 1, 2] * prior) - (data[k + 1, 0] - 1.0) * x[k]


@lean_kernel
def flat(x, gradient, data):  # type: ignore[no-untyped-def]
    """For flat sigma; the data of `fit`."""
    return fit(x, gradient, data)


@density
def flat_density(x, data):  # type: ignore[no-untyped-def]
    """As `flat`, without gradient."""
    return fit_alone(x, data)


@lean_kernel
def half_normal(x, gradient, data):  # type: ignore[no-untyped-def]
    """For sigma ~ HalfN(0, scale); the data of `fit`."""
    value = fit(x, gradient, data)
    last = x.shape[0] - 1
    scaled = math.exp(x[last]) / data[last + 1, 4]
    gradient[last] -= scaled * scaled
    return value - 0.5 * scaled * scaled


@density
def half_normal_density(x, data):  # type: ignore[no-untyped-def]
    """As `half_normal`, without gradient."""
    last = x.shape[0] - 1
    scaled = math.exp(x[last]) / data[last + 1, 4]
    return fit_alone(x, data) - 0.5 * scaled * scaled


@lean_kernel
def half_cauchy(x, gradient, data):  # type: ignore[no-untyped-def]
    """For sigma ~ HalfCauchy(0, scale); the data of `fit`."""
    value = fit(x, gradient, data)
    last = x.shape[0] - 1
    scaled = math.exp(x[last]) / data[last + 1, 4]
    gradient[last] -= 2.0 / (1.0 + 1.0 / (scaled * scaled))
    return value - math.log(1.0 + scaled * scaled)


@density
def half_cauchy_density(x, data):  # type: ignore[no-untyped-def]
    """As `half_cauchy`, without gradient."""
    last = x.shape[0] - 1
    scaled = math.exp(x[last]) / data[last + 1, 4]
    return fit_alone(x, data) - math.log(1.0 + scaled * scaled)


def least_squares(design: Matrix, y: Vector) -> tuple[Matrix, Vector, float]:
    """G (K, K), b (K,) and rss, by Householder's QR with one step of refinement."""
    q, r = np.linalg.qr(design)
    best = solve_triangular(r, q.T @ y)
    best = best + solve_triangular(r, q.T @ (y - design @ best))
    residual = y - design @ best
    return r.T @ r, best, float(residual @ residual)


def sufficient(design: Matrix, y: Vector, sd: float = math.inf, constant: float = 0.0, scale: float = 1.0) -> Matrix:
    """The data of `fit`.

    Args:
        design: (n, K).
        y: (n,).
        sd: of the coefficients' normal prior.
        constant: the logarithm of the constant of sigma's prior.
        scale: of sigma's prior.
    """
    gram, best, rss = least_squares(design, y)
    n, k = design.shape
    matrix = np.zeros((k + 2, max(k, HEADER)))
    matrix[:k, :k], matrix[k, :k] = gram, best
    constant -= 0.5 * n * _LOG_2PI + (0.0 if math.isinf(sd) else k * (0.5 * _LOG_2PI + math.log(sd)))
    matrix[k + 1, :HEADER] = n, rss, sd**-2.0, constant, scale
    return matrix


def half_normal_constant(scale: float) -> float:
    """The logarithm of the constant of HalfN(0, scale)."""
    return math.log(2.0 / scale) - 0.5 * _LOG_2PI


def half_cauchy_constant(scale: float) -> float:
    """The logarithm of the constant of HalfCauchy(0, scale)."""
    return math.log(2.0 / (math.pi * scale))


def _beta(x: Matrix) -> Mapping[str, Any]:
    return {"beta": x[:, :-1], "sigma": np.exp(x[:, -1])}


def _from_beta(parameters: Values) -> Matrix:
    return np.column_stack([parameters["beta"], np.log(parameters["sigma"])])


def _regression(
    name: str,
    kernel: Kernel,
    alone: Any,
    size: int,
    data: Callable[[Mapping[str, Any]], npt.ArrayLike],
    tag: str,
    line: str,
) -> Target:
    return posterior(
        name,
        kernel=kernel,
        density=alone,
        data=data,
        coordinates=(*(f"beta[{i}]" for i in range(1, size + 1)), "log_sigma"),
        named=_beta,
        unconstrain=_from_beta,
        tags=frozenset({tag}),
        description=line,
    )


def sblrc_blr() -> Target:
    """Regression on five correlated covariates, simulated: beta ~ N(0, 10), sigma ~ HalfN(0, 10)."""

    def data(given: Mapping[str, Any]) -> Matrix:
        return sufficient(given["X"], given["y"], 10.0, half_normal_constant(10.0), 10.0)

    line = "linear regression on five correlated covariates"
    return _regression("sblrc-blr", half_normal, half_normal_density, 5, data, "synthetic", line)


def kidiq_kidscore_interaction() -> Target:
    """Children's test scores on their mothers' schooling, IQ and both: beta flat, sigma ~ HalfCauchy(0, 2.5)."""

    def data(given: Mapping[str, Any]) -> Matrix:
        school, iq = given["mom_hs"], given["mom_iq"]
        design = np.column_stack([np.ones(len(iq)), school, iq, school * iq])
        return sufficient(design, given["kid_score"], constant=half_cauchy_constant(2.5), scale=2.5)

    line = "children's test scores on mothers' schooling and IQ, with interaction"
    return _regression("kidiq-kidscore_interaction", half_cauchy, half_cauchy_density, 4, data, "real-data", line)


def earnings_logearn_interaction() -> Target:
    """Log earnings on height, sex and both, all flat."""

    def data(given: Mapping[str, Any]) -> Matrix:
        height, male = given["height"], given["male"]
        design = np.column_stack([np.ones(len(height)), height, male, height * male])
        return sufficient(design, np.log(given["earn"]))

    line = "log earnings on height and sex, with interaction"
    return _regression("earnings-logearn_interaction", flat, flat_density, 4, data, "real-data", line)


def nes1992_nes() -> Target:
    """Party identification of voters of 1992 on eight covariates, all flat."""

    def data(given: Mapping[str, Any]) -> Matrix:
        ages = [given["age_discrete"] == group for group in (2, 3, 4)]
        more = [given[key] for key in ("educ1", "gender", "income")]
        design = np.column_stack(
            [np.ones(len(given["educ1"])), given["real_ideo"], given["race_adj"], *ages, *more]
        ).astype(np.float64)
        return sufficient(design, given["partyid7"])

    line = "party identification on ideology, race, age, education, sex and income"
    return _regression("nes1992-nes", flat, flat_density, 9, data, "real-data", line)


def ark_ark() -> Target:
    """An autoregression of order five, simulated: alpha, beta_k ~ N(0, 10), sigma ~ HalfCauchy(0, 2.5)."""

    def data(given: Mapping[str, Any]) -> Matrix:
        y, order = given["y"], int(given["K"])
        lags = [y[order - lag : len(y) - lag] for lag in range(1, order + 1)]
        design = np.column_stack([np.ones(len(y) - order), *lags])
        return sufficient(design, y[order:], 10.0, half_cauchy_constant(2.5), 2.5)

    def named(x: Matrix) -> Mapping[str, Any]:
        return {"alpha": x[:, 0], "beta": x[:, 1:-1], "sigma": np.exp(x[:, -1])}

    def unconstrain(parameters: Values) -> Matrix:
        return np.column_stack([parameters["alpha"], parameters["beta"], np.log(parameters["sigma"])])

    return posterior(
        "arK-arK",
        kernel=half_cauchy,
        density=half_cauchy_density,
        data=data,
        coordinates=("alpha", *(f"beta[{k}]" for k in range(1, 6)), "log_sigma"),
        named=named,
        unconstrain=unconstrain,
        tags=frozenset({"synthetic"}),
        description="an autoregression of order five",
    )
