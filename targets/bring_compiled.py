"""A target from a numba function of any accepted form, compiled again under the project's signature."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

from targets.guard import Jit, checked, fast, kernel_of
from targets.kernel import DATA, VECTOR, Matrix, Vector, kernel
from targets.options import UsageError, require

RELATIVE_STEP = float(np.finfo(np.float64).eps) ** (1 / 3)  # where rounding and truncation of central differences meet
DIFFERENCES = "differences"  # the gradient that asks for them


class Compiled(NamedTuple):
    """A kernel and a density as loops take them; the latter None where there is only the kernel."""

    kernel: Any
    density: Any


class Parts(NamedTuple):
    """What a user gave: the functions, how many arguments each takes, and whether there are data.

    `slope` is None where there is no gradient beside the function; with `differences` it is to be estimated.
    """

    function: Any
    arguments: int
    with_data: bool
    slope: Any = None
    slope_arguments: int = 0
    differences: bool = False

    @property
    def alone(self) -> bool:
        """Whether all that was given is the function."""
        return self.slope is None and not self.differences


@kernel
def no_gradient(x, gradient, data):  # type: ignore[no-untyped-def] # noqa: ARG001
    """The kernel of a target that has a density alone."""
    for i in range(x.shape[0]):
        gradient[i] = np.nan
    return np.nan


def is_compiled(function: Any) -> bool:
    """Whether it is a function that numba's `njit` or `jit` made."""
    return isinstance(function, Dispatcher)


def bring(parts: Parts, name: str, point: Vector, data: Matrix) -> Compiled:
    """Check the functions by one call at `point` with bounds checked, and compile them.

    Raises:
        UsageError: numba cannot compile them, or what they return is not accepted.
    """
    try:
        trial, trial_density = _composed(parts, checked, name)
        _try(trial or trial_density, name, point, data, is_kernel=trial is not None)
        return _compiled(parts, name)
    except NumbaError as error:
        raise UsageError(f"{name} is not accepted: numba cannot compile it: {_gist(error)}") from error


@lru_cache(maxsize=64)
def _compiled(parts: Parts, name: str) -> Compiled:
    both, density = _composed(parts, fast, name)
    return Compiled(
        no_gradient if both is None else kernel_of(both), None if density is None else kernel_of(density, density=True)
    )


def _try(function: Any, name: str, point: Vector, data: Matrix, is_kernel: bool) -> None:
    try:
        function(*((point, np.empty_like(point), data) if is_kernel else (point, data)))
    except (IndexError, ValueError) as error:
        raise UsageError(f"{name} is not accepted: {error}, at a position of dim={len(point)}") from error
    except Exception as error:
        error.add_note(f"raised by {name} in its first call, at {np.array2string(point, threshold=8)}")
        raise


def _composed(parts: Parts, jit: Jit, name: str) -> tuple[Any, Any]:
    """The kernel and the density, either of which may be None, made by `jit` from what was given."""
    function = jit(parts.function.py_func)
    if parts.arguments == 3:
        _returned(function, (VECTOR, VECTOR, DATA), name, ("number",))
        return jit(_as_float3(function)), None
    forms = ("number", "both") if parts.alone else ("number",)
    form = _returned(function, (VECTOR, DATA)[: parts.arguments], name, forms)
    at = jit(_without_data(function)) if parts.arguments == 1 else function
    if form == "both":
        return jit(_from_both(at)), None
    density = jit(_as_float2(at))
    if parts.differences:
        return jit(_by_differences(density)), density
    if parts.slope is None:
        return None, density
    return jit(_with_slope(density, _slope(jit(parts.slope.py_func), parts, jit))), density


def _slope(given: Any, parts: Parts, jit: Jit) -> Any:
    """The gradient as a function (x, gradient, data) that writes it."""
    if parts.slope_arguments == 3:
        return given
    if parts.slope_arguments == 2 and not parts.with_data:
        return jit(_writes(given))
    _returned(given, (VECTOR, DATA)[: parts.slope_arguments], "the gradient", ("vector",))
    return jit(_returns(jit(_without_data(given)) if parts.slope_arguments == 1 else given))


def _returned(function: Any, arguments: tuple[Any, ...], name: str, accepted: tuple[str, ...]) -> str:
    """Which form the value has that a function returns for arguments of these types.

    Raises:
        UsageError: none that is accepted here.
    """
    function.compile(arguments)
    kind = function.nopython_signatures[0].return_type
    found = _form(kind)
    words = {"number": "a float", "vector": "a float64 array (dim,)", "both": "(a float, its gradient (dim,))"}
    wanted = " or ".join(words[form] for form in accepted)
    require(found in accepted, f"{name} is not accepted: it returns {kind}, and is to return {wanted}")
    return found


def _form(kind: Any) -> str:
    if isinstance(kind, (types.Float, types.Integer)):
        return "number"
    if isinstance(kind, types.Array) and kind.ndim == 1 and kind.dtype == types.float64:
        return "vector"
    if isinstance(kind, types.Tuple | types.UniTuple) and [_form(part) for part in kind] == ["number", "vector"]:
        return "both"
    return ""


def _gist(error: NumbaError) -> str:
    """The line of numba's message that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Failed in", "During:", "File ", "- "))]
    return (telling or lines or [type(error).__name__])[0].rstrip(".:")


# What follows builds one form from another. Each is compiled by the caller, with or without checks.


def _as_float3(function: Any) -> Any:
    def kernel(x, gradient, data):  # type: ignore[no-untyped-def]
        return float(function(x, gradient, data))

    return kernel


def _as_float2(function: Any) -> Any:
    def density(x, data):  # type: ignore[no-untyped-def]
        return float(function(x, data))

    return density


def _without_data(function: Any) -> Any:
    def with_data(x, data):  # type: ignore[no-untyped-def] # noqa: ARG001
        return function(x)

    return with_data


def _from_both(both: Any) -> Any:
    def kernel(x, gradient, data):  # type: ignore[no-untyped-def]
        value, slope = both(x, data)
        if slope.shape[0] != gradient.shape[0]:
            raise ValueError("the gradient returned has not as many coordinates as the position")
        for i in range(gradient.shape[0]):
            gradient[i] = slope[i]
        return float(value)

    return kernel


def _with_slope(density: Any, slope: Any) -> Any:
    def kernel(x, gradient, data):  # type: ignore[no-untyped-def]
        slope(x, gradient, data)
        return density(x, data)

    return kernel


def _writes(slope: Any) -> Any:
    def with_data(x, gradient, data):  # type: ignore[no-untyped-def] # noqa: ARG001
        slope(x, gradient)

    return with_data


def _returns(slope: Any) -> Any:
    def writing(x, gradient, data):  # type: ignore[no-untyped-def]
        found = slope(x, data)
        if found.shape[0] != gradient.shape[0]:
            raise ValueError("the gradient returned has not as many coordinates as the position")
        for i in range(gradient.shape[0]):
            gradient[i] = found[i]

    return writing


def _by_differences(density: Any) -> Any:
    def kernel(x, gradient, data):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            here = x[i]
            step = RELATIVE_STEP * max(1.0, abs(here))
            x[i] = here + step
            above = density(x, data)
            x[i] = here - step
            below = density(x, data)
            x[i] = here
            gradient[i] = (above - below) / (2.0 * step)
        return density(x, data)

    return kernel
