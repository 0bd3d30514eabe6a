"""Compiled code is found again by later processes, and never after anything that it was made from has changed."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Any

import pytest
from numba.core import caching

from targets import cache
from tests.tiers import seldom

HOUSE = pathlib.Path(cache.__file__).resolve().parents[1]

HELPER = """
from targets.kernel import helper

@helper
def scale(x):
    return {factor} * x
"""

KERNEL = """
from targets.kernel import KERNEL, VECTOR, DATA, kernel, loop
from numba import float64
from {helpers} import scale

@kernel
def parabola(x, gradient, data):
    gradient[0] = scale(x[0])
    return 0.5 * scale(x[0]) * x[0]

@loop(float64(KERNEL, VECTOR, VECTOR, DATA))
def twice(kernel, x, gradient, data):
    return kernel(x, gradient, data) + scale(kernel(x, gradient, data))
"""

# Runs in another process: evaluates the kernel and the loop, and says what numba found and where it keeps it.
USE = """
import json, pathlib, sys
sys.path.insert(0, {tree!r})
from targets import cache
from tests.tiers import seldom
if {plugin!r}:
    cache.register_plugin(pathlib.Path({plugin!r}))
    sys.path.insert(0, str(pathlib.Path({plugin!r}).parent))
from targets.kernel import compiled, data_matrix, empty, zeros
import numba
{before}
from {module} import parabola, twice
x, gradient, data = zeros(1), empty(1), data_matrix([[0.0]])
x[0] = 2.0
parabola = compiled(parabola)
value = parabola(x, gradient, data)
both = twice(parabola, x, gradient, data)
stats = [parabola.stats, twice.compiled.stats]
print(json.dumps({{
    "value": value, "both": both, "folder": stats[0].cache_path,
    "hits": sum(sum(s.cache_hits.values()) for s in stats), "misses": sum(sum(s.cache_misses.values()) for s in stats),
}}))
"""


class Tree:
    """A copy of what the cache needs of the project, with one kernel whose helper lies in another file."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder / "tree"
        self.caches = folder / "caches"
        shutil.copytree(HOUSE / "targets", self.folder / "targets", ignore=shutil.ignore_patterns("__pycache__"))
        self.write(3.0)
        (self.folder / "targets" / "parabola.py").write_text(KERNEL.format(helpers="targets.scaling"))

    def write(self, factor: float) -> None:
        (self.folder / "targets" / "scaling.py").write_text(HELPER.format(factor=factor))

    def command(self, module: str, plugin: str, before: str) -> list[str]:
        code = USE.format(tree=str(self.folder), plugin=plugin, module=module, before=before)
        return [sys.executable, "-W", "error", "-c", code]

    def environment(self, **variables: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "PYTHON"))}
        return {**kept, "NUMBA_CACHE_DIR": str(self.caches), "PYTHONDONTWRITEBYTECODE": "1", **variables}

    def use(
        self, module: str = "targets.parabola", plugin: str = "", before: str = "", **variables: str
    ) -> dict[str, Any]:
        done = subprocess.run(
            self.command(module, plugin, before),
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> Tree:
    return Tree(tmp_path)


def test_numba_still_has_what_the_locator_stands_on() -> None:
    base = caching.UserProvidedCacheLocator
    for name in ("get_suitable_cache_subpath", "ensure_cache_path", "get_cache_path", "get_disambiguator"):
        assert callable(getattr(base, name)), name
    classes: list[Any] = caching.CacheImpl._locator_classes
    assert classes[0] is cache.Locator
    before = classes[:]
    cache.install()
    assert caching.CacheImpl._locator_classes == before


def test_only_our_files_are_served() -> None:
    def outside() -> None: ...

    assert cache.Locator.from_function(outside, __file__) is None


def test_second_process_compiles_nothing(tree: Tree) -> None:
    first, second = tree.use(), tree.use()
    assert (first["value"], first["both"]) == (6.0, 24.0)
    assert (first["hits"], first["misses"]) == (0, 2)
    assert (second["hits"], second["misses"]) == (2, 0)
    assert (second["value"], second["both"]) == (6.0, 24.0)


def test_edit_of_a_helper_in_another_file_is_noticed(tree: Tree) -> None:
    before = tree.use()
    tree.write(5.0)
    after = tree.use()
    assert (after["value"], after["both"]) == (10.0, 60.0)
    assert after["misses"] == 2
    assert after["folder"] != before["folder"]
    tree.write(3.0)  # and back again: the first cache is still there
    assert tree.use()["hits"] == 2


def test_edit_that_keeps_size_and_time_is_noticed(tree: Tree) -> None:
    tree.use()
    file = tree.folder / "targets" / "scaling.py"
    at = file.stat()
    tree.write(7.0)
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert file.stat().st_size == at.st_size
    assert tree.use()["value"] == 14.0


@pytest.mark.long
def test_cache_folder_is_where_the_variable_says(tree: Tree, tmp_path: pathlib.Path) -> None:
    assert tree.use()["folder"].startswith(str(tree.caches / "crossover"))
    elsewhere = tmp_path / "elsewhere"
    assert tree.use(NUMBA_CACHE_DIR=str(elsewhere))["folder"].startswith(str(elsewhere / "crossover"))
    home = tree.use(NUMBA_CACHE_DIR="", XDG_CACHE_HOME="", HOME=str(tmp_path / "home"))
    assert home["folder"].startswith(str(tmp_path / "home" / ".cache" / "crossover"))


@pytest.mark.long
def test_change_of_another_numba_variable_undoes_nothing(tree: Tree) -> None:
    # numba reads all its settings again when any NUMBA_* variable has changed, which undoes whatever was assigned.
    change = "import os; os.environ['NUMBA_NUM_THREADS'] = '1'; numba.njit(lambda: 1.0)()"
    assert tree.use(before=change)["folder"] == tree.use()["folder"]


def test_settings_that_change_code_are_in_the_key(tree: Tree) -> None:
    assert tree.use()["folder"] != tree.use(NUMBA_SLP_VECTORIZE="1")["folder"]


@pytest.mark.parametrize("changed", seldom(["kernel", "helper"], {"helper"}))
def test_plugin_is_cached_and_stamped_by_its_folder(tree: Tree, tmp_path: pathlib.Path, changed: str) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / ".#unsaved.py").symlink_to(plugins / "nowhere")  # as editors leave them
    kernel, helper = plugins / "mine.py", plugins / "mine_scaling.py"
    kernel.write_text(KERNEL.format(helpers="mine_scaling"))
    helper.write_text(HELPER.format(factor=3.0))
    first, second = tree.use("mine", str(kernel)), tree.use("mine", str(kernel))
    assert (first["value"], first["misses"]) == (6.0, 2)
    assert second["hits"] == 2
    if changed == "helper":
        helper.write_text(HELPER.format(factor=5.0))
    else:
        kernel.write_text(kernel.read_text().replace("0.5 *", "(5 / 6) *"))
    third = tree.use("mine", str(kernel))
    assert third["value"] == pytest.approx(10.0)
    assert third["misses"] == 2


