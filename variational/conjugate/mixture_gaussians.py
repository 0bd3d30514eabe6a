"""Means and precisions of a mixture's components under each structure of the covariances: prior and q alike.

mean_k | precision_k ~ N(m_k, inverse(b_k precision_k)), and of the precisions, with v degrees of freedom and scale S,

    full        Wishart(v_k, inverse(S_k)), one for each component
    tied        Wishart(v, inverse(S)), one for all
    diag        Gamma(v_k / 2, S_kj / 2), one for each component and coordinate
    spherical   Gamma(d v_k / 2, d S_k / 2), one for each component

so that v inverse(S) is the expected precision in each. These are conjugate: q has the prior's form, and the
updates below are exact.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from targets.conjugate import wishart
from targets.kernel import Matrix, Vector
from variational.conjugate.mixture_moments import Moments, outer
from variational.conjugate.mixture_sweep import Components, Pass

LOG_TWO_PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, eq=False)
class Gaussians:
    """K components; a prior is one that stands for all.

    Attributes:
        mean: (K, d).
        mean_precision: (K,).
        degrees_of_freedom: (K,), or (1,) where all share one precision.
        scale: (K, d, d), (1, d, d), (K, d) or (K,).
    """

    mean: Matrix
    mean_precision: Vector
    degrees_of_freedom: Vector
    scale: Matrix
    crossed: ClassVar[bool] = True  # whether products of different coordinates matter
    shared: ClassVar[bool] = False  # whether all components have one precision

    @property
    def d(self) -> int:
        """Coordinates."""
        return int(self.mean.shape[1])

    def updated(self, moments: Moments) -> Self:
        """The posterior after rows with these moments, of which this is the prior."""
        b = self.mean_precision[0] + moments.count
        apart = moments.mean - self.mean[0]
        pull = (moments.count * self.mean_precision[0] / b)[:, None, None] * outer(apart, moments.scatter)
        mean = self.mean[0] + (moments.count / b)[:, None] * apart
        return type(self)(mean, b, *self._spread(moments.count, moments.scatter + pull))

    def _spread(self, count: Vector, scatter: Matrix) -> tuple[Vector, Matrix]:
        """Degrees of freedom and scale of the posterior after scatter (K, ...) about the prior's pull."""
        raise NotImplementedError

    def log_normaliser(self, copies: int = 1) -> float:
        """The log of the integral over means and precisions, of `copies` components where this is a prior."""
        means = 0.5 * self.d * (LOG_TWO_PI - np.log(self.mean_precision)).sum()
        return float(copies * means + self._copies(copies) * self._log_wisharts())

    def _copies(self, copies: int) -> int:
        return copies

    def _log_wisharts(self) -> float:
        raise NotImplementedError

    def expected_log_det(self) -> Vector:
        """(K,) or (1,) E log |precision|."""
        raise NotImplementedError

    def covariances(self) -> Matrix:
        """Inverses of the expected precisions, of the scale's shape."""
        shape = (-1,) + (1,) * (self.scale.ndim - 1)
        return np.asarray(self.scale / self.degrees_of_freedom.reshape(shape))

    def factor(self) -> Matrix:
        """Of the expected precision: (K, d, d) lower triangular F with F^T F = precision, or (K, 1, d) diagonals."""
        raise NotImplementedError

    def expected(self, log_weights: Vector) -> Components:
        """Expected log densities, as components."""
        noise = self.d / self.mean_precision
        constant = log_weights + 0.5 * (self.expected_log_det() - noise - self.d * LOG_TWO_PI)
        return Components(np.ascontiguousarray(constant), np.ascontiguousarray(self.mean), self.factor())

    def student(self) -> tuple[Vector, Matrix]:
        """Of the predictive t densities: degrees of freedom (K,), and a factor as above."""
        raise NotImplementedError

    def log_predictive(self, rows: Matrix) -> Matrix:
        """(m, K) log densities of rows (m, d) in each component, its mean and precision integrated out: Student's t."""
        freedom, factor = self.student()
        centres = Components(np.zeros(len(self.mean)), np.ascontiguousarray(self.mean), np.ascontiguousarray(factor))
        square = -2.0 * Pass(centres).log_densities(rows)
        log_det = np.log(np.diagonal(factor, axis1=1, axis2=2) if self.crossed else factor[:, 0]).sum(-1)
        half = 0.5 * (freedom + self.d)
        constant = gammaln(half) - gammaln(0.5 * freedom) - 0.5 * self.d * np.log(freedom * np.pi) + log_det
        return np.asarray(constant - half * np.log1p(square / freedom))

    def draw_rows(self, rng: np.random.Generator, labels: npt.NDArray[np.int64]) -> Matrix:
        """(m, d) draws of the predictive density of the components with these labels (m,)."""
        freedom, factor = self.student()
        rows = rng.standard_normal((len(labels), self.d))
        rows *= np.sqrt(freedom[labels, None] / self._chi_squares(rng, freedom[labels]))
        for k in range(len(self.mean)):
            mine = labels == k
            rows[mine] = np.linalg.solve(factor[k], rows[mine].T).T if self.crossed else rows[mine] / factor[k]
        return rows + self.mean[labels]

    def _chi_squares(self, rng: np.random.Generator, freedom: Vector) -> Matrix:
        """One for each row, whose coordinates share it."""
        return rng.chisquare(freedom)[:, None]


