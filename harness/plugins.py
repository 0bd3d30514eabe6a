"""Targets and methods from files outside the project.

A plug-in is one Python file that defines `TARGETS` or `METHODS` (or both): a dictionary from names to factories. It may
import other files of its folder.
"""

import importlib.util
import pathlib
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from targets import cache
from targets.options import UsageError

T = TypeVar("T")

MODULE_PREFIX = "crossover_plugin_"

NAME = re.compile(r"[\w.+-]+")

_loaded: dict[pathlib.Path, ModuleType] = {}
_digests: dict[pathlib.Path, str] = {}  # of what was loaded, whatever is edited since


def load(path: str | pathlib.Path) -> ModuleType:
    """Run the file and add what it defines to the registries; a second call for the same file does nothing.

    Raises:
        UsageError: the file is missing, does not run, defines nothing, or takes a name that is taken.
    """
    from harness import registry
    from targets.registry import TARGETS

    file = pathlib.Path(path).resolve()
    if file in _loaded:
        return _loaded[file]
    if not file.is_file():
        raise UsageError(f"there is no plug-in file {path}")
    cache.register_plugin(file)
    digest = cache.digest(file.parent.glob("*.py"))
    name = MODULE_PREFIX + file.stem
    if name in sys.modules:
        raise UsageError(f"two plug-in files are called {file.stem!r}; give one another name")
    module = _execute(name, file)
    found = False
    for attribute, catalogue in (("TARGETS", TARGETS), ("METHODS", registry.PLUGIN_METHODS)):
        factories = getattr(module, attribute, {})
        if not isinstance(factories, dict) or not all(callable(f) for f in factories.values()):
            raise UsageError(f"plug-in {file.name}: {attribute} must be a dictionary from names to functions")
        for word in factories:
            if not isinstance(word, str) or not NAME.fullmatch(word):
                raise UsageError(f"plug-in {file.name}: the name {word!r} must be made of letters, digits and _.+-")
        taken = set(factories) & set(TARGETS.names() if attribute == "TARGETS" else registry.names())
        if taken:
            raise UsageError(f"plug-in {file.name}: the name {min(taken)!r} is taken; choose another")
        catalogue.plugins.update(factories)
        found = found or bool(factories)
    if not found:
        raise UsageError(
            f"plug-in {file.name} defines neither TARGETS nor METHODS, a dictionary from names to functions"
        )
    _loaded[file], _digests[file] = module, digest
    return module


def loaded() -> list[str]:
    """Paths of the files loaded so far, as another process loads them again."""
    return [str(path) for path in _loaded]


def file_of(name: str) -> pathlib.Path | None:
    """The plug-in that defines the target of this name, if one does."""
    return next((path for path, module in _loaded.items() if name in getattr(module, "TARGETS", {})), None)


def digest(spec: str) -> str:
    """What stands for the sources of the plug-ins that define what a SPEC names; empty for the project's own."""
    words = set(NAME.findall(spec))
    return " ".join(
        _digests[path]
        for path, module in _loaded.items()
        if not words.isdisjoint([*getattr(module, "TARGETS", {}), *getattr(module, "METHODS", {})])
    )


def _execute(name: str, file: pathlib.Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # last, so that it shadows nothing
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # whatever the author's file raises is the author's to read, in one line
        del sys.modules[name]
        raise UsageError(f"plug-in {file.name}{_line_of(error, file)}: {in_one_line(error)}") from error
    return module


def _line_of(error: BaseException, file: pathlib.Path) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}" if error.lineno else ""
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""


def guarded(what: str, call: Callable[[], T]) -> T:
    """The result of `call`, which may run a plug-in's code.

    Raises:
        UsageError: the call raised something; the message says what, in one line.
    """
    try:
        return call()
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # whatever an author's function raises is the author's to read
        raise UsageError(f"{what}: {in_one_line(error)}") from error


def in_one_line(error: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    message = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return f"{type(error).__name__}: {message}"
