"""A target from a function of one's own: compiled by numba, or plain Python."""

import inspect
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from targets.bring_compiled import DIFFERENCES, Parts, bring, is_compiled, no_gradient
from targets.bring_interpreted import interpreted_target
from targets.kernel import KERNEL_SIGNATURE, Matrix, Vector, aligned, data_matrix
from targets.options import UsageError, require
from targets.target import DENSITY_ALONE, Target

FORMS = "(x), (x, data) or (x, gradient, data)"
SLOPE_FORMS = "(x), (x, gradient), (x, data) or (x, gradient, data)"
NEAR = 1.0  # around a start that is given, in each coordinate


def from_function(
    function: Callable[..., Any],
    dim: int | None = None,
    *,
    gradient: Callable[..., Any] | str | None = None,
    data: npt.ArrayLike | None = None,
    start: npt.ArrayLike | None = None,
    name: str | None = None,
    **attributes: Any,
) -> Target:
    """A target from a log density of one's own, up to a constant, on unconstrained coordinates.

    A function that `numba.njit` made, with whatever options, is compiled again as the project compiles its own kernels,
    once a process. A plain function runs in the interpreter, one call at a time, and the target is tagged 'slow'. Each
    is called once here, compiled ones with the bounds of arrays checked, to see that it does what is said below.

    Args:
        function: one of the following, with x (dim,) float64. `f(x) -> log density`, or `f(x, data)` if there are data:
            a density without gradient, unless `gradient` is given. `f(x) -> (log density, gradient (dim,))`, or
            `f(x, data)`. `f(x, gradient, data) -> log density`, which writes into `gradient` (dim,). A density that is
            zero returns -inf. What is raised stops the sampler, with its type and message.
        dim: the number of coordinates; not needed with `start`.
        gradient: of the first form, `g(x) -> (dim,)` or `g(x, data)`; or a function that writes, `g(x, gradient, data)`
            or, if there are no data, `g(x, gradient)`. "differences" estimates it from 2 dim more calls of the
            function, to about ten digits. If either function is plain Python, both run in the interpreter.
        data: a matrix, handed to functions that take one, as a read-only float64 copy.
        start: (dim,), a point around which chains start, within 1 of it in each coordinate. By default they start
            within 2 of zero.
        name: what records call it; by default the function's.
        attributes: any other of `Target`: coordinates, named, truth, tags, initial.

    Raises:
        UsageError: something is not accepted; the message is one line.
    """
    name = name or _name(function)
    require(callable(function), f"{function!r} is not accepted as a density; it takes a function of x")
    matrix = _matrix(name, data)
    point, dim = _start(name, start, dim)
    parts = _parts(name, function, gradient, data is not None)
    if point is not None:
        require("initial" not in attributes, f"{name}: both start and initial are given; one is accepted")
        attributes["initial"] = partial(near, point)
    initial = attributes.get("initial")
    rng = np.random.default_rng(0)
    around = rng.uniform(-2.0, 2.0, dim) if initial is None else initial(rng)
    first = aligned(around if point is None else point)
    require(first.shape == (dim,), f"{name}: initial makes points of shape {first.shape}, and dim={dim} takes ({dim},)")
    compiled = is_compiled(function) and (gradient is None or isinstance(gradient, str) or is_compiled(gradient))
    if not compiled:
        return interpreted_target(parts, name, first, None if data is None else matrix, attributes)
    if getattr(function, "declared_signature", None) == KERNEL_SIGNATURE:  # made by `targets.kernel`, which caches it
        return Target(name, dim, function, matrix, **attributes)
    made = bring(parts, name, first, matrix)
    tags = frozenset(attributes.pop("tags", ())) | ({DENSITY_ALONE} if made.kernel is no_gradient else set())
    return Target(name, dim, made.kernel, matrix, log_density=made.density, tags=tags, **attributes)


def near(point: Vector, rng: np.random.Generator) -> Vector:
    """A starting point within `NEAR` of the one given."""
    return np.asarray(point + rng.uniform(-NEAR, NEAR, len(point)))


def _name(function: Any) -> str:
    said = str(getattr(function, "__name__", "")).strip("_")
    return said if said.isidentifier() else "density"


def _matrix(name: str, data: npt.ArrayLike | None) -> Matrix:
    if data is None:
        return data_matrix(np.zeros((0, 0)))
    try:
        found = np.asarray(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name}: data of type {type(data).__name__} are not accepted; a matrix of numbers is"
        ) from error
    require(found.ndim == 2, f"{name}: data of shape {found.shape} are not accepted; a matrix (rows, columns) is")
    return data_matrix(found)


def _start(name: str, start: npt.ArrayLike | None, dim: int | None) -> tuple[Vector | None, int]:
    """The starting point, if there is one, and the dimension."""
    point = None if start is None else np.asarray(start, dtype=np.float64)
    if point is not None:
        require(
            point.ndim == 1 and len(point) > 0 and bool(np.all(np.isfinite(point))),
            f"{name}: start of shape {point.shape} is not accepted; one point (dim,) of finite numbers is",
        )
        require(
            dim is None or dim == len(point), f"{name}: dim={dim} and a start of {len(point)} coordinates do not fit"
        )
        dim = len(point)
    if dim is None:
        raise UsageError(f"{name}: the number of coordinates is not known; give dim= or a starting point")
    try:
        whole = operator.index(dim)
    except TypeError as error:
        raise UsageError(f"{name}: dim={dim!r} is not accepted; it takes 1 or more") from error
    require(whole >= 1, f"{name}: dim={dim} is not accepted; it takes 1 or more")
    return point, whole


def _parts(name: str, function: Any, gradient: Any, with_data: bool) -> Parts:
    arguments = _arguments(function, with_data)
    require(1 <= arguments <= 3, f"{name} takes {arguments} arguments, which is not accepted; {FORMS} are")
    require(arguments != 2 or with_data, f"{name} takes (x, data), and no data are given; data= takes a matrix")
    require(arguments != 1 or not with_data, f"{name} takes x alone, and data are given; {FORMS} are accepted")
    if gradient is None:
        return Parts(function, arguments, with_data)
    require(arguments < 3, f"{name} takes (x, gradient, data) and so writes its gradient; another is not accepted")
    known = gradient == DIFFERENCES if isinstance(gradient, str) else callable(gradient)
    require(known, f"{name}: gradient={gradient!r} is not accepted; a function or {DIFFERENCES!r} is")
    if isinstance(gradient, str):
        return Parts(function, arguments, with_data, differences=True)
    slope_arguments = _arguments(gradient, with_data)
    require(
        1 <= slope_arguments <= 3,
        f"{name}: a gradient of {slope_arguments} arguments is not accepted; {SLOPE_FORMS} are",
    )
    return Parts(function, arguments, with_data, gradient, slope_arguments)


def _arguments(function: Any, with_data: bool) -> int:
    """How many arguments a function must be given; with data, one that may be given a second is."""
    try:
        parameters = inspect.signature(function.py_func if is_compiled(function) else function).parameters.values()
    except (TypeError, ValueError):  # some built-in functions do not say
        return 1 + with_data
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in positional)
    may = len(positional) + 2 * any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return max(needed, 2) if with_data and may >= 2 else max(needed, min(may, 1))
