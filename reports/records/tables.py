"""The tables made from the cells of a folder, as Parquet and as data frames."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from reports.records.columns import CELLS, CURVES, QUANTITIES, Column
from reports.records.folder import Folder, write_atomically
from reports.records.values import as_text

if TYPE_CHECKING:
    import pandas as pd

Which = Literal["cells", "curves", "quantities"]

_COLUMNS: dict[Which, dict[str, Column]] = {"cells": CELLS, "curves": CURVES, "quantities": QUANTITIES}
_TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "words": pa.string(),
    "json": pa.string(),
}
_DIGEST = b"crossover_cells"


def is_current(folder: Folder) -> bool:
    """Whether all tables were made from the cells as they are."""
    return all(_current(folder, which) for which in _COLUMNS)


def write(folder: Folder) -> None:
    """Make all tables from the cells, in one order of rows whatever the order in which the cells finished."""
    digest = folder.digest()
    for which, table in _build(folder).items():
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({_DIGEST: digest.encode()}), buffer, compression="zstd")
        write_atomically(folder.path / f"{which}.parquet", buffer.getvalue())


def frame(folder: Folder, which: Which) -> "pd.DataFrame":
    """One table: from its file where that is up to date, or where only it is left; otherwise from the cells."""
    path = folder.path / f"{which}.parquet"
    if _current(folder, which) or (not folder.cell_ids() and _made_from(path, which)):
        with path.open("rb") as file:
            return _to_pandas(pq.read_table(file))
    return _to_pandas(_build(folder)[which])


def _current(folder: Folder, which: Which) -> bool:
    return _made_from(folder.path / f"{which}.parquet", which) == folder.digest()


def _made_from(path: Path, which: Which) -> str:
    """The digest of the cells that a table was made from; '' where there is no whole table with today's columns."""
    try:
        with path.open("rb") as file:  # a path may hold bytes that are no text
            schema = pq.read_schema(file)
    except (pa.ArrowException, OSError):
        return ""
    return (schema.metadata or {}).get(_DIGEST, b"").decode() if schema.names == list(_COLUMNS[which]) else ""


def _build(folder: Folder) -> dict[Which, pa.Table]:
    made: dict[Which, dict[str, list[Any]]] = {which: {name: [] for name in of} for which, of in _COLUMNS.items()}
    for cell, curves, quantities in folder.read_all():
        for name, column in CELLS.items():
            made["cells"][name].append(as_text(cell[name]) if column.kind == "json" else cell[name])
        for name in CURVES:
            made["curves"][name].extend(curves[name])
        for name in QUANTITIES:
            made["quantities"][name].extend(quantities[name])
    return {which: _table(which, values) for which, values in made.items()}


def _table(which: Which, values: dict[str, list[Any]]) -> pa.Table:
    schema = pa.schema([(name, _TYPES[column.kind]) for name, column in _COLUMNS[which].items()])
    return pa.table(values, schema=schema)


def _to_pandas(table: pa.Table) -> "pd.DataFrame":
    made: pd.DataFrame = table.to_pandas()
    return made
