"""What is known of the answer, and how well."""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from targets.kernel import Matrix, Vector

Sampler = Callable[[np.random.Generator, int], Matrix]


@dataclass(frozen=True)
class Moments:
    """Moments of a distribution over `dim` coordinates, each with its standard error (zero where exact).

    A moment that does not exist is NaN (heavy tails), and metrics that need it are undefined.

    Attributes:
        mean: (dim,) expectations.
        covariance: (dim, dim).
        variance_of_square: (dim,) Var x_i^2, the scale of `second_moment_b2`.
        variance_of_centred_square: (dim,) Var (x_i - E x_i)^2, the scale of `centred_b2`.
        mean_error: (dim,) standard errors of `mean`.
        variance_error: (dim,) standard errors of the diagonal of `covariance`.
        second_moment_error: (dim,) standard errors of E x_i^2.
        fourth_moment_error: (dim,) standard errors of `fourth_moment`, NaN where unknown.
    """

    mean: Vector
    covariance: Matrix
    variance_of_square: Vector
    variance_of_centred_square: Vector
    mean_error: Vector
    variance_error: Vector
    second_moment_error: Vector
    fourth_moment_error: Vector = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not np.size(self.fourth_moment_error):
            object.__setattr__(self, "fourth_moment_error", np.full(np.shape(self.mean), np.nan))

    @property
    def variance(self) -> Vector:
        """(dim,) marginal variances."""
        return np.diagonal(self.covariance)

    @property
    def sd(self) -> Vector:
        """(dim,) marginal standard deviations."""
        return np.sqrt(self.variance)

    @property
    def second_moment(self) -> Vector:
        """(dim,) E x_i^2."""
        return self.variance + self.mean**2

    @property
    def fourth_moment(self) -> Vector:
        """(dim,) central: E (x_i - E x_i)^4."""
        return self.variance_of_centred_square + self.variance**2

    @classmethod
    def exact(
        cls, mean: Vector, covariance: Matrix, variance_of_square: Vector, variance_of_centred_square: Vector
    ) -> "Moments":
        """Moments known in closed form or by quadrature, without standard error."""
        zero = np.zeros_like(mean)
        return cls(mean, covariance, variance_of_square, variance_of_centred_square, zero, zero, zero, zero)

    @classmethod
    def from_central(cls, mean: Vector, covariance: Matrix, third: Vector, fourth: Vector) -> "Moments":
        """Exact moments from the marginal central moments of third and fourth order, (dim,) each."""
        variance = np.diagonal(covariance)
        centred = fourth - variance**2
        # x^2 = (x - m)^2 + 2 m (x - m) + m^2
        square = centred + 4 * mean * third + 4 * mean**2 * variance
        return cls.exact(mean, covariance, square, centred)

    @classmethod
    def gaussian(cls, mean: Vector, covariance: Matrix) -> "Moments":
        """Exact moments of a Gaussian."""
        variance = np.diagonal(covariance)
        return cls.from_central(mean, covariance, np.zeros_like(mean), 3 * variance**2)

    @classmethod
    def from_draws(cls, draws: Matrix, independent: float | None = None) -> "Moments":
        """Moments of draws (n, dim), with the standard errors that `independent` draws (default n) would have."""
        n = float(len(draws)) if independent is None else independent
        mean = draws.mean(axis=0)
        centred = draws - mean
        covariance = centred.T @ centred / len(draws)
        variance_of_centred = np.var(centred**2, axis=0)
        variance_of_square = np.var(draws**2, axis=0)
        return cls(
            mean,
            covariance,
            variance_of_square,
            variance_of_centred,
            np.sqrt(np.diagonal(covariance) / n),
            np.sqrt(variance_of_centred / n),
            np.sqrt(variance_of_square / n),
            np.sqrt(np.var(centred**4, axis=0) / n),
        )


@dataclass(frozen=True)
class Quantiles:
    """Marginal quantiles with their standard errors.

    Attributes:
        probabilities: (k,) between 0 and 1.
        values, errors: (k, dim).
    """

    probabilities: Vector
    values: Matrix
    errors: Matrix


@dataclass(frozen=True)
class Modes:
    """The modes of a density: which draw belongs to which, and how much mass each holds.

    Attributes:
        assign: maps draws (n, dim) to integers (n,) from 0 to the number of modes less one.
        masses: the true masses, which sum to one.
    """

    assign: Callable[[Matrix], np.ndarray]
    masses: Vector


@dataclass(frozen=True)
class Place:
    """Where the certificate of a target is kept, or will be once it is made; see `targets.reference`.

    Attributes:
        stem: the path without its suffix, `.json` or `.npz`.
        modes: as in `Truth`: what a certificate cannot hold, since it is a function.
        relabellings: orders of the coordinates, (dim,) each, that leave the density unchanged and form a group; empty
            where there is no such symmetry.
    """

    stem: pathlib.Path
    modes: "Modes | None" = None
    relabellings: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Certificate:
    """How a truth was obtained."""

    method: Literal["closed form", "quadrature", "importance sampling", "long run"]
    note: str = ""
    details: dict[str, object] = field(default_factory=dict)  # chains, ess_min, r_hat_max, seed, versions

    @property
    def bounds_above(self) -> bool:
        """Whether an average over this truth can be shown as an upper bound: not where self-normalised weights made it.

        Their ratio of two averages is biased, in no known direction.
        """
        return self.method != "importance sampling"


@dataclass(frozen=True)
class Truth:
    """Everything known about a density, in its unconstrained coordinates.

    Attributes:
        moments: see `Moments`.
        certificate: how the truth was obtained.
        sample: independent exact draws, `sample(rng, n) -> (n, dim)`, or None.
        reference_draws: (n, dim) certified draws where there is no exact sampler, or None.
        log_normaliser: log of the integral of exp(log_density), NaN where unknown; with its standard error.
        entropy: differential entropy of the normalised density in nats, NaN where unknown; with its standard error.
        modes: see `Modes`, or None where modes have no name.
        named: moments of the target's named quantities, or None.
        quantiles, named_quantiles: marginal quantiles of coordinates and of named quantities, or None.
    """

    moments: Moments
    certificate: Certificate
    sample: Sampler | None = None
    reference_draws: Matrix | None = None
    log_normaliser: float = float("nan")
    log_normaliser_error: float = 0.0
    entropy: float = float("nan")
    entropy_error: float = 0.0
    modes: Modes | None = None
    named: Moments | None = None
    quantiles: Quantiles | None = None
    named_quantiles: Quantiles | None = None

    @property
    def exact(self) -> bool:
        """Whether the moments carry no standard error."""
        return self.certificate.method in ("closed form", "quadrature")

    def draws(self, n: int, seed: int) -> Matrix | None:
        """Up to n draws from the truth: exact ones, or certified ones, evenly spaced; None where there are none."""
        if self.sample is not None:
            return self.sample(np.random.default_rng(seed), n)
        if self.reference_draws is None:
            return None
        if n >= len(self.reference_draws):
            return self.reference_draws
        evenly = np.linspace(0, len(self.reference_draws) - 1, n).astype(np.intp)
        return np.asarray(self.reference_draws[evenly])

    def with_entropy_from(self, log_density_mean: float, error: float = 0.0) -> "Truth":
        """The same truth with the entropy that follows from E log_density and the log normaliser."""
        return replace(
            self,
            entropy=self.log_normaliser - log_density_mean,
            entropy_error=float(np.hypot(error, self.log_normaliser_error)),
        )
