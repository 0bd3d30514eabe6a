"""A finding as text: a table with what it says in words, for pages in HTML and in Markdown, and its numbers."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reports.wording import sortable


class Cell(NamedTuple):
    """What stands in a table, and what its column sorts by."""

    text: str
    sort: str = ""

    @classmethod
    def of(cls, value: float, text: str) -> "Cell":
        """A number as `text`; nothing where it is unknown."""
        if math.isnan(value):
            return cls("")
        return cls(text, sortable(value))


@dataclass(frozen=True)
class Section:
    """A table with its head, what it says in sentences, and how to read it.

    Attributes:
        numbers: the rows as values that JSON knows.
        labels: how many columns on the left hold words rather than numbers.
    """

    title: str
    head: tuple[str, ...]
    rows: list[list[Cell]]
    sentences: list[str] = field(default_factory=list)
    note: str = ""
    numbers: list[dict[str, Any]] = field(default_factory=list)
    labels: int = 2

    def markdown(self) -> str:
        """The section as a chapter of a page in Markdown."""
        lines = [f"## {self.title}", "", *(f"- {line}" for line in self.sentences)]
        lines += ["", _row(self.head), _row(["---"] * len(self.head))]
        lines += [_row([cell.text for cell in row]) for row in self.rows]
        return "\n".join([*lines, "", self.note, ""])


def _row(cells: Any) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"


def plain(value: float) -> float | str | None:
    """A number for JSON: null where it is unknown, and 'inf' where it lies beyond the budget."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)
