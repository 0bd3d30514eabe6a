"""Gibbs sampling of a linear regression with unknown noise, under the priors of `targets.conjugate.regression`.

Everything that the data say is in a triangle as wide as the columns: no sweep depends on the number of rows. With the
normal-gamma prior the conditionals chain into exact independent draws. With one precision of all coefficients these are
independent in the basis of the singular vectors, so that a sweep is linear in the columns, and draws are turned back
together. With a precision each, a sweep factors the coefficients' precision.
"""

import numpy as np
import numpy.typing as npt
from numba import float64, void

from samplers.chain import RNG
from samplers.draws import Draws
from samplers.gibbs.chains import run
from targets.conjugate.least_squares import Spectrum, Triangle, spectrum, triangle
from targets.conjugate.regression import LinearRegression, RegressionPrior
from targets.kernel import MATRIX, VECTOR, Matrix, Vector, loop
from targets.options import UsageError, require

NAME = "linear_regression"


@loop(void(RNG, VECTOR, VECTOR, VECTOR, float64, float64, VECTOR, MATRIX))
def shared_sweeps(rng, singular, response, prior, rest, free, state, rows):  # type: ignore[no-untyped-def]
    """A sweep for each of `rows` (n, p + 2), which it writes: coefficients along the basis, and two precisions.

    `prior` holds shape and rate of the noise precision and of the coefficients'; `state` (2,) both precisions.
    """
    p = singular.shape[0]
    noise, precision = state[0], state[1]
    for row in range(rows.shape[0]):
        error, size = rest, 0.0
        for j in range(p):
            own = precision + noise * singular[j] * singular[j]
            z = noise * singular[j] * response[j] / own + rng.standard_normal() / np.sqrt(own)
            away = response[j] - singular[j] * z
            error += away * away
            size += z * z
            rows[row, j] = z
        noise = rng.standard_gamma(prior[0] + 0.5 * free) / (prior[1] + 0.5 * error)
        precision = rng.standard_gamma(prior[2] + 0.5 * p) / (prior[3] + 0.5 * size)
        rows[row, p] = noise
        rows[row, p + 1] = precision
    state[0], state[1] = noise, precision


@loop(void(RNG, MATRIX, VECTOR, float64, VECTOR, float64, float64, MATRIX, VECTOR, MATRIX))
def relevance_sweeps(  # type: ignore[no-untyped-def]
    rng, scatter, pulls, squares, prior, rest, free, lower, state, rows
):
    """A sweep for each of `rows` (n, 2 p + 1), which it writes: coefficients, noise precision, precisions.

    The residual is `squares` - 2 coef . pulls + coef . scatter coef, and not below `rest`. `lower` (p, p) is scratch;
    `state` (p + 1,) the noise precision and the precisions. The precision of the coefficients is factored as
    D^-1 (I + noise D scatter D) D^-1, whose middle has no eigenvalue below one.
    """
    p = pulls.shape[0]
    width, drawn = np.empty(p), np.empty(p)
    noise = state[0]
    for row in range(rows.shape[0]):
        for j in range(p):
            width[j] = 1.0 / np.sqrt(state[1 + j])
        for i in range(p):
            for j in range(i + 1):
                value = noise * width[i] * width[j] * scatter[i, j]
                if i == j:
                    value += 1.0
                for k in range(j):
                    value -= lower[i, k] * lower[j, k]
                lower[i, j] = np.sqrt(value) if i == j else value / lower[j, j]
            value = noise * width[i] * pulls[i]
            for k in range(i):
                value -= lower[i, k] * drawn[k]
            drawn[i] = value / lower[i, i]
        for i in range(p):
            drawn[i] += rng.standard_normal()
        for i in range(p - 1, -1, -1):
            drawn[i] /= lower[i, i]
            for k in range(i):
                drawn[k] -= lower[i, k] * drawn[i]
        error = squares
        for i in range(p):
            coefficient = drawn[i] * width[i]
            rows[row, i] = coefficient
            inner = 0.0
            for k in range(i):
                inner += scatter[i, k] * rows[row, k]
            error += coefficient * (scatter[i, i] * coefficient + 2.0 * (inner - pulls[i]))
            state[1 + i] = rng.standard_gamma(prior[2] + 0.5) / (prior[3] + 0.5 * coefficient * coefficient)
            rows[row, p + 1 + i] = state[1 + i]
        noise = rng.standard_gamma(prior[0] + 0.5 * free) / (prior[1] + 0.5 * max(error, rest))
        rows[row, p] = noise
    state[0] = noise


