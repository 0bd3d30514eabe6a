"""Where compiled code is kept: a numba cache that notices every edit.

numba stamps a cache entry by the file that holds the function, so an edit in *another* file, whose helper was inlined,
goes unseen (numba issue 1833). The locator below serves only the files of this project and of registered plug-ins, in a
folder keyed by the versions of numba and llvmlite, by the CPU, by the settings that change code, and by a digest of all
our sources and of the plug-in's folder. It never hands over to numba's own locators, which would not notice.
"""

import atexit
import contextlib
import functools
import hashlib
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
from numba.core import caching, config

_HOUSE = pathlib.Path(__file__).resolve().parents[1]
ROOTS = tuple(_HOUSE / name for name in ("targets", "samplers", "variational"))
KEEP_DAYS = 14.0
KEEP_FOLDERS = 16

_plugins: dict[pathlib.Path, str] = {}


def digest(paths: Iterable[pathlib.Path]) -> str:
    """Sixteen hexadecimal digits that change with the name or the content of any of the files."""
    state = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file():  # an editor's lock file may be a link that leads nowhere
            content = path.read_bytes()
            state.update(f"{path}\0{len(content)}\0".encode())
            state.update(content)
    return state.hexdigest()[:16]


def _host() -> str:
    """Eight hexadecimal digits for what decides, beside the sources, which machine code comes out."""
    # numba's own key holds the CPU, but none of its settings (environment variables NUMBA_OPT and so on).
    settings = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "USING_SVML", "DEBUGINFO_DEFAULT")
    parts = [numba.__version__, llvmlite.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    parts += [f"{name}={getattr(config, name, None)}" for name in settings]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:8]


SOURCES = digest(path for root in ROOTS for path in root.rglob("*.py"))
HOST = _host()


def base() -> pathlib.Path:
    """The folder that holds all our caches: below NUMBA_CACHE_DIR where that is set, else the user's cache folder."""
    named = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(named) if named else pathlib.Path("~/.cache").expanduser()).absolute() / "crossover"


def folder(plugin: str = "") -> pathlib.Path:
    """The folder for what these sources, and a plug-in with that digest, compiled on this machine."""
    return base() / HOST / (f"{SOURCES}-{plugin}" if plugin else SOURCES)


def register_plugin(path: pathlib.Path) -> None:
    """Let the kernels of the file `path` be cached, apart for every content of the Python files in its folder.

    To be called before the file is imported: numba asks where to keep a function when it is decorated.
    """
    path = path.resolve()
    _plugins[path] = digest(path.parent.glob("*.py"))


def prune(keep_days: float = KEEP_DAYS, keep_folders: int = KEEP_FOLDERS) -> int:
    """Remove caches that went unused for `keep_days`, or for a day and are not among the `keep_folders` last used.

    The cache of these sources stays, and a process may still write to one used within a day. Returns how many went.
    """
    used = []
    for cache in base().glob("*/*"):
        with contextlib.suppress(OSError):  # somebody else removed it first
            if cache.is_dir() and cache != folder():
                used.append((cache.stat().st_mtime, cache))
    removed = 0
    for rank, (at, cache) in enumerate(sorted(used, reverse=True), start=1):
        days = (time.time() - at) / 86400
        if days > keep_days or (rank >= keep_folders and days > 1):
            shutil.rmtree(cache, ignore_errors=True)
            removed += 1
    return removed


@functools.cache
def _enter(cache: pathlib.Path) -> None:
    """Mark a cache as used now; one that is new makes the old ones go."""
    with contextlib.suppress(OSError):  # what cannot be written is noticed where it is needed
        new = not cache.is_dir()
        cache.mkdir(parents=True, exist_ok=True)
        os.utime(cache)
        if new:
            prune()


@functools.cache
def _private() -> pathlib.Path:
    """A folder that ends with this process, for where the cache cannot be written."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="crossover-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not when a forked child ends
            shutil.rmtree(made, ignore_errors=True)

    atexit.register(remove)
    return made


class Locator(caching.UserProvidedCacheLocator):
    """Answers numba's question where to keep a function, for our own files and plug-ins only."""

    def __init__(self, py_func: Callable[..., Any], py_file: str, home: pathlib.Path) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno
        self._cache_path = str(home / self.get_suitable_cache_subpath(py_file))

    def get_source_stamp(self) -> str:
        return SOURCES  # the folder says the rest

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "Locator | None":
        path = pathlib.Path(py_file).resolve()
        if not (any(root in path.parents for root in ROOTS) or path in _plugins):
            return None
        home = folder(_plugins.get(path, ""))
        _enter(home)
        locator = cls(py_func, py_file, home)
        try:
            locator.ensure_cache_path()
        except OSError:
            locator = cls(py_func, py_file, _private())
            locator.ensure_cache_path()
        return locator


def install() -> None:
    """Put the locator first in numba's list, once."""
    classes: list[Any] = caching.CacheImpl._locator_classes
    if Locator not in classes:
        classes.insert(0, Locator)
