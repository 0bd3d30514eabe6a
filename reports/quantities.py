"""Quantities of interest as curves of a run: the error of each becomes a metric, and is raced like any other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reports.records import Metric
from reports.statistics import Array

if TYPE_CHECKING:
    import pandas as pd

PREFIX = "quantity "  # no metric of the records has a name with a blank
ERRORS = ("error", "reference_floor", "sampling_floor")


class Asked(NamedTuple):
    """What one run says of the quantities.

    Attributes:
        curves: under the names of `metric(quantity)`, its error and floors at every checkpoint.
        last: by quantity, its row at the last checkpoint.
    """

    curves: dict[str, Array]
    last: dict[str, dict[str, Any]]


def metric(quantity: str) -> Metric:
    """Its error as a metric: in units in which n independent draws err by 1 / sqrt(n)."""
    return Metric(
        PREFIX + quantity,
        quantity,
        0.0,
        True,
        "|estimate - truth| / scale",
        "standardised error",
        -0.5,
        "The scale is the posterior sd of the functional, or of one draw's influence on a quantile or a ratio.",
    )


def by_cell(table: "pd.DataFrame", checkpoints: Mapping[str, int]) -> dict[str, Asked]:
    """What each cell says, from the table of quantities; `checkpoints` tells how many a cell's curves have."""
    found: dict[str, Asked] = {}
    for (cell_id, quantity), rows in table.groupby(["cell_id", "quantity"], sort=False):
        length = checkpoints.get(str(cell_id), 0)
        if not length:
            continue
        asked = found.setdefault(str(cell_id), Asked({}, {}))
        at = rows["checkpoint"].to_numpy(dtype=np.intp)
        of = metric(str(quantity))
        for column, name in zip(ERRORS, (of.name, of.reference_floor, of.sampling_floor), strict=True):
            values = np.full(length, np.nan)
            values[at] = rows[column].to_numpy(dtype=np.float64)
            asked.curves[name] = values
        asked.last[str(quantity)] = {str(key): value for key, value in rows.iloc[-1].items()}
    return found
