"""Densities in plain Python: one cached kernel that calls back into the interpreter, at a few microseconds a call.

The kernel finds the function by a handle, an integer in the target's data. Compiled code cannot carry a Python
exception (numba prints and swallows it in a function pointer), so an exception is kept, the density answers NaN from
then on, and `targets.kernel.Loop` and `Target.evaluate` raise it, type and message unchanged, once they have control.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numba
import numpy as np

from targets.kernel import DENSITY_SIGNATURE, KERNEL_SIGNATURE, Vector, aligned, data_matrix, empty, failures
from targets.options import require
from targets.target import Target

HANDLE_BITS = 52  # what a float64 holds exactly; random, so that a handle from another process is never mistaken

Both = Callable[[Vector], tuple[float, Vector]]  # x (dim,) -> log density, gradient (dim,)
_functions: dict[int, tuple[Both, Callable[[Vector], float] | None]] = {}


def _keep(both: Both, alone: Callable[[Vector], float] | None) -> int:
    handle = secrets.randbits(HANDLE_BITS)
    _functions[handle] = (both, alone)
    return handle


def _function(handle: float) -> tuple[Both, Callable[[Vector], float] | None]:
    if int(handle) not in _functions:
        raise RuntimeError("this plain Python target was made in another process; make it again in this one")
    return _functions[int(handle)]


def _gradient_into(handle: float, x: Vector, gradient: Vector) -> float:
    if failures:
        return float("nan")
    try:
        value, slope = _function(handle)[0](x.copy())
        slope = np.asarray(slope, dtype=np.float64)
        if slope.shape != x.shape:
            raise ValueError(f"the gradient has shape {slope.shape}, the position {x.shape}")
        gradient[:] = slope
        return float(value)
    except BaseException as failure:  # whatever it is, the compiled caller would swallow it
        failures.append(failure)
        return float("nan")


def _value(handle: float, x: Vector) -> float:
    if failures:
        return float("nan")
    try:
        both, alone = _function(handle)
        return float(both(x.copy())[0] if alone is None else alone(x.copy()))
    except BaseException as failure:  # as above
        failures.append(failure)
        return float("nan")


def _joined(
    function: Callable[[Vector], float], gradient: Callable[[Vector], Vector], x: Vector
) -> tuple[float, Vector]:
    return function(x), gradient(x.copy())


def _object_mode(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """As `targets.kernel`, but without releasing the interpreter's lock, which the call takes again at once."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher: Any = numba.njit(cache=True, error_model="numpy")(function)
        dispatcher.declared_signature = signature
        return dispatcher

    return decorate


@_object_mode(KERNEL_SIGNATURE)
def interpreted(x, gradient, data):  # type: ignore[no-untyped-def]
    """data[0, 0]: the handle."""
    handle = data[0, 0]
    with numba.objmode(value="float64"):
        value = _gradient_into(handle, x, gradient)
    return value  # noqa: RET504 (numba cannot return from within the block)


@_object_mode(DENSITY_SIGNATURE)
def interpreted_density(x, data):  # type: ignore[no-untyped-def]
    """data[0, 0]: the handle."""
    handle = data[0, 0]
    with numba.objmode(value="float64"):
        value = _value(handle, x)
    return value  # noqa: RET504


def from_python(
    function: Callable[[Vector], Any],
    dim: int,
    gradient: Callable[[Vector], Vector] | None = None,
    *,
    name: str = "plain",
    **attributes: Any,
) -> Target:
    """A target from plain Python functions, for densities that numba cannot compile. Tagged 'slow'.

    Args:
        function: `x (dim,) -> log density`; without `gradient`, `x -> (log density, gradient (dim,))`.
        dim: the number of coordinates.
        gradient: `x (dim,) -> (dim,)`.
        name: what records call it.
        attributes: any other of `Target`: truth, tags, coordinates, named, initial.

    Raises:
        UsageError: the arguments are not functions, or `dim` is not positive.
    """
    require(callable(function), f"from_python: {function!r} is not accepted; it takes a function of x")
    require(
        gradient is None or callable(gradient), f"from_python: gradient={gradient!r} is not accepted; a function is"
    )
    require(dim >= 1, f"from_python: dim={dim} is not accepted; it takes 1 or more")
    both = function if gradient is None else partial(_joined, function, gradient)
    handle = _keep(both, None if gradient is None else function)
    return Target(
        name=name,
        dim=dim,
        log_density_and_gradient=interpreted,
        log_density=None if gradient is None else interpreted_density,
        data=data_matrix([[handle]]),
        tags=frozenset(attributes.pop("tags", ())) | {"slow"},
        **attributes,
    )


@dataclass
class Counter:
    """Calls of a target's kernel and of its log density without gradient."""

    gradients: int = 0
    densities: int = 0


def counting(target: Target) -> tuple[Target, Counter]:
    """The same target, same bits, with its evaluations counted. Without `rows`, whose kernels need the data."""
    counter = Counter()
    slope = empty(target.dim)

    def both(x: Vector) -> tuple[float, Vector]:
        counter.gradients += 1
        value = target.kernel(aligned(x), slope, target.data)
        return value, slope

    def alone(x: Vector) -> float:
        counter.densities += 1
        return float(target.density(aligned(x), target.data))

    handle = _keep(both, None if target.log_density is None else alone)
    counted = replace(
        target,
        log_density_and_gradient=interpreted,
        log_density=None if target.log_density is None else interpreted_density,
        data=data_matrix([[handle]]),
        rows=None,
        registered=False,
        tags=target.tags | {"slow"},
    )
    return counted, counter
