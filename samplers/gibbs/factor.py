"""Gibbs sampling of factor analysis, under the priors of `targets.conjugate.factor`.

A sweep draws z of all rows, then loadings, noise precisions and the precisions of columns of loadings. The last three
read z in two sums, z'z and rows'z, and for these the rows may be turned: n - 1 rows of which all but the k <= d of
their triangle are zero. z of a zero row is N(0, inverse(M)) whatever else, so that all of them together add a Wishart
matrix to z'z: a sweep costs the same for any number of rows, and is as exact.
"""

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, void

from samplers.chain import RNG
from samplers.draws import Draws
from samplers.gibbs.chains import run
from targets.conjugate.factor import FactorModel, FactorPrior
from targets.conjugate.least_squares import Triangle, triangle
from targets.kernel import MATRIX, VECTOR, Matrix, Vector, helper, loop
from targets.options import UsageError, require

NAME = "factor_analysis"


@helper
def factorise(lower, k):  # type: ignore[no-untyped-def]
    """The lower Cholesky factor of the first k rows and columns, in place; above it stands what stood there."""
    for i in range(k):
        for j in range(i + 1):
            value = lower[i, j]
            for a in range(j):
                value -= lower[i, a] * lower[j, a]
            lower[i, j] = np.sqrt(value) if i == j else value / lower[j, j]


@helper
def draw_given(rng, lower, pull, row, out, at):  # type: ignore[no-untyped-def]
    """out[at] = N(inverse(A) pull[row], inverse(A)) given the lower factor of A."""
    k = lower.shape[0]
    for i in range(k):
        value = pull[row, i]
        for a in range(i):
            value -= lower[i, a] * out[at, a]
        out[at, i] = value / lower[i, i]
    for i in range(k):
        out[at, i] += rng.standard_normal()
    for i in range(k - 1, -1, -1):
        out[at, i] /= lower[i, i]
        for a in range(i):
            out[at, a] -= lower[i, a] * out[at, i]


@helper
def add_zero_rows(rng, count, lower, drawn, moment):  # type: ignore[no-untyped-def]
    """Adds to `moment` what z of so many zero rows come to: inverse factor, Wishart(count, I), inverse factor.

    The Wishart matrix is A A' by Bartlett's decomposition where there are enough of them, else their own product; the
    columns of A take the place of rows.
    """
    k = lower.shape[0]
    few = count < k
    for c in range(count if few else k):
        for i in range(k):
            if few or i > c:
                drawn[i] = rng.standard_normal()
            elif i == c:
                drawn[i] = np.sqrt(2.0 * rng.standard_gamma(0.5 * (count - c)))
            else:
                drawn[i] = 0.0
        for i in range(k - 1, -1, -1):
            drawn[i] /= lower[i, i]
            for a in range(i):
                drawn[a] -= lower[i, a] * drawn[i]
        for i in range(k):
            for a in range(k):
                moment[i, a] += drawn[i] * drawn[a]


@loop(void(RNG, MATRIX, int64, boolean, VECTOR, MATRIX, VECTOR, VECTOR, MATRIX))
def sweeps(  # type: ignore[no-untyped-def]
    rng, factor, count, isotropic, prior, loadings, noise, precision, rows
):
    """A sweep for each of `rows` (n, d K + d + K), which it writes: loadings, noise precisions, precisions.

    `factor` (k, d) is the triangle of `count` rows with mean zero; `prior` holds shape and rate of the noise precisions
    and of the precisions. `loadings` (d, K), `noise` (d,) and `precision` (K,) are the state.
    """
    d, k = loadings.shape
    height = factor.shape[0]
    scaled, scores, pulls = np.empty((d, k)), np.empty((height, k)), np.empty((d, k))
    means, fitted = np.empty((height, k)), np.empty((height, d))
    lower, moment, rest, drawn = np.empty((k, k)), np.empty((k, k)), np.empty((k, k)), np.empty(k)
    for row in range(rows.shape[0]):
        for i in range(k):
            for a in range(i + 1):
                lower[i, a] = 1.0 if i == a else 0.0
        for j in range(d):
            for i in range(k):
                scaled[j, i] = noise[j] * loadings[j, i]
                for a in range(i + 1):
                    lower[i, a] += scaled[j, i] * loadings[j, a]
        factorise(lower, k)
        np.dot(factor, scaled, means)
        for r in range(height):
            draw_given(rng, lower, means, r, scores, r)
        rest[:] = 0.0
        add_zero_rows(rng, count - height, lower, drawn, rest)
        np.dot(scores.T, scores, moment)
        for i in range(k):
            for a in range(k):
                moment[i, a] += rest[i, a]
        np.dot(factor.T, scores, pulls)
        for j in range(d):
            for i in range(k):
                pulls[j, i] *= noise[j]
                for a in range(i + 1):
                    lower[i, a] = noise[j] * moment[i, a] + (precision[i] if i == a else 0.0)
            factorise(lower, k)
            draw_given(rng, lower, pulls, j, loadings, j)
        np.dot(scores, loadings.T, fitted)
        together = 0.0
        for j in range(d):
            error = 0.0
            for r in range(height):
                away = factor[r, j] - fitted[r, j]
                error += away * away
            for i in range(k):
                for a in range(k):
                    error += loadings[j, i] * rest[i, a] * loadings[j, a]
            together += error
            if not isotropic:
                noise[j] = rng.standard_gamma(prior[0] + 0.5 * count) / (prior[1] + 0.5 * error)
        if isotropic:
            noise[:] = rng.standard_gamma(prior[0] + 0.5 * count * d) / (prior[1] + 0.5 * together)
        for i in range(k):
            size = 0.0
            for j in range(d):
                size += loadings[j, i] * loadings[j, i]
            precision[i] = rng.standard_gamma(prior[2] + 0.5 * d) / (prior[3] + 0.5 * size)
        for j in range(d):
            for i in range(k):
                rows[row, j * k + i] = loadings[j, i]
            rows[row, d * k + j] = noise[j]
        for i in range(k):
            rows[row, d * k + d + i] = precision[i]