def test_cache_that_cannot_be_written_costs_time_only(tree: Tree, tmp_path: pathlib.Path) -> None:
    obstacle = tmp_path / "obstacle"
    obstacle.write_text("a file where a folder should be, which stops the superuser as well")
    told = tree.use(NUMBA_CACHE_DIR=str(obstacle), TMPDIR=str(tmp_path))
    assert (told["value"], told["misses"]) == (6.0, 2)
    assert not pathlib.Path(told["folder"]).exists()  # it ended with the process
    assert not list(tree.folder.rglob("*.nbi"))  # and numba's own locators, which miss edits, were not asked


def test_processes_that_start_together_agree(tree: Tree) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        told = list(pool.map(lambda _: tree.use(), range(4)))
    assert {(each["value"], each["both"]) for each in told} == {(6.0, 24.0)}
    assert tree.use()["hits"] == 2


def test_data_lost_from_the_cache_are_compiled_again(tree: Tree) -> None:
    folder = pathlib.Path(tree.use()["folder"])
    for file in folder.glob("*.nbc"):
        file.unlink()
    assert tree.use()["misses"] == 2
    assert tree.use()["hits"] == 2


def _folders(base: pathlib.Path, days: list[float]) -> list[pathlib.Path]:
    made = []
    for number, age in enumerate(days):
        made.append(base / "crossover" / "otherhost" / f"{number:016x}")
        made[-1].mkdir(parents=True)
        (made[-1] / "code.nbc").write_bytes(b"x")
        os.utime(made[-1], (time.time() - age * 86400,) * 2)
    return made


def test_prune_removes_what_went_unused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    made = _folders(tmp_path, [0.0, 13.0, 15.0, 100.0])
    assert cache.prune() == 2
    assert [folder.exists() for folder in made] == [True, True, False, False]


def test_prune_keeps_the_last_used(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    made = _folders(tmp_path, [0.1, 0.2, 2.0, 3.0, 4.0])
    cache.folder().mkdir(parents=True)
    os.utime(cache.folder(), (0, 0))
    assert cache.prune(keep_folders=4) == 2
    assert [folder.exists() for folder in made] == [True, True, True, False, False]
    assert cache.folder().exists()


@pytest.mark.long
def test_new_sources_make_old_caches_go(tree: Tree) -> None:
    old = _folders(tree.caches, [20.0])[0]
    tree.use()
    assert not old.exists()


def test_use_marks_a_cache_as_used(tree: Tree) -> None:
    folder = pathlib.Path(tree.use()["folder"]).parent
    os.utime(folder, (0, 0))
    tree.use()
    assert time.time() - folder.stat().st_mtime < 3600
