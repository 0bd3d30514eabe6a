"""A finding as text: a table with what it says in words, for pages in HTML and in Markdown, and its numbers."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from reports.records import RecordsError, write_atomically
from reports.wording import sortable

KEPT = "sections"  # the folder, beside the records, of what was measured apart from the race


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


@dataclass(frozen=True)
class Page:
    """What a study that is no race ends in.

    Attributes:
        pictures: SVG, by the names of their files.
        reported: the section of it that the report on its folder shows too, if any.
    """

    sections: list[Section]
    pictures: dict[str, bytes]
    reported: Section | None = None


def _row(cells: Any) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"


def plain(value: float) -> float | str | None:
    """A number for JSON: null where it is unknown, and 'inf' where it lies beyond the budget."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def keep(folder: Path, name: str, section: Section) -> None:
    """Keep a section that the records do not hold, for the report on the folder."""
    (folder / KEPT).mkdir(exist_ok=True)
    write_atomically(folder / KEPT / f"{name}.json", json.dumps(asdict(section), allow_nan=False).encode())


def kept(folder: Path) -> dict[str, Section]:
    """The sections that were kept in a folder, by name.

    Raises:
        RecordsError: one of them is damaged.
    """
    found = {}
    for path in sorted((folder / KEPT).glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
            rows = [[Cell(*cell) for cell in row] for row in content.pop("rows")]
            found[path.stem] = Section(**{**content, "head": tuple(content["head"]), "rows": rows})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordsError(f"{path} is damaged; run the study {path.stem} again") from error
    return found
