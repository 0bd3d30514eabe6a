"""The numbers of figures: `compute(figure, seed)` gives what `reports.figures` draws, ready for JSON.

The chapter's figures have numbers; others have names, and are made where they are asked for.
"""

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

NAMED = {
    "amortisation": "harness.amortisation:gaps",
    "vae": "harness.figures_vae:autoencoder",
}


def compute(figure: int | str, seed: int) -> dict[str, Any]:
    """The numbers of one figure: floats, lists and strings.

    Raises:
        UsageError: there is no such figure.
    """
    where: dict[int | str, str] = {**FIGURES, **NAMED}
    if figure not in where:
        known = ", ".join(map(str, where))
        raise UsageError(f"figure {figure} is not accepted; there are {known}")
    module, function = where[figure].split(":")
    numbers: dict[str, Any] = getattr(importlib.import_module(module), function)(seed)
    return numbers
