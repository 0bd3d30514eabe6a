"""The list that each registry keeps: names, where each is made, and what is said of it without importing it."""

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from targets.options import UsageError, defaults, resolve


@dataclass(frozen=True)
class Entry:
    """Where a factory lives ('module:function'), and what `crossover list` says without importing it."""

    where: str
    summary: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """What a factory was called with: all options, and the names of those that differ from their defaults."""

    factory: Callable[..., Any]
    options: dict[str, Any]
    changed: tuple[str, ...]


@dataclass
class Catalogue:
    """Named factories of one kind ('target' or 'method'); `plugins` holds those from outside the project."""

    kind: str
    entries: dict[str, Entry]
    plugins: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """All names, the project's own first."""
        return [*self.entries, *self.plugins]

    def factory(self, name: str) -> Callable[..., Any]:
        """The function behind a name.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        if name in self.plugins:
            return self.plugins[name]
        if name not in self.entries:
            near = difflib.get_close_matches(name, self.names(), n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(self.names())}"
            raise UsageError(f"no {self.kind} is called {name!r}; {hint}")
        module, function = self.entries[name].where.split(":")
        made: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return made

    def prepare(self, name: str, options: Mapping[str, Any]) -> Made:
        """Look the name up and check the options.

        Raises:
            UsageError: the name or an option is not accepted.
        """
        make = self.factory(name)
        resolved, usual = resolve(name, make, options), defaults(make)
        return Made(make, resolved, tuple(key for key in resolved if resolved[key] != usual[key]))
