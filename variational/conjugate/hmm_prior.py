"""What `variational.BayesianHMM` makes of its arguments and of its data: a prior, symbols, and the ends of sequences."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from targets.conjugate.hidden_markov import CategoricalEmissions, GaussianEmissions, HiddenMarkov
from targets.kernel import Matrix
from targets.options import require

if TYPE_CHECKING:
    from variational.conjugate.hmm import BayesianHMM

MOST_SYMBOLS = 1_000_000


def prior_of(estimator: "BayesianHMM", name: str, given: npt.NDArray[Any]) -> HiddenMarkov:
    """The model that the arguments say, where they say nothing that suits the data: rows (n, d), or symbols (n,).

    Raises:
        ValueError: an argument is not accepted, or the data give no scale to a prior.
    """
    for argument, accepted in (
        ("emissions", ("gaussian", "categorical")),
        ("covariance_type", ("full", "diag")),
        ("inference", ("vb", "em")),
    ):
        value = getattr(estimator, argument)
        require(value in accepted, f"{name}: {argument}={value!r} is not accepted; it takes {' or '.join(accepted)}")
    made = HiddenMarkov(
        estimator.n_components,
        _categorical(estimator, given) if estimator.emissions == "categorical" else _gaussian(estimator, name, given),
        estimator.start_concentration_prior,
        estimator.transition_concentration_prior,
        estimator.stickiness,
    )
    if estimator.inference == "em":
        _check_point(name, made)
    return made


def _categorical(estimator: "BayesianHMM", given: npt.NDArray[np.int64]) -> CategoricalEmissions:
    least = int(given.max()) + 1
    number = least if estimator.n_symbols is None else estimator.n_symbols
    require(
        least <= number, f"n_symbols={number} is not accepted; the data hold {least - 1}, which takes {least} or more"
    )
    return CategoricalEmissions(number, estimator.emission_concentration_prior)


def _gaussian(estimator: "BayesianHMM", name: str, given: Matrix) -> GaussianEmissions:
    d = given.shape[1]
    full = estimator.covariance_type == "full"
    mean = np.asarray(given.mean(axis=0) if estimator.mean_prior is None else estimator.mean_prior, dtype=np.float64)
    require(mean.shape == (d,), f"{name}: mean_prior of shape {mean.shape} is not accepted; it takes ({d},)")
    degrees = estimator.degrees_of_freedom_prior
    if degrees is None:
        degrees = d + 1.0 if full else 2.0
    if estimator.covariance_prior is None:
        scale = _scale(name, given, full)
    else:
        scale = np.asarray(estimator.covariance_prior, dtype=np.float64)
    shape = (d, d) if full else (d,)
    require(scale.shape == shape, f"{name}: covariance_prior of shape {scale.shape} is not accepted; it takes {shape}")
    return GaussianEmissions(mean, estimator.mean_precision_prior, degrees, scale)


def _scale(name: str, given: Matrix, full: bool) -> Matrix:
    """The covariance of the data, where they have one."""
    with np.errstate(over="ignore", invalid="ignore"):
        variance = given.var(axis=0)
        require(bool(np.isfinite(variance).all()), f"{name}: the data are too large; it takes what can be squared")
        constant = np.flatnonzero(variance <= 1e-28 * np.square(given).max(axis=0))
        require(
            not constant.size,
            f"{name}: column {constant[:1]} of the data is constant, which gives the prior no scale; give covariance_prior",
        )
        if not full:
            return np.asarray(variance)
        centred = given - given.mean(axis=0)
        scale = centred.T @ centred / len(given)
    correlation = scale / np.sqrt(np.outer(variance, variance))
    require(
        bool(np.linalg.eigvalsh(correlation)[0] > 1e-10),
        f"{name}: columns of the data depend on each other, which gives the prior no scale; give covariance_prior, "
        "or covariance_type='diag'",
    )
    return np.asarray(0.5 * (scale + scale.T))


def _check_point(name: str, model: HiddenMarkov) -> None:
    """A mode exists where concentrations are 1 or more, and precisions have degrees of freedom to spare."""
    said = "is not accepted with inference='em'; it takes"
    for argument in ("start_concentration", "transition_concentration"):
        value = getattr(model, argument)
        require(value >= 1, f"{name}: {argument}_prior={value:g} {said} 1 or more")
    emissions = model.emissions
    if isinstance(emissions, CategoricalEmissions):
        require(
            emissions.concentration >= 1,
            f"{name}: emission_concentration_prior={emissions.concentration:g} {said} 1 or more",
        )
        return
    size = len(emissions.mean) if emissions.full else 1
    require(
        emissions.degrees_of_freedom > size,
        f"{name}: degrees_of_freedom_prior={emissions.degrees_of_freedom:g} {said} numbers above {size}",
    )


def symbols(X: npt.ArrayLike, name: str, known: int | None) -> npt.NDArray[np.int64]:
    """(n,) symbols of one column (n, 1), or of a vector; below `known` where that is given.

    Raises:
        ValueError: they are not whole numbers from zero on.
    """
    said = f"{name}: the data are not accepted; it takes one column of whole numbers 0, 1, ..."
    try:
        given = np.asarray(X)
        values = given.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(said) from None
    require(given.ndim == 1 or (given.ndim == 2 and given.shape[1] == 1), f"{said}, not the shape {given.shape}")
    require(given.size > 0, f"{said}, at least one")
    require(bool(np.isfinite(values).all()), f"{said}, without NaN or infinity")
    most = MOST_SYMBOLS if known is None else known
    whole = bool((values == np.floor(values)).all())
    require(whole and values.min() >= 0 and values.max() < most, f"{said}, up to {most - 1}")
    return values.ravel().astype(np.int64)


def ends_of(name: str, lengths: Sequence[int] | None, n: int) -> npt.NDArray[np.int64]:
    """Where the sequences end among n rows.

    Raises:
        ValueError: the lengths are not whole numbers above zero that sum to n.
    """
    if lengths is None:
        return np.array([n], np.int64)
    given = np.asarray(lengths)
    said = f"{name}: these lengths are not accepted; they take whole numbers above zero that sum to {n} rows"
    require(given.ndim == 1 and given.size > 0 and given.dtype.kind in "iu", said)
    require(bool((given > 0).all()) and int(given.sum()) == n, said)
    return np.cumsum(given).astype(np.int64)
