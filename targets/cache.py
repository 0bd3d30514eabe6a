"""Where compiled code is kept: a numba cache that notices every edit.

numba stamps a cache entry by the file that holds the function, so an edit in *another* file, whose helper was inlined,
goes unseen (numba issue 1833). The locator below serves only the files of this project and of registered plug-ins,
in a folder keyed by the versions of numba and llvmlite, by the CPU, and by a digest of all our sources.
"""

import hashlib
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterable
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
from numba.core import caching

_HOUSE = pathlib.Path(__file__).resolve().parents[1]
ROOTS = tuple(_HOUSE / name for name in ("targets", "samplers", "variational"))
KEEP_DAYS = 14.0

_plugins: dict[pathlib.Path, str] = {}


def digest(paths: Iterable[pathlib.Path]) -> str:
    """Sixteen hexadecimal digits that change with the name or the content of any of the files."""
    state = hashlib.sha256()
    for path in sorted(paths):
        state.update(str(path).encode())
        state.update(path.read_bytes())
    return state.hexdigest()[:16]


SOURCES = digest(path for root in ROOTS for path in root.rglob("*.py"))
HOST = hashlib.sha256(
    f"{numba.__version__} {llvmlite.__version__} {llvm.get_host_cpu_name()} "
    f"{llvm.get_host_cpu_features().flatten()}".encode()
).hexdigest()[:8]


def base() -> pathlib.Path:
    """The folder that holds all our caches: below NUMBA_CACHE_DIR where that is set, else the user's cache folder."""
    named = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(named) if named else pathlib.Path.home() / ".cache") / "crossover"


def folder() -> pathlib.Path:
    """The folder that holds what this installation compiled on this machine."""
    return base() / HOST / SOURCES


def register_plugin(path: pathlib.Path) -> None:
    """Let the kernels of the file `path` be cached, stamped by every Python file in its folder."""
    path = path.resolve()
    _plugins[path] = digest(path.parent.glob("*.py"))


def prune(keep_days: float = KEEP_DAYS) -> int:
    """Remove the caches of other sources and machines that went unused for `keep_days`; returns how many."""
    removed = 0
    for cache in base().glob("*/*"):
        if cache == folder() or not cache.is_dir():
            continue
        try:
            if time.time() - cache.stat().st_mtime > keep_days * 86400:
                shutil.rmtree(cache, ignore_errors=True)
                removed += 1
        except OSError:  # somebody else removed it first
            continue
    return removed


class Locator(caching.UserProvidedCacheLocator):
    """Answers numba's question where to keep a function, for our own files and plug-ins only."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno
        self._cache_path = os.path.join(folder(), self.get_suitable_cache_subpath(py_file))

    def get_source_stamp(self) -> tuple[str, str | None]:
        return SOURCES, _plugins.get(pathlib.Path(self._py_file).resolve())

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "Locator | None":
        path = pathlib.Path(py_file).resolve()
        if not (any(root in path.parents for root in ROOTS) or path in _plugins):
            return None
        locator = cls(py_func, py_file)
        try:
            locator.ensure_cache_path()
        except OSError:  # numba goes on to its own choices, or compiles without a cache
            return None
        return locator


def install() -> None:
    """Put the locator first in numba's list, once."""
    if Locator not in caching.CacheImpl._locator_classes:
        caching.CacheImpl._locator_classes.insert(0, Locator)
