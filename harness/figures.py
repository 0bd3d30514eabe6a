"""The numbers of the chapter's figures: `compute(number, seed)` gives what `reports.figures` draws, ready for JSON."""

import importlib
from typing import Any

from targets.options import UsageError

FIGURES = {
    1: "harness.figures_gaussian:evidence",
    2: "harness.figures_gaussian:mean_field",
    3: "harness.figures_bimodal:asymmetry",
    4: "harness.figures_race:trade_off",
    5: "harness.figures_gaussian:sweeps",
    6: "harness.figures_bimodal:separations",
}
NUMBERS = tuple(FIGURES)


def compute(number: int, seed: int) -> dict[str, Any]:
    """The numbers of one figure: floats, lists and strings.

    Raises:
        UsageError: there is no such figure.
    """
    if number not in FIGURES:
        known = ", ".join(map(str, NUMBERS))
        raise UsageError(f"figure {number} is not accepted; there are {known}")
    module, function = FIGURES[number].split(":")
    numbers: dict[str, Any] = getattr(importlib.import_module(module), function)(seed)
    return numbers