class Full(Gaussians):
    """A precision matrix for each component."""

    def _spread(self, count: Vector, scatter: Matrix) -> tuple[Vector, Matrix]:
        return self.degrees_of_freedom[0] + count, self.scale + scatter

    @cached_property
    def _root(self) -> Matrix:
        return np.asarray(np.linalg.cholesky(self.scale), dtype=np.float64)

    @cached_property
    def _log_dets(self) -> Vector:
        return np.asarray(2.0 * np.log(np.diagonal(self._root, axis1=1, axis2=2)).sum(-1))

    def _log_wisharts(self) -> float:
        return float(wishart.log_normaliser(self.degrees_of_freedom, self._log_dets, self.d).sum())

    def expected_log_det(self) -> Vector:
        return wishart.expected_log_det(self.degrees_of_freedom, self._log_dets, self.d)

    def factor(self) -> Matrix:
        lower = np.tril(np.linalg.inv(self._root)) * np.sqrt(self.degrees_of_freedom)[:, None, None]
        return np.repeat(lower, len(self.mean) // len(lower), axis=0)

    def student(self) -> tuple[Vector, Matrix]:
        freedom = self.degrees_of_freedom + 1.0 - self.d
        shrink = self.mean_precision / (self.mean_precision + 1.0) * freedom / self.degrees_of_freedom
        return freedom + np.zeros(len(self.mean)), self.factor() * np.sqrt(shrink)[:, None, None]


class Tied(Full):
    """One precision matrix for all."""

    shared = True

    def _spread(self, count: Vector, scatter: Matrix) -> tuple[Vector, Matrix]:
        return self.degrees_of_freedom + count.sum(), self.scale + scatter.sum(0)

    def _copies(self, copies: int) -> int:  # noqa: ARG002
        return 1


class Diagonal(Gaussians):
    """A precision for each component and coordinate."""

    crossed = False

    def _spread(self, count: Vector, scatter: Matrix) -> tuple[Vector, Matrix]:
        return self.degrees_of_freedom[0] + count, self.scale + scatter[:, 0]

    def _log_wisharts(self) -> float:
        return float(wishart.log_normaliser(self.degrees_of_freedom[:, None], np.log(self.scale), 1).sum())

    def expected_log_det(self) -> Vector:
        return np.asarray(wishart.expected_log_det(self.degrees_of_freedom[:, None], np.log(self.scale), 1).sum(-1))

    def factor(self) -> Matrix:
        return np.ascontiguousarray(1.0 / np.sqrt(self.covariances())[:, None, :])

    def student(self) -> tuple[Vector, Matrix]:
        shrink = self.mean_precision / (self.mean_precision + 1.0)
        return self.degrees_of_freedom, self.factor() * np.sqrt(shrink)[:, None, None]

    def log_predictive(self, rows: Matrix) -> Matrix:
        v, factor = self.student()
        constant = self.d * (gammaln(0.5 * (v + 1.0)) - gammaln(0.5 * v) - 0.5 * np.log(v * np.pi))
        logs = np.empty((len(rows), len(v)))
        for k in range(len(v)):
            squares = ((rows - self.mean[k]) * factor[k, 0]) ** 2
            density = np.log(factor[k, 0]).sum() - 0.5 * (v[k] + 1.0) * np.log1p(squares / v[k]).sum(-1)
            logs[:, k] = constant[k] + density
        return logs

    def _chi_squares(self, rng: np.random.Generator, freedom: Vector) -> Matrix:
        """One for each coordinate."""
        return rng.chisquare(freedom[:, None], (len(freedom), self.d))


class Spherical(Gaussians):
    """One precision for all coordinates of a component."""

    crossed = False

    def _spread(self, count: Vector, scatter: Matrix) -> tuple[Vector, Matrix]:
        return self.degrees_of_freedom[0] + count, self.scale + scatter[:, 0].mean(-1)

    def _log_wisharts(self) -> float:
        d = self.d
        return float(wishart.log_normaliser(d * self.degrees_of_freedom, np.log(d * self.scale), 1).sum())

    def expected_log_det(self) -> Vector:
        d = self.d
        return d * wishart.expected_log_det(d * self.degrees_of_freedom, np.log(d * self.scale), 1)

    def factor(self) -> Matrix:
        return np.ascontiguousarray(np.tile(1.0 / np.sqrt(self.covariances())[:, None, None], (1, 1, self.d)))

    def student(self) -> tuple[Vector, Matrix]:
        shrink = self.mean_precision / (self.mean_precision + 1.0)
        return self.d * self.degrees_of_freedom, self.factor() * np.sqrt(shrink)[:, None, None]


STRUCTURES: dict[str, type[Gaussians]] = {"full": Full, "tied": Tied, "diag": Diagonal, "spherical": Spherical}
