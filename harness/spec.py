"""SPECs: a name or a glob with options, as the command line takes them: `hmc[warm_start=laplace,take=mean]`."""

from dataclasses import dataclass, field
from typing import Any

from targets.options import UsageError, spec


@dataclass(frozen=True)
class Spec:
    """A name with options whose values are plain Python values; a value may itself be a SPEC, kept as its text."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return spec(self.name, self.options)


def parse(source: str) -> Spec:
    """Read a SPEC.

    Raises:
        UsageError: the text is not of the form NAME or NAME[OPTION=VALUE,...].
    """
    source = source.strip()
    malformed = UsageError(f"{source!r} is not a SPEC; it reads NAME or NAME[OPTION=VALUE,OPTION=VALUE]")
    opening = source.find("[")
    if opening < 0:
        if not source or "]" in source or "=" in source:
            raise malformed
        return Spec(source)
    name, inner = source[:opening].strip(), source[opening + 1 : -1]
    if not name or not source.endswith("]"):
        raise malformed
    if "=" not in inner:  # a character class of a glob, such as advi_[mf]*
        raise malformed
    options: dict[str, Any] = {}
    for part in _split(inner, malformed):
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier() or not value.strip() or key in options:
            raise malformed
        options[key] = _value(value.strip())
    return Spec(name, options)


def is_glob(source: str) -> bool:
    """Whether the text selects by pattern and not by one SPEC."""
    return "*" in source or "?" in source


def _split(inner: str, malformed: UsageError) -> list[str]:
    """Split at the commas that no bracket encloses."""
    parts, depth = [""], 0
    for character in inner:
        depth += (character == "[") - (character == "]")
        if depth < 0:
            raise malformed
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if depth:
        raise malformed
    return parts


def _value(source: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if source.lower() in words:
        return words[source.lower()]
    for kind in (int, float):
        try:
            return kind(source)
        except ValueError:
            continue
    return source
