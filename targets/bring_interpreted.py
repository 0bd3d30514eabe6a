"""A target from a plain Python function of any accepted form, which the interpreter calls."""

from collections.abc import Callable
from typing import Any

import numpy as np

from targets.bring_compiled import RELATIVE_STEP, Parts
from targets.kernel import Matrix, Vector
from targets.options import UsageError, require
from targets.plain import from_python
from targets.target import DENSITY_ALONE, Target


def interpreted_target(
    parts: Parts, name: str, point: Vector, data: Matrix | None, attributes: dict[str, Any]
) -> Target:
    """Check the functions by one call at `point`, and make a target of them.

    Raises:
        UsageError: what they return is not accepted. What they raise comes out as it is, with a note.
    """
    more = () if data is None else (data,)
    try:
        return _made(parts, name, point, more, attributes)
    except UsageError:
        raise
    except Exception as error:
        error.add_note(f"raised by {name} in its first call, at {np.array2string(point, threshold=8)}")
        raise


def _made(parts: Parts, name: str, point: Vector, more: tuple[Any, ...], attributes: dict[str, Any]) -> Target:
    function, dim = parts.function, len(point)
    if parts.arguments == 3:
        both = _writing(function, more or (np.zeros((0, 0)),))
        _check_both(name, both(point.copy()), dim)
        return from_python(both, dim, name=name, **attributes)

    def value(x: Vector) -> Any:
        return function(x, *more) if parts.arguments == 2 else function(x)

    first = value(point.copy())
    if isinstance(first, tuple) and parts.alone:
        _check_both(name, first, dim)
        return from_python(value, dim, name=name, **attributes)
    _check_value(name, first, "a float or (a float, its gradient)" if parts.alone else "a float")
    if parts.differences:
        return from_python(value, dim, _by_differences(value), name=name, **attributes)
    if parts.slope is None:
        tags = frozenset(attributes.pop("tags", ())) | {DENSITY_ALONE}
        return from_python(value, dim, _unknown, name=name, tags=tags, **attributes)
    slope = _slope(parts.slope, parts.slope_arguments, more)
    _check_gradient("the gradient", slope(point.copy()), dim)
    return from_python(value, dim, slope, name=name, **attributes)


def _slope(given: Callable[..., Any], arguments: int, more: tuple[Any, ...]) -> Callable[[Vector], Any]:
    """The gradient as a function of x that returns it."""
    if arguments == 1:
        return given
    if arguments == 2 and more:
        return lambda x: given(x, *more)
    rest = () if arguments == 2 else more or (np.zeros((0, 0)),)

    def written(x: Vector) -> Vector:
        gradient = np.empty_like(x)
        given(x, gradient, *rest)
        return gradient

    return written


def _writing(function: Callable[..., Any], more: tuple[Any, ...]) -> Callable[[Vector], tuple[Any, Vector]]:
    def both(x: Vector) -> tuple[Any, Vector]:
        gradient = np.empty_like(x)
        return function(x, gradient, *more), gradient

    return both


def _unknown(x: Vector) -> Vector:
    return np.full(len(x), np.nan)


def _by_differences(value: Callable[[Vector], Any]) -> Callable[[Vector], Vector]:
    def slope(x: Vector) -> Vector:
        gradient = np.empty_like(x)
        for i, step in enumerate(RELATIVE_STEP * np.maximum(1.0, np.abs(x))):
            above, below = x.copy(), x.copy()
            above[i] += step
            below[i] -= step
            gradient[i] = (value(above) - value(below)) / (2.0 * step)
        return gradient

    return slope


def _check_both(name: str, found: Any, dim: int) -> None:
    require(len(found) == 2, f"{name} is not accepted: it returns {len(found)} values, not a float and its gradient")
    _check_value(name, found[0], "(a float, its gradient)")
    _check_gradient(f"{name}'s gradient", found[1], dim)


def _check_value(name: str, value: Any, wanted: str) -> None:
    kind = "None" if value is None else type(value).__name__
    if np.ndim(value) > 0:
        kind = f"an array of shape {np.shape(value)}"
    try:
        good = np.ndim(value) == 0 and isinstance(float(value), float) and not isinstance(value, (bool, str))
    except (TypeError, ValueError):
        good = False
    require(good, f"{name} is not accepted: it returns {kind}, and is to return {wanted}")


def _check_gradient(what: str, found: Any, dim: int) -> None:
    try:
        shape = np.shape(np.asarray(found, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} is not accepted: it is of type {type(found).__name__}, not an array") from error
    require(shape == (dim,), f"{what} is not accepted: its shape is {shape}, and dim={dim} takes ({dim},)")
