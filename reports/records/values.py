"""Values of a column: checked, written to strict JSON, and read back to the bit."""

import json
import math
from collections.abc import Iterable
from typing import Any

from reports.records.columns import Column


class RecordsError(ValueError):
    """Records cannot be read or written; the message is one line."""


def encode(column: Column, value: Any) -> Any:
    """`value` as JSON holds it. NaN and infinities are the strings 'nan', 'inf' and '-inf'; None stays null.

    Raises:
        RecordsError: the value is not of the column's kind.
    """
    if value is None:
        return None
    try:
        return _ENCODERS[column.kind](value)
    except (TypeError, ValueError, OverflowError):
        raise RecordsError(f"column {column.name!r} takes {column.kind}, not {value!r:.80}") from None


def decode(column: Column, value: Any) -> Any:
    """A value as it was given to `encode`; 'json' is decoded too.

    Raises:
        RecordsError: the value is not of the column's kind.
    """
    if column.kind == "float" and value is not None:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise RecordsError(f"column {column.name!r} takes float, not {value!r:.80}") from None
    return encode(column, value)


def as_text(value: Any) -> str | None:
    """A 'json' value as the text that tables hold."""
    return None if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _float(value: Any) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else repr(number)


def _int(value: Any) -> int | None:
    if isinstance(value, str):
        raise TypeError
    if isinstance(value, float) and math.isnan(value):
        return None
    whole = int(value)
    if whole != value or not -(2**63) <= whole < 2**63:  # the tables hold 64 bits
        raise ValueError
    return whole


def _bool(value: Any) -> bool:
    if value not in (True, False):
        raise ValueError
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _words(value: str | Iterable[str]) -> str:
    words = value.split() if isinstance(value, str) else [_text(word) for word in value]
    return " ".join(sorted(set(words)))


def _json(value: Any) -> Any:
    return _finite(json.loads(value) if isinstance(value, str) else value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(key): _finite(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError


_ENCODERS = {"int": _int, "float": _float, "bool": _bool, "text": _text, "words": _words, "json": _json}
