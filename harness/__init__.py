"""The race: the clock, the ledger of costs, metrics of error, the grid of cells, and the command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.runner import Race, race

__all__ = ["Race", "race"]


def __getattr__(name: str) -> Any:
    """Import the race when it is first asked for: the command line starts without it."""
    if name not in __all__:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("harness.runner"), name)
