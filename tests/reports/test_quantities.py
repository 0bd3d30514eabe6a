"""Quantities in the report: errors, coverage and crossovers of records whose answers are known."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reports
from reports import quantities, runs, tables_of_quantities
from reports.records import Folder, open_folder
from reports.runs import Results

TARGET, ASKED = "banana", ("LD50", "P(beta > 0)")


@pytest.fixture
def asked(empty: Folder, filled: Callable[..., Folder], tmp_path: Path) -> Folder:
    """Laplace with errors of 0.2 and 0.001, HMC with 6 / sqrt(evaluations) in both; the truth is 3 and the scale 2."""
    filled(empty, [TARGET], ["laplace", "hmc"], seeds=4, k_hat=0.2)
    filled(empty, ["funnel"], ["hmc"], seeds=1)
    folder = open_folder(tmp_path / "asked", create=True)
    for cell, curves, _ in empty.read_all():
        rows: dict[str, list[Any]] = {}
        if cell["target"] == TARGET:
            for checkpoint, work in enumerate(curves["work"]):
                for quantity, floor in zip(ASKED, (0.2, 0.001), strict=True):
                    error = floor if cell["method"] == "laplace" else 6 / math.sqrt(work)
                    said = {
                        "checkpoint": checkpoint,
                        "quantity": quantity,
                        "meaning": "what it is",
                        "truth": 3.0,
                        "truth_error": 0.02,
                        "scale": 2.0,
                        "estimate": 3.0 - 2.0 * error,
                        "error": error,
                        "reference_floor": 0.01,
                        "sampling_floor": 0.03,
                        "interval_mass": 0.8 if quantity == "LD50" else math.nan,
                        "covered": cell["method"] == "hmc" and cell["seed"] > 0,
                    }
                    for name, value in said.items():
                        rows.setdefault(name, []).append(value)
        folder.write(cell, curves, rows)
    return folder


def read(folder: Folder) -> Results:
    return runs.read(folder.cells(), folder.curves(), folder.quantities())


def test_errors_coverage_and_cost_are_tabulated(asked: Folder) -> None:
    section = tables_of_quantities.errors(read(asked))
    assert section is not None
    found = {(row["quantity"], row["method"]): row for row in section.numbers}
    assert len(found) == 4
    fit, sampler = found["LD50", "laplace"], found["LD50", "hmc"]
    assert fit["error"] == pytest.approx(0.2) and fit["absolute"] == pytest.approx(0.4) and fit["interval_mass"] == 0.8
    assert (fit["covered"], fit["of"]) == (0, 4) and (sampler["covered"], sampler["of"]) == (3, 4)
    assert sampler["error"] == pytest.approx(6 / math.sqrt(2e5), rel=1e-3) and sampler["seconds"] > fit["seconds"]
    assert found["P(beta > 0)", "hmc"]["interval_mass"] is None
    assert section.sentences[0] == f"{TARGET}, LD50: what it is. Truth: 3.000 ± 0.020."
    assert {len(row) for row in section.rows} == {len(section.head)}


def test_each_quantity_has_its_own_crossover(asked: Folder) -> None:
    """6 / sqrt(n) = 0.2 at n = 900, before HMC's warm-up of 2000 ends and so is ahead from its first answer on."""
    section = tables_of_quantities.crossovers(read(asked))
    assert section is not None
    easy, hard = section.numbers
    assert (easy["vi"], easy["sampler"]) == ("laplace", "hmc")
    assert easy["low"] <= easy["value"] <= easy["high"] < 0.1
    assert hard["value"] == "inf" and hard["floor"] == pytest.approx(0.001), "0.0134 is its error at the end"


def test_a_wrong_sampler_wins_no_quantity(asked: Folder) -> None:
    results = read(asked)
    for run in results.entries[TARGET]["hmc"].runs.values():
        run.cell["r_hat"] = 1.3
    answer = tables_of_quantities.answer(TARGET, "LD50", results.entries[TARGET])
    assert answer.sampler is None and answer.match is not None and math.isinf(answer.match.found.cost.value)
    section = tables_of_quantities.errors(results)
    assert section is not None and {row["method"] for row in section.numbers} == {"laplace"}


def test_a_run_without_the_quantity_has_nan_for_it(asked: Folder) -> None:
    cell, curves, _ = next(record for record in asked.read_all() if record.cell["method"] == "hmc")
    asked.write(cell | {"cell_id": "old", "seed": 9}, curves)
    results = read(asked)
    old = results.entries[TARGET]["hmc"].runs[9]
    name = quantities.metric("LD50").name
    assert len(old.curves[name]) == len(old.running) and np.isnan(old.curves[name]).all() and not old.quantities
    assert tables_of_quantities.crossovers(results) is not None


def test_the_report_shows_them_and_a_race_without_any_has_none(asked: Folder, results: Folder, tmp_path: Path) -> None:
    page = reports.write(asked, tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'id="quantities"' in page and 'id="quantity-crossovers"' in page and "P(beta &gt; 0)" in page
    page = reports.write(results, tmp_path / "none.html").read_text(encoding="utf-8")
    assert 'id="quantities"' not in page
    assert tables_of_quantities.errors(read(results)) is None
