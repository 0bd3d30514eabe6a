"""The arrows between packages, and what no file of the project may hold."""

import ast
import importlib
import json
import pathlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

HOUSE = pathlib.Path(__file__).resolve().parents[1]

# Who may import whom, beside the standard library and other people's packages.
ARROWS = {
    "targets": set[str](),
    "reports": set[str](),
    "samplers": {"targets"},
    "variational": {"targets"},
    "harness": {"targets", "samplers", "variational", "reports"},
    "benchmarks": {"targets", "samplers", "variational", "harness"},
}
SHIPPED = [name for name in ARROWS if name != "benchmarks"]
REGISTRIES = ("targets", "samplers", "variational", "harness")

# Where code of other people runs (a plug-in, a cell of a race), whatever it raises has to become a message or a record.
CATCH_ALL = {
    "harness/plugins.py",
    "harness/check/bookkeeping.py",
    "harness/check/method.py",
    "harness/check/odd.py",
    "harness/check/target.py",
    "harness/cell.py",
    "harness/work.py",
    "targets/guard.py",
    "targets/plain.py",
}


def sources(package: str) -> list[pathlib.Path]:
    return sorted((HOUSE / package).rglob("*.py"))


def tracked() -> list[pathlib.Path]:
    """The files that the project is made of: those that git knows, or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=HOUSE, capture_output=True, check=True).stdout.decode()
    return [path for name in listed.split("\0") if name and (path := HOUSE / name).is_file()]


def imports(path: pathlib.Path) -> Iterator[str]:
    """Dotted names of everything that a file imports, with what `from x import y` takes as `x.y`."""
    package = path.relative_to(HOUSE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def concrete_targets() -> set[str]:
    from targets.registry import TARGETS

    return {entry.where.split(":")[0] for entry in TARGETS.entries.values()}


def crossing(package: str, path: pathlib.Path) -> set[str]:
    """The imports of a file that go against the arrows."""
    wrong = set()
    for name in imports(path):
        sibling = name.split(".")[0]
        if sibling in ARROWS and sibling != package and sibling not in ARROWS[package]:
            wrong.add(name)
        if sibling == "tests":
            wrong.add(name)
        concrete = any(name == module or name.startswith(f"{module}.") for module in concrete_targets())
        if concrete and package in ("samplers", "variational"):
            wrong.add(name)
    return wrong


@pytest.mark.parametrize("package", ARROWS)
def test_arrows(package: str) -> None:
    assert sources(package)
    wrong = {str(path.relative_to(HOUSE)): names for path in sources(package) if (names := crossing(package, path))}
    assert not wrong


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("targets", "import samplers"),
        ("reports", "from targets import load"),
        ("samplers", "def f():\n    from variational.gaussian import Gaussian"),
        ("variational", "from targets import correlated_gaussian"),
        ("samplers", "import importlib; importlib.import_module('targets.correlated_gaussian')"),
        ("variational", "from targets.correlated_gaussian import dense"),
        ("harness", "import benchmarks"),
        ("targets", "from tests import helpers"),
    ],
)
def test_arrows_would_be_seen_to_cross(
    package: str, line: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "HOUSE", tmp_path)
    path = tmp_path / package / "planted.py"
    path.parent.mkdir()
    path.write_text(line)
    assert crossing(package, path)


@pytest.mark.parametrize("package", SHIPPED)
def test_packages_come_from_this_checkout(package: str) -> None:
    assert importlib.import_module(package).__file__ == str(HOUSE / package / "__init__.py")


def test_the_wheel_holds_the_packages() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())
    assert sorted(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == sorted(SHIPPED)
    assert sorted(project["tool"]["mypy"]["packages"]) == sorted(SHIPPED)


@pytest.mark.parametrize("package", REGISTRIES)
def test_each_kind_has_one_registry(package: str) -> None:
    assert [path.relative_to(HOUSE / package) for path in sources(package) if path.name == "registry.py"] == [
        pathlib.Path("registry.py")
    ]


def test_tests_are_no_package() -> None:
    # tests/targets/__init__.py would shadow the package targets.
    assert not list((HOUSE / "tests").rglob("__init__.py"))


IMPORT_ALL = """
import importlib, json, pkgutil, sys
from numba.core.dispatcher import Dispatcher
compiled = []
Dispatcher.compile = lambda self, signature: compiled.append(self.py_func.__qualname__)
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith(("__main__", "harness.preload")):  # the fork server's, which is there to load code
            importlib.import_module(module.name)
print(json.dumps(compiled))
"""

LIST_ALL = """
import json, sys
import targets, samplers, variational, harness
from targets.registry import TARGETS
from samplers.registry import METHODS as mcmc
from variational.registry import METHODS as vi
targets.names(), mcmc.names(), vi.names()
print(json.dumps(sorted(sys.modules)))
"""


def told(code: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=HOUSE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout)
    return names


def test_imports_compile_nothing() -> None:
    assert told(IMPORT_ALL, *SHIPPED) == []


def test_listing_imports_neither_targets_nor_methods() -> None:
    from samplers.registry import METHODS as MCMC
    from variational.registry import METHODS as VI

    methods = {entry.where.split(":")[0] for catalogue in (MCMC, VI) for entry in catalogue.entries.values()}
    loaded = set(told(LIST_ALL))
    assert {"targets.registry", "samplers.registry", "variational.registry"} <= loaded
    assert not loaded & concrete_targets()
    assert not loaded & methods
    assert not loaded & {"matplotlib", "plotly", "pandas", "pyarrow", "pydantic", "jinja2"}


def swallowed(path: pathlib.Path) -> Iterator[str]:
    """What each `except` of a file names, those apart that clean up and raise the same again."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                yield "" if node.type is None else ast.unparse(node.type)


def test_errors_are_caught_by_name() -> None:
    everything = re.compile(r"\b(Base)?Exception\b")
    for path in (path for path in tracked() if path.suffix == ".py"):
        name = str(path.relative_to(HOUSE))
        caught = list(swallowed(path))
        assert "" not in caught, f"{name}: a bare except"
        assert name in CATCH_ALL or not any(map(everything.search, caught)), f"{name}: catches everything"


def test_fast_math_keeps_nan_meaningful() -> None:
    for path in (path for path in tracked() if path.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "fastmath":
                assert not (isinstance(node.value, ast.Constant) and node.value.value is True), path.name


def test_no_file_names_a_machine_or_an_index_of_packages() -> None:
    # Spelled in pieces, since this file is among those read.
    places = "|".join(("work", "root", "opt", "home", "Users"))
    machine = rf"(?<![\w.~*)>}}/-])/(?:{places})/\w"
    index = "|".join((r"pypi\." + "org", r"python" + r"hosted\.", r"conda\." + "anaconda", r"anaconda\." + "org"))
    named = re.compile(f"{machine}|{index}")
    found = {}
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:  # a picture
            continue
        if seen := named.search(text):
            found[str(path.relative_to(HOUSE))] = seen.group()
    assert not found
