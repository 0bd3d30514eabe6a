"""The grid: which cells a race consists of, and which of them are already there."""

from collections.abc import Iterable

from harness import registry
from harness.budget import Budget
from harness.cell import Cell
from harness.spec import Spec
from targets.options import UsageError

MOST_SEEDS = 10_000


def cells(targets: Iterable[Spec], methods: Iterable[Spec], seeds: int, budget: Budget) -> list[Cell]:
    """All cells, seed by seed, so that an interrupted race has whole rounds. Every SPEC is made once, to check it.

    Raises:
        UsageError: a SPEC is not accepted, or there are no seeds.
    """
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"seeds={seeds} is not accepted; it takes 1 or more, up to {MOST_SEEDS:,}")
    target_labels = list(dict.fromkeys(registry.target(spec).label for spec in targets))
    method_labels = list(dict.fromkeys(registry.label(registry.method(spec)) for spec in methods))
    return [
        Cell(target, method, seed, budget)
        for seed in range(1, seeds + 1)
        for target in target_labels
        for method in method_labels
    ]