class FactorChain:
    """One chain, given rows or what they come to. It may `observe` other data between sweeps."""

    def __init__(self, model: FactorModel, data: Matrix | Triangle, rng: np.random.Generator) -> None:
        self.model, self.rng = model, rng
        self.observe(data if isinstance(data, Triangle) else triangle(np.asarray(data), centred=model.mean))
        prior, k, d = model.prior, model.n_components, self.data.factor.shape[1]
        self.hyper: Vector = np.array([prior.noise_shape, prior.noise_rate, prior.shape, prior.rate])
        variance = np.square(self.data.factor).sum(axis=0) / max(self.data.free, 1)
        usual = float(variance.mean()) or 1.0
        variance = np.where(variance > 0, variance, usual)
        if prior.noise == "isotropic":
            variance[:] = usual
        self.loadings: Matrix = rng.standard_normal((d, k)) * np.sqrt(0.5 * variance / k)[:, None]
        self.noise: Vector = 2.0 / variance
        self.precision: Vector = d / np.square(self.loadings).sum(axis=0)

    def observe(self, data: Triangle) -> None:
        """Condition on these data from now on."""
        self.data = data
        factor = data.factor
        if len(factor) > data.free:  # centred rows, as few as columns: one of them is zero after a turn
            _, singular, axes = np.linalg.svd(factor, full_matrices=False)
            factor = (singular[:, None] * axes)[: data.free]
        self.factor: Matrix = np.ascontiguousarray(factor)

    @property
    def names(self) -> tuple[str, ...]:
        """loading[j,k], noise_precision[j] or noise_precision, precision[k], mean[j] if it is drawn, covariance[j,l].

        Columns are numbered from 1.
        """
        d, k = self.loadings.shape
        columns, each = range(1, d + 1), range(1, k + 1)
        noises: tuple[str, ...] = ("noise_precision",)
        if self.model.prior.noise == "diagonal":
            noises = tuple(f"noise_precision[{j}]" for j in columns)
        return (
            *(f"loading[{j},{c}]" for j in columns for c in each),
            *noises,
            *(f"precision[{c}]" for c in each),
            *(f"mean[{j}]" for j in columns if self.model.mean),
            *(f"covariance[{j},{m}]" for j in columns for m in columns),
        )

    def advance(self, rows: Matrix) -> None:
        """A sweep for every row, which it writes."""
        n, (d, k) = len(rows), self.loadings.shape
        drawn = np.empty((n, d * k + d + k))
        isotropic = self.model.prior.noise == "isotropic"
        state = self.loadings, self.noise, self.precision
        sweeps(self.rng, self.factor, self.data.free, isotropic, self.hyper, *state, drawn)
        loadings, noise = drawn[:, : d * k].reshape(n, d, k), drawn[:, d * k : d * k + d]
        end = d * k + (1 if isotropic else d)
        rows[:, : d * k] = drawn[:, : d * k]
        rows[:, d * k : end] = noise[:, : end - d * k]
        rows[:, end : end + k] = drawn[:, d * k + d :]
        end += k
        if self.data.mean is not None:
            away = np.einsum("ijk,ik->ij", loadings, self.rng.standard_normal((n, k)))
            away += self.rng.standard_normal((n, d)) / np.sqrt(noise)
            rows[:, end : end + d] = self.data.mean + away / np.sqrt(self.data.n)
            end += d
        covariance = np.einsum("ijk,ilk->ijl", loadings, loadings)
        covariance[:, range(d), range(d)] += 1.0 / noise
        rows[:, end:] = covariance.reshape(n, d * d)


def compile_sweeps() -> None:
    """Load or compile the loop."""
    _ = sweeps.compiled


def factor_analysis(
    X: npt.ArrayLike,
    prior: FactorPrior | None = None,
    *,
    n_components: int,
    num_samples: int = 1000,
    num_warmup: int = 500,
    num_chains: int = 4,
    seed: int = 0,
    num_threads: int = 1,
) -> Draws:
    """Draws of loadings, noise, mean and covariance given rows X (n, d), with z of all rows summed out.

    Loadings are known up to signs, order and, where precisions leave them free, rotations of z: chains differ in them,
    and R-hat says so. The covariance that the model implies of a row, the mean and the noise depend on none of these.

    Args:
        X: finite numbers, in rows.
        prior: by default a vague one, with a variance of the noise for every column.
        n_components: coordinates of z.
        num_samples: draws a chain, one a sweep.
        num_warmup: sweeps that are not among the draws.
        num_chains: chains, which start at loadings drawn at random.
        seed: of all random numbers.
        num_threads: chains that advance at once; the draws are the same with any number.

    Returns:
        quantities loading[j,k], noise_precision[j], precision[k], mean[j], covariance[j,l].

    Raises:
        UsageError: data or a number are not accepted.
    """
    model = FactorModel(FactorPrior() if prior is None else prior, n_components)
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{NAME}: the data are not numbers ({error}); it takes X (n, d)") from None
    require(
        values.ndim == 2 and min(values.shape) >= 1,
        f"{NAME}: X of shape {values.shape} is not accepted; it takes (n, d), of one row and one column at least",
    )
    require(bool(np.isfinite(values).all()), f"{NAME}: the data contain NaN or infinity; it takes finite numbers")
    data = triangle(values, centred=True)
    return run(
        lambda rng: FactorChain(model, data, rng),
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        seed=seed,
        num_threads=num_threads,
    )
