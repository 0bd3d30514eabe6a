"""A folder of results: one file a finished cell, each written whole or not at all, and the tables made from them."""

import contextlib
import datetime
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.records.columns import SCHEMA_VERSION
from reports.records.contents import Columns, Record, Row, decoded, encoded
from reports.records.values import RecordsError

if TYPE_CHECKING:
    import pandas as pd

MARKER = "crossover.json"
_FORMAT = "crossover results"
_ABANDONED_SECONDS = 3600.0
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)  # JSON of other shapes


def open_folder(path: str | os.PathLike[str], create: bool = False) -> "Folder":
    """The folder of results at `path`, made where it is missing or empty and `create` says so.

    Opening with `create` also checks that the folder can be written, and removes what a killed writer left half done.

    Raises:
        RecordsError: there are no results there, it is somebody else's folder, it cannot be written, or its format is
            newer than this version.
    """
    folder = Path(path)
    marker = folder / MARKER
    try:
        if create and not marker.exists():
            _found(folder)
        if not marker.is_file():
            raise RecordsError(f"{folder} holds no results: there is no {MARKER} in it; `crossover run` makes one")
        created, version = _check_marker(marker)
        opened = Folder(folder, created)
        if create:
            if version < SCHEMA_VERSION:  # it is about to hold cells that older versions cannot read
                _write_marker(folder, created)
            opened.cells_path.mkdir(exist_ok=True)
            write_atomically(folder / ".writable", b"")
            (folder / ".writable").unlink(missing_ok=True)  # two races may look at once
            opened.clean()
    except OSError as error:
        verb = "written" if create else "read"
        raise RecordsError(f"{folder} cannot be {verb}: {error.strerror or error}") from error
    return opened


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that `path` holds all of it or what it held before, even after a power cut."""
    if path.exists() and not path.is_file():  # a device or a pipe is written into, never replaced
        path.write_bytes(content)
        return
    temporary = path.with_name(f".{path.name}~{os.uname().nodename}~{os.getpid()}~{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


class Folder:
    """Results on disk. Made by `open_folder`.

    Attributes:
        path: the folder.
        created: when it was made, ISO 8601.
        damaged: one line for every damaged file met so far; such a cell counts as absent.
    """

    def __init__(self, path: Path, created: str) -> None:
        self.path = path
        self.created = created
        self.damaged: list[str] = []

    @property
    def cells_path(self) -> Path:
        """Where the files of cells are."""
        return self.path / "cells"

    def has(self, cell_id: str) -> bool:
        """Whether the cell is there, whole."""
        return self.read_cell(cell_id) is not None

    def cell_ids(self) -> list[str]:
        """Names of the cells that have a file, sorted."""
        return sorted(path.name.removesuffix(".json") for path in self._files())

    def write(
        self,
        cell: Mapping[str, Any],
        curves: Mapping[str, Sequence[Any]],
        quantities: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Write one finished cell: its columns, and its curves and quantities as equally long lists by column.

        Columns left out become nulls; identity columns, and the `checkpoint` of curves, are filled in.

        Raises:
            RecordsError: a column is unknown or of the wrong kind, lengths differ, or the disk refuses.
        """
        content = encoded(cell, curves, quantities)
        path = self._file(cell["cell_id"])
        try:
            write_atomically(path, content)
        except OSError as error:
            raise RecordsError(f"{path} cannot be written: {error.strerror or error}") from error

    def read_cell(self, cell_id: str) -> tuple[Row, Columns] | None:
        """A cell's columns and curves, complete with nulls; None where it is absent or damaged: see `read`."""
        record = self.read(cell_id)
        return None if record is None else record[:2]

    def read(self, cell_id: str) -> Record | None:
        """All that is known of a cell; None where it is absent or damaged.

        A damaged file is moved aside, never deleted, and named in `damaged`.
        """
        path = self._file(cell_id)
        try:
            record = json.loads(path.read_bytes())
            return decoded(record, cell_id)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RecordsError(f"{path} cannot be read: {error.strerror or error}") from error
        except _MALFORMED as error:
            self._set_aside(path, str(error) or type(error).__name__)
            return None

    def read_all(self) -> Iterator[Record]:
        """All whole cells, ordered by target, method and seed."""
        found = [record for cell_id in self.cell_ids() if (record := self.read(cell_id)) is not None]
        yield from sorted(found, key=lambda both: tuple((both[0][name] is None, both[0][name]) for name in _ORDER))

    def digest(self) -> str:
        """Changes whenever a cell's file does. Made from names, sizes and times, without reading them."""
        state = hashlib.sha256()
        for path in sorted(self._files()):
            with contextlib.suppress(FileNotFoundError):  # another process set it aside as damaged
                status = path.stat()
                state.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
        return state.hexdigest()

    def consolidate(self) -> None:
        """Write `cells.parquet`, `curves.parquet` and `quantities.parquet` from the cells, unless they are up to date.

        Raises:
            RecordsError: the disk refuses.
        """
        from reports.records import tables

        if tables.is_current(self):
            return
        try:
            tables.write(self)
        except OSError as error:
            raise RecordsError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def cells(self) -> "pd.DataFrame":
        """One row a cell, columns as in CELLS, ordered by target, method and seed."""
        from reports.records import tables

        return tables.frame(self, "cells")

    def curves(self) -> "pd.DataFrame":
        """One row a checkpoint, columns as in CURVES, ordered like the cells."""
        from reports.records import tables

        return tables.frame(self, "curves")

    def quantities(self) -> "pd.DataFrame":
        """One row a quantity at a checkpoint, columns as in QUANTITIES, the cells in the same order."""
        from reports.records import tables

        return tables.frame(self, "quantities")

    def clean(self) -> None:
        """Remove half-written files whose writer is gone."""
        for folder in (self.path, self.cells_path):
            for path in folder.glob(".*.tmp"):
                if _abandoned(path):
                    path.unlink(missing_ok=True)

    def _file(self, cell_id: str) -> Path:
        return self.cells_path / f"{cell_id}.json"

    def _files(self) -> list[Path]:
        return [path for path in self.cells_path.glob("*.json") if not path.name.startswith(".")]

    def _set_aside(self, path: Path, why: str) -> None:
        self.damaged.append(f"{path} is damaged ({' '.join(why.split())[:120]}): the cell counts as absent")
        for number in range(1, 1000):
            aside = path.with_name(f"{path.name}.damaged-{number}")
            if not aside.exists():
                with contextlib.suppress(OSError):  # a folder that can only be read keeps it where it is
                    path.rename(aside)
                return


