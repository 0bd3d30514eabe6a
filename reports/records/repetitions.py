"""Repetitions of simulation-based calibration: one file each, and the table of ranks made from them."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reports.records.columns import Column, Kind
from reports.records.folder import Folder, write_atomically
from reports.records.values import RecordsError, decode, encode

FOLDER = "calibration"  # beside the cells
TABLE = "ranks.parquet"
FORMAT = 1

_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)


def _columns(*rows: tuple[str, Kind, str]) -> dict[str, Column]:
    return {name: Column(name, kind, "", meaning) for name, kind, meaning in rows}


REPETITION: dict[str, Column] = _columns(
    ("target", "text", "the target with its options, as a SPEC"),
    ("method", "text", "the method with its options, as a SPEC"),
    ("seed", "int", "of the whole calibration"),
    ("repetition", "int", "1, 2, ...; the same one gives all methods the same data"),
    ("max_gradients", "int", "budget of the fit: gradients + densities + sweeps"),
    ("max_seconds", "float", "cap on the clock, as a guard"),
    ("status", "text", "converged, budget spent, time cap, or failed: then there are no ranks"),
    ("reason", "text", "why it failed, or what made it converge"),
    ("draws", "int", "draws that the prior draw is ranked among"),
    ("ess", "float", "smallest bulk effective sample size of what is ranked; null for draws of a density"),
    ("evaluations", "int", "gradients + densities + sweeps spent"),
    ("seconds", "float", "set-up, warm-up and run; without compilation"),
    ("sources", "text", "what the project's sources were"),
)
RANKS: dict[str, Column] = REPETITION | _columns(
    ("quantity", "text", "what is ranked"),
    (
        "u",
        "float",
        "rank of the prior draw among the posterior draws, a number in (0, 1); null where the fit failed",
    ),
)

Row = dict[str, Any]


def identity(row: Mapping[str, Any], plugins: str = "") -> str:
    """Sixteen hexadecimal digits of everything that a repetition depends on, our own sources apart."""
    names = ("target", "method", "seed", "repetition", "max_gradients", "max_seconds")
    what = [FORMAT, *(row[name] for name in names), plugins]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def path_of(folder: Path, key: str) -> Path:
    """The file of a repetition."""
    return folder / FOLDER / f"{key}.json"


def write(folder: Path, key: str, row: Mapping[str, Any], quantities: list[str], u: list[float] | None) -> None:
    """Keep a finished repetition: its columns, the names of what is ranked, and the ranks, None where it failed.

    Raises:
        RecordsError: a value is not accepted, or the disk refuses.
    """
    content = {
        "format": FORMAT,
        "repetition": {name: encode(column, row.get(name)) for name, column in REPETITION.items()},
        "quantities": list(quantities),
        "u": u,
    }
    path = path_of(folder, key)
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(content, allow_nan=False).encode())
    except OSError as error:
        raise RecordsError(f"{path} cannot be written: {error.strerror or error}") from error


def has(folder: Path, key: str) -> bool:
    """Whether the repetition is there, whole."""
    return _read(path_of(folder, key)) is not None


def read_all(folder: Path) -> Iterator[tuple[Row, list[str], list[float] | None]]:
    """All whole repetitions: columns, names of what is ranked, ranks; by target, method, budget and number."""
    found = [each for path in (folder / FOLDER).glob("[!.]*.json") if (each := _read(path)) is not None]
    order = ("target", "method", "max_gradients", "max_seconds", "seed", "repetition")
    yield from sorted(found, key=lambda each: tuple(each[0][name] for name in order))


def consolidate(folder: Folder) -> None:
    """Write `ranks.parquet`, a row a quantity of a repetition, from the files of repetitions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table: dict[str, list[Any]] = {name: [] for name in RANKS}
    for row, quantities, u in read_all(folder.path):
        for name, value in row.items():
            table[name] += [value] * len(quantities)
        table["quantity"] += quantities
        table["u"] += [None] * len(quantities) if u is None else u
    types = {"int": pa.int64(), "float": pa.float64(), "text": pa.string()}
    schema = pa.schema([(name, types[column.kind]) for name, column in RANKS.items()])
    buffer = io.BytesIO()
    pq.write_table(pa.table(table, schema=schema), buffer, compression="zstd")
    write_atomically(folder.path / TABLE, buffer.getvalue())


def _read(path: Path) -> tuple[Row, list[str], list[float] | None] | None:
    """None where there is no file, or a damaged one: it is then computed again."""
    try:
        content = json.loads(path.read_bytes())
        row = {name: decode(column, content["repetition"].get(name)) for name, column in REPETITION.items()}
        quantities, u = [str(name) for name in content["quantities"]], content["u"]
        if content["format"] != FORMAT or (u is not None and len(u) != len(quantities)):
            return None
        return row, quantities, None if u is None else [float(value) for value in u]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror or error}") from error
    except _MALFORMED:
        return None
