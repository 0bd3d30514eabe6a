"""The table of both directions of KL by dimension, on runs whose errors are known."""

import math

import numpy as np
import pytest

from reports import tables_of_dimension
from reports.records import CELLS
from reports.runs import Entry, Results, Run
from reports.study import TABLES


def entry(target: str, method: str, tags: str, dim: int, *ratios: float, status: str = "converged") -> Entry:
    """A seed for each ratio of sds at the end; NaN where there was no answer."""
    cell = dict.fromkeys(CELLS) | {"status": status, "dim": dim, "method_tags": f"vi {tags}", "reason": "why"}
    runs = [Run(cell, {"sd_ratio_worst": np.array([0.1, ratio])}, np.ones(2, dtype=bool)) for ratio in ratios]
    return Entry(target, method, frozenset(["vi", *tags.split()]), dict(enumerate(runs)))


def results(*entries: Entry) -> Results:
    found: dict[str, dict[str, Entry]] = {}
    for each in entries:
        found.setdefault(each.target, {})[each.method] = each
    return Results(found, [])


def few_and_many() -> Results:
    """A covering fit that is right in two dimensions and has no answer in half of the runs in thirty."""
    return results(
        entry("t[dim=30]", "cover", "forward-kl", 30, math.nan, math.nan, 0.5, status="failed"),
        entry("t[dim=30]", "seek", "reverse-kl fullrank", 30, 0.8, 0.8, 0.8),
        entry("t[dim=2]", "cover", "forward-kl", 2, 1.0, 1.01, 0.99),
        entry("t[dim=2]", "seek", "reverse-kl fullrank", 2, 0.8, 0.7, 0.9),
        entry("t[dim=2]", "narrow", "reverse-kl meanfield", 2, 0.5),
    )


def test_rows_are_ordered_by_dimension_and_show_median_errors() -> None:
    table = tables_of_dimension.section(few_and_many())
    assert table is not None and table.head == ("target", "dim", "cover", "seek", "narrow")
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["t", "2", "0.010", "0.22", "0.69"],
        ["t", "30", " †", "0.22", ""],
    ]
    assert table.numbers[0]["cover"] == pytest.approx(math.log(1.01)) and table.numbers[1]["cover"] == "inf"


def test_it_says_where_the_direction_turns_and_compares_families_of_one_kind() -> None:
    table = tables_of_dimension.section(few_and_many())
    assert table is not None
    assert table.sentences == ["t, `cover`: better sds than reverse KL at d = 2; worse at d = 30."]


def test_without_both_directions_there_is_no_table() -> None:
    assert tables_of_dimension.section(results(entry("t", "seek", "reverse-kl", 2, 0.8))) is None
    assert "mass-covering" in TABLES