_ORDER = ("target", "method", "seed", "cell_id")


def _found(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(not path.name.endswith(".tmp") for path in folder.iterdir()):
        if (folder / MARKER).exists():  # another race has made it meanwhile
            return
        raise RecordsError(f"{folder} is not empty and holds no results: name a new or an empty folder")
    _write_marker(folder, datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))


def _write_marker(folder: Path, created: str) -> None:
    marker = {"format": _FORMAT, "schema_version": SCHEMA_VERSION, "created": created}
    write_atomically(folder / MARKER, json.dumps(marker, indent=1).encode())


def _check_marker(marker: Path) -> tuple[str, int]:
    """When the folder was made, and the version of its format."""
    try:
        said = json.loads(marker.read_bytes())
        version, created, form = int(said["schema_version"]), str(said["created"]), said["format"]
    except _MALFORMED:
        form = None
    if form != _FORMAT:
        raise RecordsError(f"{marker} was not written by crossover: name a new or an empty folder")
    if version > SCHEMA_VERSION:
        raise RecordsError(
            f"{marker.parent} was written by a newer version (format {version}; this one knows up to {SCHEMA_VERSION})"
        )
    return created, version


def _abandoned(path: Path) -> bool:
    try:
        _, host, process, _ = path.name.rsplit("~", 3)
        if host == os.uname().nodename:
            os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError):
        pass
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    return False
