"""The record format: nothing lost, nothing half written, nothing misread."""

import errno
import io
import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.records import (
    CELLS,
    CURVES,
    METRICS,
    QUANTITIES,
    Folder,
    RecordsError,
    open_folder,
    values,
    write_atomically,
)


def row(cell_id: str = "a", **changes: Any) -> dict[str, Any]:
    return {"cell_id": cell_id, "target": "t", "method": "m", "seed": 1, "status": "converged", **changes}


def temporaries(folder: Folder) -> list[Path]:
    return [path for path in folder.path.rglob("*") if path.name.endswith(".tmp")]


def test_every_metric_has_its_columns() -> None:
    for metric in METRICS.values():
        assert {metric.name, metric.reference_floor, metric.sampling_floor} <= set(CURVES)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=5), st.floats())
@settings(max_examples=200)
def test_floats_come_back_to_the_bit(series: list[float], single: float) -> None:
    def bits(value: float) -> bytes:
        return b"nan" if math.isnan(value) else struct.pack("d", value)

    column = CURVES["mean_error"]
    for value in [*series, single]:
        text = json.dumps(values.encode(column, value), allow_nan=False)
        assert bits(values.decode(column, json.loads(text))) == bits(value)


def test_a_cell_comes_back_and_into_both_tables(empty: Folder) -> None:
    cell = row(tags={"b", "a"}, summary={"mean_z": np.array([1.5, math.nan])}, divergences=3.0, r_hat=math.inf)
    empty.write(cell, {"seconds": np.array([0.1, 0.3]), "mean_error": [math.nan, 0.1 + 0.2], "elbo": [-math.inf, None]})
    found = empty.read_cell("a")
    assert found is not None
    assert set(found[0]) == set(CELLS) and set(found[1]) == set(CURVES)
    assert found[0]["tags"] == "a b" and found[0]["divergences"] == 3 and found[0]["reason"] is None
    assert found[0]["summary"] == {"mean_z": [1.5, None]}
    for consolidated in (False, True):
        if consolidated:
            empty.consolidate()
        cells, curves = empty.cells(), empty.curves()
        assert list(cells.columns) == list(CELLS) and list(curves.columns) == list(CURVES)
        assert cells.loc[0, "r_hat"] == math.inf and json.loads(cells.loc[0, "summary"]) == {"mean_z": [1.5, None]}
        assert list(curves["checkpoint"]) == [0, 1] and list(curves["target"]) == ["t", "t"]
        assert curves.loc[1, "mean_error"] == 0.1 + 0.2 and curves.loc[0, "elbo"] == -math.inf


def test_tables_do_not_depend_on_the_order_of_finishing(tmp_path: Path) -> None:
    cells = [row(f"c{i}", target=f"t{i % 2}", seed=i) for i in range(6)]
    tables = []
    for name, order in (("one", cells), ("two", cells[::-1])):
        folder = open_folder(tmp_path / name, create=True)
        for cell in order:
            folder.write(cell, {"mean_error": [0.1 * cell["seed"], 1 / 3]})
        folder.consolidate()
        tables.append(folder.curves())
    assert tables[0].equals(tables[1])
    assert list(tables[0]["seed"]) == [0, 0, 2, 2, 4, 4, 1, 1, 3, 3, 5, 5]


def test_tables_follow_the_cells(empty: Folder) -> None:
    empty.write(row("a"), {})
    empty.consolidate()
    assert len(empty.cells()) == 1
    empty.write(row("b"), {})
    assert len(empty.cells()) == 2
    empty.consolidate()
    before = (empty.path / "cells.parquet").stat().st_mtime_ns
    empty.consolidate()
    assert (empty.path / "cells.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("cell", "curves", "said"),
    [
        (row(wrong=1), {}, "no column 'wrong'"),
        (row(), {"wrong": []}, "no column 'wrong'"),
        (row(), {"seconds": [1.0], "elbo": []}, "differ in length"),
        (row(seed="one"), {}, "'seed' takes int"),
        (row(seed=1.5), {}, "'seed' takes int"),
        (row(seed=2**63), {}, "'seed' takes int"),
        (row(r_hat="high"), {}, "'r_hat' takes float"),
        (row(summary={1: 2}), {}, "'summary' takes json"),
        (row("../a"), {}, "is no cell_id"),
    ],
)
def test_what_is_not_of_the_format_is_refused(
    empty: Folder, cell: dict[str, Any], curves: dict[str, list[float]], said: str
) -> None:
    with pytest.raises(RecordsError, match=said) as caught:
        empty.write(cell, curves)
    assert "\n" not in str(caught.value)
    assert empty.cell_ids() == [] and temporaries(empty) == []


