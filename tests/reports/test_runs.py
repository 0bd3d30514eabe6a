"""Rows of records as runs of entries."""

import pandas as pd

from reports.records import CELLS, CURVES
from reports.runs import read


def rows(*methods: tuple[str, str, str | None]) -> pd.DataFrame:
    """One cell a method: its SPEC, its name, and its tags, None where the process died before it could say them."""
    blank = dict.fromkeys(CELLS)
    given = [
        {"cell_id": spec, "target": "t", "target_name": "t", "method": spec, "method_name": name, "method_tags": tags}
        | {"seed": 1, "status": "failed", "oracle": "oracle" in (tags or ""), "max_gradients": 1, "max_seconds": 1.0}
        for spec, name, tags in methods
    ]
    return pd.DataFrame([blank | row for row in given])


def tags(cells: pd.DataFrame) -> dict[str, set[str]]:
    read_back = read(cells, pd.DataFrame(columns=list(CURVES)))
    return {method: set(entry.tags) for method, entry in read_back.entries["t"].items()}


def test_a_method_has_no_tags_of_its_siblings() -> None:
    """A warm start from the truth is an oracle; the cold sampler beside it is none, and is to be ranked."""
    found = tags(rows(("hmc", "hmc", "mcmc"), ("hmc[warm_start=oracle]", "hmc", "mcmc oracle warm-start")))
    assert found == {"hmc": {"mcmc"}, "hmc[warm_start=oracle]": {"mcmc", "oracle", "warm-start"}}


def test_a_method_that_died_before_it_spoke_has_what_its_siblings_share() -> None:
    found = tags(rows(("hmc", "hmc", "mcmc"), ("hmc[a=1]", "hmc", "mcmc warm-start"), ("hmc[a=2]", "hmc", None)))
    assert found["hmc[a=2]"] == {"mcmc"}
    assert tags(rows(("hmc[a=2]", "hmc", None)))["hmc[a=2]"] == set()
