"""The study of EM, variational EM and VB-EM: what each takes for a point, its bound, its cost, and what it loses."""

from collections.abc import Callable
from typing import Any

from harness.variational_em import factor, mixture
from harness.variational_em.rows import Row
from targets.options import require

REPETITIONS = 100  # of coverage
SWEEPS = 20_000  # of the chains that uncertainty is compared with

# A model's rows, given repetitions and sweeps. A new model is a line here.
MODELS: tuple[Callable[[int, int], list[Row]], ...] = (mixture.rows, factor.rows)


def compute(repetitions: int | None, sweeps: int | None) -> dict[str, Any]:
    """The numbers of the study, ready for JSON."""
    count = REPETITIONS if repetitions is None else repetitions
    length = SWEEPS if sweeps is None else sweeps
    require(count >= 1, f"--seeds {count} is not accepted; it takes 1 or more")
    require(length >= 100, f"--max-gradients {length} is not accepted; it takes 100 or more")
    rows = [row.numbers() for model in MODELS for row in model(count, length)]
    return {"repetitions": count, "sweeps": length, "rows": rows}
