"""A target from a posterior of posteriordb and a model that the caller supplies."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from targets.kernel import Density, Kernel, Matrix, Vector, data_matrix
from targets.long_run import NONE, Estimates, estimates
from targets.options import UsageError, require
from targets.posteriordb import normalisers
from targets.posteriordb.folder import Record, Values, by_name, by_parameter, read
from targets.target import Named, Target
from targets.truth import Certificate, Truth

ROUND_TRIP = 1e-6  # how far a reference draw may be from itself after both maps, in standard deviations
MISFITS = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, np.linalg.LinAlgError)


def posterior(
    name: str,
    *,
    kernel: Kernel,
    data: Callable[[Mapping[str, Any]], npt.ArrayLike],
    coordinates: Sequence[str],
    named: Callable[[Matrix], Mapping[str, Any]],
    unconstrain: Callable[[Values], Matrix],
    density: Density | None = None,
    initial: Callable[[np.random.Generator], Vector] | None = None,
    tags: frozenset[str] = frozenset(),
    description: str = "",
) -> Target:
    """The target of that name, with the moments of posteriordb's reference draws as truth.

    Args:
        name: as posteriordb calls it, such as 'eight_schools-eight_schools_noncentered'.
        kernel: the log density in coordinates without bounds, Jacobians included; see `targets.kernel`.
        data: makes the kernel's matrix of posteriordb's data, a map from names to numbers and arrays.
        coordinates: names of the kernel's coordinates.
        named: maps coordinates (n, dim) to posteriordb's parameters by name: (n,) for one number, (n, size) for a
            vector, (n, rows, columns) for a matrix.
        unconstrain: the inverse, which gives (n, dim).
        density: the log density alone, for methods that need no gradient.
        initial: draws starting points; see `targets.Target`.
        tags: words to select by; 'posteriordb' is added.
        description: one line.

    Raises:
        UnavailableError: no folder is named, or a file in it is missing or damaged.
        UsageError: the functions do not fit the data, the parameters, or each other.
    """
    record = read(name)
    matrix = _fitting(name, "data", lambda: data_matrix(data(record.data)))
    draws = _unconstrained(record, len(coordinates), named, unconstrain)
    log_normaliser, log_normaliser_error = normalisers.known(name, matrix)
    long_run = _estimates(Drawn.of(draws))
    chains, n, dim = draws.shape

    def values(x: Matrix) -> Matrix:
        return by_name(record.parameters, named(x), len(x))

    return Target(
        name=name,
        dim=dim,
        log_density_and_gradient=kernel,
        log_density=density,
        data=matrix,
        truth=Truth(
            moments=long_run.moments,
            certificate=Certificate(
                "long run",
                f"reference draws {record.reference['reference']} of posteriordb",
                {
                    "chains": chains,
                    "draws": chains * n,
                    "ess_min": min(long_run.ess, long_run.ess_square),
                    "r_hat_max": long_run.r_hat,
                    **record.reference,
                },
            ),
            reference_draws=draws.reshape(-1, dim),
            log_normaliser=log_normaliser,
            log_normaliser_error=log_normaliser_error,
            named=_estimates(Drawn.of(record.draws)).moments,
        ),
        coordinates=tuple(coordinates),
        named=Named(record.parameters, values),
        tags=tags | {"posteriordb"},
        initial=initial,
        description=description,
    )


@dataclass(frozen=True)
class Drawn:
    """Draws (chains, n, k), equal to others of the same content in the same order of memory."""

    digest: bytes
    strides: tuple[int, ...]
    values: np.ndarray = field(compare=False)

    @classmethod
    def of(cls, values: np.ndarray) -> "Drawn":
        return cls(hashlib.sha256(values.tobytes()).digest(), values.strides, values)


@functools.lru_cache(maxsize=64)
def _estimates(drawn: Drawn) -> Estimates:
    """Of draws, once: a posterior is made many times in a process, and this takes most of the time."""
    return estimates(drawn.values, probabilities=NONE)


def _fitting(name: str, argument: str, call: Callable[[], Any]) -> Any:
    """What `call` gives; an argument that does not fit posteriordb's posterior becomes one line."""
    try:
        return call()
    except UsageError:
        raise
    except MISFITS as error:
        line = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        raise UsageError(f"{name}: {argument}= does not fit what posteriordb holds: {line}") from error


def _unconstrained(record: Record, dim: int, named: Any, unconstrain: Any) -> np.ndarray:
    """Reference draws (chains, n, dim) in the kernel's coordinates, which `named` must map back."""
    chains, n, count = record.draws.shape
    flat = record.draws.reshape(-1, count)
    x = _fitting(record.name, "unconstrain", lambda: np.asarray(unconstrain(by_parameter(record.parameters, flat))))
    require(
        x.shape == (len(flat), dim),
        f"{record.name}: unconstrain= gives the shape {x.shape}; ({len(flat)}, {dim}) is expected",
    )
    require(bool(np.isfinite(x).all()), f"{record.name}: unconstrain= maps a reference draw to infinity or NaN")
    again = _fitting(record.name, "named", lambda: by_name(record.parameters, named(x), len(flat)))
    lost = ~(np.abs(again - flat) <= ROUND_TRIP * flat.std(axis=0)).all(axis=0)
    wrong = ", ".join(np.array(record.parameters)[lost])
    require(not lost.any(), f"{record.name}: named= and unconstrain= are not inverse to each other in {wrong}")
    return np.ascontiguousarray(x, dtype=np.float64).reshape(chains, n, dim)
