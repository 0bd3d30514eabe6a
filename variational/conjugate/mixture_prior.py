"""The prior of a mixture, from what the user says and, where nothing is said, from the data."""

from typing import Any

import numpy as np

from targets.kernel import Matrix, Vector
from targets.options import require
from variational.conjugate.blocks import Blocks
from variational.conjugate.mixture_bound import Mixture
from variational.conjugate.mixture_gaussians import STRUCTURES
from variational.conjugate.mixture_weights import Dirichlet, Sticks, Weights

TYPES = ("dirichlet_process", "dirichlet_distribution")


def survey(data: Blocks, name: str) -> tuple[Vector, Matrix]:
    """Mean (d,) and covariance (d, d), with divisor n - 1, of all rows, which are checked to be finite.

    Blocks are merged as Chan, Golub and LeVeque (1983) do, so that a large mean costs no accuracy.
    """
    n, mean, scatter = 0, np.zeros(data.shape[1]), np.zeros((data.shape[1], data.shape[1]))
    for rows in data:
        if not np.isfinite(rows).all():
            kind = "NaN" if np.isnan(rows).any() else "infinity"
            raise ValueError(f"{name}: the data contain {kind}; it takes finite numbers")
        here = rows.mean(0)
        centred = rows - here
        apart = here - mean
        scatter += centred.T @ centred + n * len(rows) / (n + len(rows)) * np.outer(apart, apart)
        mean = mean + len(rows) / (n + len(rows)) * apart
        n += len(rows)
    return mean, scatter / max(n - 1, 1)


def weights(kind: str, concentration: float | None, size: int) -> Weights:
    """By default the concentration is 1 / size, as scikit-learn's is."""
    value = 1.0 / size if concentration is None else float(concentration)
    require(
        np.isfinite(value) and value > 0,
        f"weight_concentration_prior={concentration!r} is not accepted; it takes positive numbers",
    )
    if kind == "dirichlet_process":
        return Sticks(np.ones(size), np.full(size, value))
    return Dirichlet(np.full(size, value))


def prior(estimator: Any, mean: Vector, covariance: Matrix) -> Mixture:
    """The prior that an estimator's parameters ask for, where data have this mean and covariance.

    By default the mean is that of the data, and counts as one row; the degrees of freedom are d, and the scale is the
    covariance of the data, of which `diag` takes the diagonal and `spherical` the diagonal's mean.

    Raises:
        UsageError: a parameter is not accepted, or there is no default as the data's covariance is singular.
    """
    d, kind = len(mean), estimator.covariance_type
    precision = 1.0 if estimator.mean_precision_prior is None else estimator.mean_precision_prior
    require(
        _number(precision) and precision > 0,
        f"mean_precision_prior={precision!r} is not accepted; it takes positive numbers",
    )
    freedom = float(d) if estimator.degrees_of_freedom_prior is None else estimator.degrees_of_freedom_prior
    above = d - 1 if kind in ("full", "tied") else 0
    require(
        _number(freedom) and freedom > above,
        f"degrees_of_freedom_prior={freedom!r} is not accepted; with covariance_type={kind!r} and {d} features it "
        f"takes numbers above {above}",
    )
    centre = mean
    if estimator.mean_prior is not None:
        centre = np.array(estimator.mean_prior, dtype=np.float64)
        require(
            centre.shape == (d,) and bool(np.isfinite(centre).all()),
            f"mean_prior of shape {centre.shape} is not accepted; it takes {d} finite numbers, one a feature",
        )
    if estimator.covariance_prior is None:
        scale = _default_scale(kind, mean, covariance)
    else:
        scale = _scale(kind, d, np.array(estimator.covariance_prior, dtype=np.float64))
    gaussians = STRUCTURES[kind](centre[None], np.array([float(precision)]), np.array([float(freedom)]), scale[None])
    size = estimator.n_components
    return Mixture(
        weights(estimator.weight_concentration_prior_type, estimator.weight_concentration_prior, size), gaussians
    )


def _number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))


def _default_scale(kind: str, mean: Vector, covariance: Matrix) -> Matrix:
    advice = "give covariance_prior, or leave the column out"
    variances = np.diagonal(covariance).copy()
    if kind == "spherical":
        require(variances.mean() > 0, f"all rows are equal, so that their variance is no prior: {advice}")
        return np.asarray(variances.mean())
    # rounding makes a variance of a constant: (1e-13 of it)^2, at most
    constant = np.flatnonzero(~(np.sqrt(variances) > 1e-13 * np.abs(mean)))
    require(
        len(constant) == 0,
        f"column {constant[0] if len(constant) else 0} is constant, so that its variance is no prior: {advice}",
    )
    if kind == "diag":
        return variances
    sd = np.sqrt(variances)
    # a correlation matrix whose least eigenvalue is rounding has columns that determine each other
    least = np.linalg.eigvalsh(covariance / np.outer(sd, sd))[0]
    require(
        least > 1e-12, f"the columns determine each other, so that their covariance is singular and no prior: {advice}"
    )
    return covariance


def _scale(kind: str, d: int, scale: Matrix) -> Matrix:
    wanted = {"full": (d, d), "tied": (d, d), "diag": (d,), "spherical": ()}[kind]
    text = "a symmetric positive definite matrix" if len(wanted) == 2 else "positive numbers"
    fine = scale.shape == wanted and bool(np.isfinite(scale).all())
    if fine and len(wanted) == 2:
        fine = bool(np.allclose(scale, scale.T, rtol=1e-10, atol=0.0)) and bool(np.linalg.eigvalsh(scale)[0] > 0)
        scale = 0.5 * (scale + scale.T)
    elif fine:
        fine = bool(np.all(scale > 0))
    require(fine, f"covariance_prior is not accepted; with covariance_type={kind!r} it takes {text} of shape {wanted}")
    return scale
