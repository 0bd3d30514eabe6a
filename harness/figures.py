"""The numbers of the chapter's figures, and of others by name, ready for JSON.

`compute(figure, seed)` gives what `reports.figures` draws.
"""

import importlib
from typing import Any

from targets.options import UsageError

FIGURES: dict[int, str] = {
    1: "harness.figures_gaussian:evidence",
    2: "harness.figures_gaussian:mean_field",
    3: "harness.figures_bimodal:asymmetry",
    4: "harness.figures_race:trade_off",
    5: "harness.figures_gaussian:sweeps",
    6: "harness.figures_bimodal:separations",
    7: "harness.figures_lda:topics",
}
NAMED = {
    "gradients": "harness.gradients:study",
    "amortisation": "harness.amortisation:gaps",
    "vae": "harness.figures_vae:autoencoder",
}  # that the chapter has only in words, or lacks
NUMBERS = tuple(FIGURES)


def compute(figure: int | str, seed: int) -> dict[str, Any]:
    """The numbers of one figure, by its number or name: floats, lists and strings.

    Raises:
        UsageError: there is no such figure.
    """
    known: dict[int | str, str] = dict([*FIGURES.items(), *NAMED.items()])
    if figure not in known:
        raise UsageError(f"figure {figure} is not accepted; there are {', '.join(map(str, known))}")
    module, function = known[figure].split(":")
    numbers: dict[str, Any] = getattr(importlib.import_module(module), function)(seed)
    return numbers