SPOILED = [
    b'{"cell": {"cell_id": "a"',
    b"",
    b"{}",
    b"[1]",
    b"\xff",
    b"[" * 100_000,
    b'{"cell": {"cell_id": "a", "schema_version": 1}, "curves": {}}',
    b'{"cell": {"cell_id": "a", "schema_version": 1, "target": "t", "method": "m", "seed": 1e999}, "curves": {}}',
]


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_damaged_cell_is_absent_and_kept_aside(empty: Folder, spoiled: bytes) -> None:
    empty.write(row("a"), {"elbo": [1.0]})
    empty.write(row("b"), {"elbo": [1.0]})
    path = empty.cells_path / "a.json"
    path.write_bytes(spoiled)
    assert not empty.has("a") and empty.has("b")
    assert len(empty.damaged) == 1 and "a.json" in empty.damaged[0] and "\n" not in empty.damaged[0]
    assert [p.read_bytes() for p in empty.cells_path.glob("a.json.damaged*")] == [spoiled]
    assert list(empty.cells()["cell_id"]) == ["b"]


def test_a_cell_under_another_name_is_damaged(empty: Folder) -> None:
    empty.write(row("a"), {})
    (empty.cells_path / "a.json").rename(empty.cells_path / "b.json")
    assert not empty.has("b")
    assert "it holds cell a" in empty.damaged[0]


