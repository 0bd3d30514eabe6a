"""Where numbers come from: the machine, the versions, the commit."""

import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from typing import Any

PACKAGES = ("crossover", "numpy", "scipy", "numba", "llvmlite", "arviz-stats")
HOUSE = pathlib.Path(__file__).resolve().parents[1]


@functools.cache
def columns() -> dict[str, Any]:
    """The columns of `cells` that say where a row comes from."""
    commit, dirty = _commit()
    return {
        "host": platform.node(),
        "machine": machine(),
        "threads": 1,
        "versions": json.dumps(versions()),
        "commit": commit,
        "dirty": dirty,
    }


@functools.cache
def machine() -> str:
    """Processor, cores and system in one line."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of what the numbers depend on, and the digest of the compiled sources."""
    from targets.cache import SOURCES

    found = {"python": platform.python_version(), "sources": SOURCES}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor() -> str:
    cpu = pathlib.Path("/proc/cpuinfo")
    if cpu.exists():
        for line in cpu.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _commit() -> tuple[str, bool]:
    """The commit of the checkout that runs and whether it differs from it; empty where there is no git."""
    if not (HOUSE / ".git").exists():
        return "", False
    try:
        head = _git("rev-parse", "HEAD")
        return head, bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return "", False


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=HOUSE, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
