"""What a worker process does. Its imports are what the fork server loads once for all of them."""

from dataclasses import dataclass
from typing import Any

from harness import cell, metrics, plugins, registry


@dataclass(frozen=True)
class Compute:
    """Race and judge a cell."""

    cell: cell.Cell
    jobs: int
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class Warmup:
    """Compile what these pairs of SPECs need, so that no two processes compile at once."""

    pairs: tuple[tuple[str, str], ...]
    plugins: tuple[str, ...]


def perform(task: Compute | Warmup) -> tuple[Any, str]:
    """The result of a task and an empty string, or None and the reason why there is none."""
    try:
        for path in task.plugins:
            plugins.load(path)
        if isinstance(task, Compute):
            return cell.compute(task.cell, task.jobs), ""
        return compile_pairs(task.pairs), ""
    except Exception as error:  # the boundary of a cell: reported as its row
        return None, f"{type(error).__name__}: {error}"


def compile_pairs(pairs: tuple[tuple[str, str], ...]) -> int:
    """Compile every pair that fits; returns how many did. A pair that fails to compile fails again in its own cell."""
    done = 0
    for target_spec, method_spec in pairs:
        target, method = registry.target(target_spec), registry.method(method_spec)
        if method.unfit(target) is None:
            try:
                method.compile(target)
                metrics.compile_for(target)
            except Exception:  # noqa: S112  its own cell will say why
                continue
            done += 1
    return done
