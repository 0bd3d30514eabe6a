"""Options of targets and methods: read from the signature of what makes them, checked before anything is made."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints


class UsageError(ValueError):
    """What the user asked for is not accepted; the message is one line that says what is."""


class UnavailableError(UsageError):
    """What was asked for exists, but this machine lacks what it needs; a race over many skips it with the message."""


def defaults(factory: Callable[..., Any]) -> dict[str, Any]:
    """The keyword options of `factory` with their default values."""
    parameters = inspect.signature(factory).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def resolve(name: str, factory: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of `factory`, those `given` checked and converted to the annotated type.

    Raises:
        UsageError: an option is unknown or of the wrong type.
    """
    accepted = defaults(factory)
    hints = get_type_hints(factory)
    for key in given:
        if key not in accepted:
            known = ", ".join(accepted) or "none"
            raise UsageError(f"{name} has no option {key!r}; accepted: {known}")
    for key in accepted:
        require(key in hints, f"{name}: option {key!r} needs a type annotation in its factory, such as {key}: int = 1")
    return {key: _convert(name, key, given.get(key, value), hints[key]) for key, value in accepted.items()}


def _convert(name: str, key: str, value: Any, hint: Any) -> Any:
    kinds = getattr(hint, "__args__", (hint,))
    if isinstance(value, bool) and bool in kinds:
        return value
    if float in kinds and isinstance(value, int) and int not in kinds and not isinstance(value, bool):
        return float(value)
    if int in kinds and isinstance(value, float) and float not in kinds and value.is_integer():
        return int(value)
    if isinstance(value, tuple(k for k in kinds if isinstance(k, type))) and not isinstance(value, bool):
        return value
    wanted = " or ".join("none" if k is type(None) else getattr(k, "__name__", str(k)) for k in kinds)
    raise UsageError(f"{name}: option {key}={value!r} is not accepted; it takes {wanted}")


def require(condition: bool, message: str) -> None:
    """Raise `UsageError(message)` unless `condition` holds."""
    if not condition:
        raise UsageError(message)


def spec(name: str, options: Mapping[str, Any]) -> str:
    """A SPEC as the command line takes it: NAME, or NAME[OPTION=VALUE,...], which reads back to the same values."""
    inner = ",".join(f"{key}={_text(value)}" for key, value in options.items())
    return f"{name}[{inner}]" if inner else name


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float) and float(short := f"{value:g}") == value:
        return short
    return str(value)