class RegressionChain:
    """One chain, given rows [X, y] or what they come to. It may `observe` other data between sweeps."""

    def __init__(self, model: LinearRegression, data: Matrix | Triangle, rng: np.random.Generator) -> None:
        self.prior, self.rng = model.prior, rng
        prior = model.prior
        reduced = data if isinstance(data, Triangle) else triangle(np.asarray(data), centred=model.intercept)
        self.dim = reduced.factor.shape[1] - 1
        self.observe(reduced)
        self.hyper: Vector = np.array([prior.noise_shape, prior.noise_rate, prior.shape, prior.rate])
        squares = np.square(self.data.factor).sum(axis=0) / max(self.data.free, 1)
        noise = (1.0 / squares[-1] if squares[-1] > 0 else 1.0) * self.rng.gamma(4.0, 0.25)
        level = noise * squares[:-1].sum() or 1.0
        self.state: Vector = np.concatenate([[noise], level * self.rng.gamma(4.0, 0.25, self._precisions)])

    @property
    def _precisions(self) -> int:
        precisions: dict[str, int] = {"ratio": 0, "shared": 1, "ard": self.dim}
        return precisions[self.prior.kind]

    def observe(self, data: Triangle) -> None:
        """Condition on these data from now on."""
        self.data = data
        self.parts: Spectrum = spectrum(data, whole=True)
        self.scatter: Matrix = np.ascontiguousarray(data.factor[:, :-1].T @ data.factor[:, :-1])
        self.pulls: Vector = np.ascontiguousarray(data.factor[:, :-1].T @ data.factor[:, -1])

    @property
    def names(self) -> tuple[str, ...]:
        """coef[1], ..., intercept where there is one, noise_precision, and precision or precision[1], ..., if drawn."""
        each = range(1, self.dim + 1)
        precisions = {"ratio": (), "shared": ("precision",), "ard": tuple(f"precision[{j}]" for j in each)}
        intercept = () if self.data.mean is None else ("intercept",)
        return (*(f"coef[{j}]" for j in each), *intercept, "noise_precision", *precisions[self.prior.kind])

    def advance(self, rows: Matrix) -> None:
        """A sweep for every row, which it writes."""
        p, data, parts = self.dim, self.data, self.parts
        drawn: Matrix = np.empty((len(rows), p + 1 + self._precisions))
        if self.prior.kind == "ratio":
            drawn[:] = self._independent(len(rows))
        elif self.prior.kind == "shared":
            shared_sweeps(
                self.rng, parts.singular, parts.response, self.hyper, parts.rest, float(data.free), self.state, drawn
            )
            drawn[:, :p] = drawn[:, :p] @ parts.basis
        else:
            squares = float(np.square(data.factor[:, -1]).sum())
            relevance_sweeps(
                self.rng, self.scatter, self.pulls, squares, self.hyper, parts.rest, float(data.free),
                np.empty((p, p)), self.state, drawn,
            )  # fmt: skip
        rows[:, :p] = drawn[:, :p]
        rest = p
        if data.mean is not None:
            centre = data.mean[-1] - drawn[:, :p] @ data.mean[:-1]
            rows[:, p] = centre + self.rng.standard_normal(len(rows)) / np.sqrt(drawn[:, p] * data.n)
            rest += 1
        rows[:, rest:] = drawn[:, p:]

    def _independent(self, n: int) -> Matrix:
        """(n, p + 1) draws of the normal-gamma posterior: the noise precision, and the coefficients given it."""
        prior, parts = self.prior, self.parts
        own = prior.ratio + parts.singular**2
        along = parts.singular * parts.response / own
        residual = parts.rest + float(((parts.response - parts.singular * along) ** 2).sum())
        rate = prior.noise_rate + 0.5 * (residual + prior.ratio * float(along @ along))
        noise = self.rng.standard_gamma(prior.noise_shape + 0.5 * self.data.free, n) / rate
        z = along + self.rng.standard_normal((n, self.dim)) / np.sqrt(own * noise[:, None])
        return np.column_stack([z @ parts.basis, noise])


def compile_sweeps() -> None:
    """Load or compile the loops."""
    _ = shared_sweeps.compiled, relevance_sweeps.compiled


def linear_regression(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    prior: RegressionPrior | None = None,
    *,
    fit_intercept: bool = True,
    num_samples: int = 1000,
    num_warmup: int = 500,
    num_chains: int = 4,
    seed: int = 0,
    num_threads: int = 1,
) -> Draws:
    """Draws of coefficients, intercept and precisions given rows X (n, p) and responses y (n,).

    Args:
        X: covariates; p * p numbers have to fit in memory.
        y: responses.
        prior: by default one precision of all coefficients, with vague gamma priors.
        fit_intercept: with the flat prior of density one; else there is none.
        num_samples: draws a chain, one a sweep.
        num_warmup: sweeps that are not among the draws.
        num_chains: chains, which start at precisions drawn at random.
        seed: of all random numbers.
        num_threads: chains that advance at once; the draws are the same with any number.

    Returns:
        quantities coef[1], ..., intercept, noise_precision, and precision, or precision[1], ... .

    Raises:
        UsageError: data or a number are not accepted.
    """
    try:
        covariates, response = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{NAME}: the data are not numbers ({error}); it takes X (n, p) and y (n,)") from None
    require(
        covariates.ndim == 2 and min(covariates.shape) >= 1 and response.shape == covariates.shape[:1],
        f"{NAME}: X of shape {covariates.shape} and y of shape {response.shape} are not accepted; "
        "it takes X (n, p) and y (n,), of one row and one column at least",
    )
    rows = np.column_stack([covariates, response])
    require(bool(np.isfinite(rows).all()), f"{NAME}: the data contain NaN or infinity; it takes finite numbers")
    data = triangle(rows, centred=fit_intercept)
    model = LinearRegression(RegressionPrior() if prior is None else prior, fit_intercept)
    return run(
        lambda rng: RegressionChain(model, data, rng),
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        seed=seed,
        num_threads=num_threads,
    )