def test_a_full_disk_leaves_nothing_behind(empty: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    empty.write(row("a", reason="before"), {})
    monkeypatch.setattr(os, "fsync", full)
    for change in (
        lambda: empty.write(row("a", reason="after"), {}),
        lambda: empty.write(row("b"), {}),
        empty.consolidate,
    ):
        with pytest.raises(RecordsError, match="No space left"):
            change()
    monkeypatch.undo()
    assert temporaries(empty) == [] and empty.cell_ids() == ["a"]
    found = empty.read_cell("a")
    assert found is not None and found[0]["reason"] == "before"


KILLED = """
import os, signal, sys
from reports.records import open_folder
folder = open_folder(sys.argv[1], create=True)
folder.write({"cell_id": "whole", "target": "t", "method": "m", "seed": 1, "status": "failed"}, {"elbo": [1.0] * 1000})
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
folder.write({"cell_id": "half"}, {"elbo": [1.0] * 1000})
"""


def test_a_kill_in_the_middle_loses_that_cell_alone(tmp_path: Path) -> None:
    path = tmp_path / "r"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -9
    reading = open_folder(path)
    assert len(temporaries(reading)) == 1 and reading.cell_ids() == ["whole"] and reading.has("whole")
    writing = open_folder(path, create=True)
    assert temporaries(writing) == [] and writing.has("whole") and not writing.has("half")


def test_a_writer_that_lives_keeps_its_temporary(empty: Folder) -> None:
    mine = empty.cells_path / f".a.json~{os.uname().nodename}~{os.getpid()}~1.tmp"
    mine.write_bytes(b"half")
    open_folder(empty.path, create=True)
    assert mine.exists()


def test_an_older_folder_is_read_and_what_it_lacks_is_null(empty: Folder) -> None:
    empty.write(row("a", ess_min=9.0), {"elbo": [1.0]})
    path, marker = empty.cells_path / "a.json", empty.path / "crossover.json"
    record = json.loads(path.read_bytes())
    record["cell"]["schema_version"] = 1
    path.write_text(json.dumps(record))
    made = json.loads(marker.read_text())
    marker.write_text(json.dumps(made | {"schema_version": 1}))
    cells = open_folder(empty.path).cells()
    assert cells.loc[0, "ess_min"] == 9.0 and list(cells.columns) == list(CELLS)
    assert cells.loc[0, ["ess_square_min", "e_bfmi", "tree_depth", "round_trips", "diagnostics"]].isna().all()
    assert json.loads(marker.read_text())["schema_version"] == 1, "reading leaves it as it is"
    open_folder(empty.path, create=True)
    assert json.loads(marker.read_text()) == made, "older versions must not meet cells that they cannot read"


def test_folders_that_are_not_results_are_refused_in_one_line(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    newer = tmp_path / "newer"
    open_folder(newer, create=True)
    marker = json.loads((newer / "crossover.json").read_text())
    (newer / "crossover.json").write_text(json.dumps(marker | {"schema_version": 99}))
    other = tmp_path / "other"
    other.mkdir()
    (other / "crossover.json").write_text('{"something": "else"}')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "crossover.json").write_text("[" * 100_000)
    (tmp_path / "endless").mkdir()
    (tmp_path / "endless" / "crossover.json").write_text('{"schema_version": 1e999}')
    (tmp_path / "file").write_text("")
    for path, said in (
        (foreign, "is not empty and holds no results"),
        (newer, "newer version"),
        (other, "was not written by crossover"),
        (tmp_path / "deep", "was not written by crossover"),
        (tmp_path / "endless", "was not written by crossover"),
        (tmp_path / "file" / "r", "cannot be written"),
    ):
        with pytest.raises(RecordsError, match=said) as caught:
            open_folder(path, create=True)
        assert "\n" not in str(caught.value)
    assert [p.name for p in foreign.iterdir()] == ["thesis.txt"]
    with pytest.raises(RecordsError, match="holds no results"):
        open_folder(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_two_races_may_make_a_folder_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Path.iterdir

    def iterdir(self: Path) -> Any:
        monkeypatch.undo()
        open_folder(self, create=True)
        return look(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert open_folder(tmp_path / "r", create=True).cell_ids() == []


def test_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, b"content")
        assert pipe.is_fifo() and os.read(reader, 100) == b"content"
    finally:
        os.close(reader)


def test_damaged_tables_are_made_again(empty: Folder) -> None:
    empty.write(row("a"), {"elbo": [1.0]})
    empty.consolidate()
    whole = (empty.path / "cells.parquet").read_bytes()
    other = io.BytesIO()  # as another version may have written it
    kept = pq.read_table(empty.path / "cells.parquet")
    pq.write_table(kept.rename_columns([f"old_{name}" for name in kept.column_names]), other)
    for spoiled in (
        other.getvalue(),
        b"",
        whole[: len(whole) // 2],
        b"PAR1" + b"\xff" * 100 + bytes([100, 0, 0, 0]) + b"PAR1",
    ):
        (empty.path / "cells.parquet").write_bytes(spoiled)
        assert list(empty.cells()["cell_id"]) == ["a"]
        empty.consolidate()
        assert (empty.path / "cells.parquet").read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_refused(empty: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str = "r", **rest: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RecordsError, match="cannot be written: Permission denied"):
        open_folder(empty.path, create=True)


def test_importing_the_format_needs_nothing_heavy() -> None:
    said = (
        "import sys, reports.records; print([m for m in ('numpy', 'pandas', 'pyarrow', 'jinja2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", said], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


def test_quantities_come_back_and_into_a_table_of_their_own(empty: Folder) -> None:
    asked = {
        "checkpoint": [0, 0, 1],
        "quantity": ["LD50", "P(beta > 0)", "LD50"],
        "error": [0.25, math.inf, math.nan],
        "covered": [None, True, False],
    }
    empty.write(row("a"), {"seconds": [0.1, 0.2]}, asked)
    empty.write(row("b", seed=2), {"seconds": [0.1]})
    record = empty.read("a")
    assert record is not None and set(record.quantities) == set(QUANTITIES)
    assert record.quantities["quantity"] == asked["quantity"] and record.quantities["covered"] == [None, True, False]
    for consolidated in (False, True):
        if consolidated:
            empty.consolidate()
        table = empty.quantities()
        assert list(table.columns) == list(QUANTITIES)
        assert list(table["checkpoint"]) == [0, 0, 1] and set(table["cell_id"]) == {"a"}
        assert table.loc[1, "error"] == math.inf and table["truth"].isna().all()
    (empty.path / "quantities.parquet").unlink()
    empty.consolidate()
    assert (empty.path / "quantities.parquet").is_file()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"wrong": []}, "quantities have no column 'wrong'"),
        ({"quantity": ["a"], "error": []}, "the quantities of a differ in length"),
        ({"quantity": [1]}, "'quantity' takes text"),
    ],
)
def test_quantities_of_another_format_are_refused(empty: Folder, asked: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(RecordsError, match=said):
        empty.write(row(), {}, asked)
    assert empty.cell_ids() == []


def test_a_folder_from_before_quantities_has_none(empty: Folder) -> None:
    empty.write(row("a", schema_version=2), {"elbo": [1.0]})
    path = empty.cells_path / "a.json"
    record = json.loads(path.read_bytes())
    del record["quantities"]
    path.write_text(json.dumps(record))
    (empty.path / "crossover.json").write_text(
        json.dumps(json.loads((empty.path / "crossover.json").read_text()) | {"schema_version": 2})
    )
    old = open_folder(empty.path)
    assert len(old.quantities()) == 0 and len(old.curves()) == 1 and not old.damaged
