"""Is this target or method right? What `crossover check` asks, and what it answers.

Every finding is exact, or statistical with a false alarm about once in a million at most, whatever the seed.
"""

import pathlib
from collections.abc import Iterator

from harness import plugins, registry
from harness.check.method import check_method
from harness.check.target import check_target
from harness.spec import parse
from targets.check import Finding
from targets.options import UsageError
from targets.registry import TARGETS

__all__ = ["Finding", "check", "check_method", "check_target"]


def check(name: str, seed: int = 1) -> Iterator[tuple[str, list[Finding]]]:
    """Check a target, a method, or all that a plug-in file defines; yields subjects with findings.

    Raises:
        UsageError: the name is neither.
    """
    if name.endswith(".py") or pathlib.Path(name).is_file():
        module = plugins.load(name)
        for target_name in getattr(module, "TARGETS", {}):
            yield f"target {target_name}", check_target(registry.target(target_name), seed)
        for method_name in getattr(module, "METHODS", {}):
            yield f"method {method_name}", check_method(registry.method(method_name), seed)
        return
    spec = parse(name)
    if spec.name in TARGETS.names():
        yield f"target {spec}", check_target(registry.target(spec), seed)
    elif spec.name in registry.names():
        yield f"method {spec}", check_method(registry.method(spec), seed)
    else:
        known = ", ".join([*TARGETS.names(), *registry.names()])
        raise UsageError(f"no target or method is called {spec.name!r}, and there is no such file; known: {known}")
