"""What the file of a cell holds: its row of `cells`, and its columns of the other tables; written, and read back."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reports.records.columns import CELLS, CURVES, IDENTITY, QUANTITIES, SCHEMA_VERSION, Column
from reports.records.values import RecordsError, decode, encode

_CELL_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+,-]{0,199}")
_NEEDED = ("target", "method", "seed", "status")

Row = dict[str, Any]
Columns = dict[str, list[Any]]


class Record(NamedTuple):
    """All that a file holds: the row of a cell, and its columns of the other tables, complete with nulls."""

    cell: Row
    curves: Columns
    quantities: Columns


def encoded(
    cell: Mapping[str, Any], curves: Mapping[str, Sequence[Any]], quantities: Mapping[str, Sequence[Any]] | None = None
) -> bytes:
    """What `Folder.write` puts into the file of a cell.

    Raises:
        RecordsError: a column is unknown or of the wrong kind, or lengths differ.
    """
    cell_id = cell.get("cell_id")
    if not isinstance(cell_id, str) or not _CELL_ID.fullmatch(cell_id):
        raise RecordsError(f"{cell_id!r} is no cell_id: letters, digits and ._=+,- up to 200")
    row = {"schema_version": SCHEMA_VERSION, **cell}
    _require_known(row, CELLS, "cells")
    record = {
        "cell": {name: encode(CELLS[name], value) for name, value in row.items()},
        "curves": _encoded("curves", CURVES, curves, cell_id),
        "quantities": _encoded("quantities", QUANTITIES, quantities or {}, cell_id),
    }
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode()


def decoded(record: Any, cell_id: str) -> Record:
    """The content of a file, complete with nulls.

    Raises:
        RecordsError: it is of another cell, or of a newer format, or damaged; so may KeyError and the like.
    """
    given, curves = record["cell"], record["curves"]
    if given["cell_id"] != cell_id:
        raise RecordsError(f"it holds cell {given['cell_id']}")
    if given["schema_version"] > SCHEMA_VERSION:
        raise RecordsError(f"its format {given['schema_version']} is newer than {SCHEMA_VERSION}")
    _require_known(given, CELLS, "cells")
    for name in _NEEDED:
        if given[name] is None:
            raise RecordsError(f"it lacks {name}")
    cell = {name: decode(column, given.get(name)) for name, column in CELLS.items()}
    columns = _decoded("curves", CURVES, curves, cell)
    if "checkpoint" not in curves:
        columns["checkpoint"] = list(range(len(columns["checkpoint"])))
    return Record(cell, columns, _decoded("quantities", QUANTITIES, record.get("quantities", {}), cell))


def _require_known(given: Mapping[str, Any], columns: Mapping[str, Any], table: str) -> None:
    for name in given:
        if name not in columns:
            raise RecordsError(f"{table} have no column {name!r}")


def _encoded(
    table: str, columns: Mapping[str, Column], given: Mapping[str, Sequence[Any]], cell_id: str
) -> dict[str, list[Any]]:
    _require_known(given, columns, table)
    lengths = {name: len(values) for name, values in given.items()}
    if len(set(lengths.values())) > 1:
        raise RecordsError(f"the {table} of {cell_id} differ in length: {lengths}")
    return {name: [encode(columns[name], value) for value in values] for name, values in given.items()}


def _decoded(table: str, columns: Mapping[str, Column], given: Mapping[str, list[Any]], cell: Row) -> Columns:
    """All columns of a table, those that an older format lacks as nulls."""
    _require_known(given, columns, table)
    length = max(map(len, given.values()), default=0)
    made = {name: [decode(column, v) for v in given.get(name, [None] * length)] for name, column in columns.items()}
    if any(len(values) != length for values in made.values()):
        raise RecordsError(f"its {table} differ in length")
    return made | {name: [cell[name]] * length for name in IDENTITY}
