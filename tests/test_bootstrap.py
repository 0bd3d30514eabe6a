"""The bootstrap: what it makes, what it leaves alone, and what it says when it cannot."""

import ast
import importlib.util
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
from types import ModuleType

import pytest

HOUSE = pathlib.Path(__file__).resolve().parents[1]
SOURCE = HOUSE / "bootstrap.py"
LOCK = HOUSE / "requirements.lock"


def load(folder: pathlib.Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", folder / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with a bootstrap, a lock without packages, and a project."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(SOURCE, folder)
    (folder / "requirements.lock").write_text("")
    (folder / "pyproject.toml").write_text("[project]\nname = 'crossover'\n")
    return folder


class Installer:
    """Stands for venv and pip: writes down what was asked, makes the interpreter, and fails on demand."""

    def __init__(self, bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bootstrap = bootstrap
        self.asked: list[str] = []
        self.failing = ""
        monkeypatch.setattr(bootstrap, "call", self.call)

    def call(self, command: list[str], failed: str) -> None:
        what = "venv" if "venv" in command else "lock" if "--require-hashes" in command else "project"
        self.asked.append(what)
        if what == self.failing:
            raise KeyboardInterrupt
        if what == "venv":
            (self.bootstrap.VENV / "bin").mkdir()
            (self.bootstrap.VENV / "bin" / "python").symlink_to(sys.executable)

    def ensure(self) -> list[str]:
        """What one more bootstrap does."""
        self.asked = []
        self.bootstrap.ensure()
        return self.asked


@pytest.fixture
def installer(checkout: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    return Installer(load(checkout), monkeypatch)


ALL = ["venv", "lock", "project"]


def test_old_pythons_can_read_it_and_are_told() -> None:
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    pretend = f"import sys; sys.version_info = (3, 6, 15); exec(open({str(SOURCE)!r}).read())"
    done = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "bootstrap: Python 3.11 or newer is needed, and this is 3.6\n"


def test_it_needs_nothing_but_the_standard_library() -> None:
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_second_start_installs_nothing(installer: Installer) -> None:
    assert installer.ensure() == ALL
    assert installer.ensure() == []


def test_new_lock_makes_a_new_environment(installer: Installer) -> None:
    installer.ensure()
    leftover = installer.bootstrap.VENV / "leftover"
    leftover.touch()
    installer.bootstrap.LOCK.write_text("# changed\n")
    assert installer.ensure() == ALL
    assert not leftover.exists()


def test_new_project_file_installs_the_project_alone(installer: Installer) -> None:
    installer.ensure()
    installer.bootstrap.PROJECT.write_text("[project]\nname = 'other'\n")
    assert installer.ensure() == ["project"]
    assert installer.ensure() == []


@pytest.mark.parametrize(("failing", "again"), [("venv", ALL), ("lock", ALL), ("project", ["project"])])
def test_what_was_cut_short_is_done_again(installer: Installer, failing: str, again: list[str]) -> None:
    installer.failing = failing
    with pytest.raises(KeyboardInterrupt):
        installer.ensure()
    installer.failing = ""
    assert installer.ensure() == again
    assert installer.ensure() == []


def test_another_python_makes_a_new_environment(installer: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
    installer.ensure()
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    assert installer.ensure() == ALL


def test_python_that_is_gone_makes_a_new_environment(installer: Installer) -> None:
    installer.ensure()
    python = installer.bootstrap.VENV / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert installer.ensure() == ALL


@pytest.mark.parametrize("content", ["", "{", "[]", '{"requirements": 1}'])
def test_damaged_stamp_makes_a_new_environment(installer: Installer, content: str) -> None:
    installer.ensure()
    installer.bootstrap.STAMP.write_text(content)
    assert installer.ensure() == ALL


def test_moved_checkout_makes_a_new_environment(
    installer: Installer, checkout: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer.ensure()
    copy = checkout.parent / "copy"
    shutil.copytree(checkout, copy, symlinks=True)
    assert Installer(load(copy), monkeypatch).ensure() == ALL
    (checkout.parent / "link").symlink_to(checkout)  # while another way to the same place is no move
    assert Installer(load(checkout.parent / "link"), monkeypatch).ensure() == []


def test_folder_that_is_no_environment_is_left_alone(installer: Installer) -> None:
    treasure = installer.bootstrap.VENV / "treasure"
    treasure.parent.mkdir()
    treasure.touch()
    with pytest.raises(installer.bootstrap.BootstrapError, match="in the way"):
        installer.ensure()
    assert treasure.exists()
    treasure.unlink()
    assert installer.ensure() == ALL


def test_python_without_venv_is_told_what_to_install(installer: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else name)
    with pytest.raises(installer.bootstrap.BootstrapError, match="python3-venv"):
        installer.ensure()
    assert not installer.bootstrap.VENV.exists()


CONCURRENT = """
import importlib.util, pathlib, sys, time
spec = importlib.util.spec_from_file_location("bootstrap", sys.argv[1])
bootstrap = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bootstrap)
def call(command, failed):
    print("asked", flush=True)
    time.sleep(0.3)
    (bootstrap.VENV / "bin").mkdir(exist_ok=True)
    (bootstrap.VENV / "bin" / "python").touch()
bootstrap.call = call
bootstrap.ensure()
"""


def test_two_at_once_install_once(checkout: pathlib.Path) -> None:
    command = [sys.executable, "-c", CONCURRENT, str(checkout / "bootstrap.py")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sum(out.count("asked") for out, _ in told) == len(ALL)
    assert any("waiting for another bootstrap" in err for _, err in told)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"], "disk is full"),
        (["WARNING: Retrying ... NewConnectionError('...')\n", "ERROR: No matching distribution found\n"], "network"),
        (["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"], "not the one"),
        (["Collecting a\n", "ERROR: something new\n", "hint\n"], "ERROR: something new"),
        ([], "said nothing"),
    ],
)
def test_causes_are_told_in_one_line(checkout: pathlib.Path, output: list[str], line: str) -> None:
    assert line in load(checkout).cause(output)
    assert "\n" not in load(checkout).cause(output)


def test_without_a_network_one_line_says_so(checkout: pathlib.Path) -> None:
    (checkout / "requirements.lock").write_text("click==8.1.7 --hash=sha256:" + "0" * 64 + "\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1", "PIP_NO_CACHE_DIR": "1"}
    environment |= {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    done = subprocess.run(
        [sys.executable, "bootstrap.py", "--", "true"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is there a network?" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "NewConnectionError" in (checkout / ".venv" / "install.log").read_text()


@pytest.fixture
def ready(checkout: pathlib.Path) -> pathlib.Path:
    """A checkout whose environment is complete, where `crossover` and `pytest` only say what they were asked."""
    bootstrap = load(checkout)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bootstrap.VENV)], check=True)
    (bootstrap.VENV / "installed.json").write_text(json.dumps(bootstrap.wanted()))
    script = bootstrap.VENV / "bin" / "crossover"
    script.write_text('#!/bin/sh\necho "crossover $@"\nexit "${EXIT_CODE:-0}"\n')
    script.chmod(0o755)
    packages = next((bootstrap.VENV / "lib").glob("python*")) / "site-packages"
    (packages / "pytest.py").write_text("import sys, os; print('pytest', *sys.argv[1:], os.getcwd())\n")
    return checkout


def start(folder: pathlib.Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "bootstrap.py"), *arguments],
        cwd=folder.parent,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_commands_run_inside_and_their_exit_code_passes_through(ready: pathlib.Path) -> None:
    probe = "import os, sys; print(sys.prefix, os.environ['VIRTUAL_ENV'], os.environ.get('PYTHONPATH')); sys.exit(7)"
    done = start(ready, "--", "python", "-c", probe, PYTHONPATH="/elsewhere")
    assert done.returncode == 7
    assert done.stdout.split() == [str(ready / ".venv")] * 2 + ["None"]
    assert done.stderr == ""


def test_unknown_command_gets_one_line(ready: pathlib.Path) -> None:
    done = start(ready, "--", "no-such-command")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "bootstrap: there is no command 'no-such-command' in the environment\n"


def test_report_races_and_then_reports(ready: pathlib.Path) -> None:
    done = start(ready, "report", "--preset", "standard")
    results = ready / "results"
    assert done.stdout.splitlines() == [
        f"crossover run {results} --preset quick --preset standard",
        f"crossover report {results}",
    ]
    failed = start(ready, "report", EXIT_CODE="2")
    assert failed.returncode == 2
    assert len(failed.stdout.splitlines()) == 1


def test_test_warms_up_and_passes_options_on(ready: pathlib.Path) -> None:
    done = start(ready, "test", "-k", "kernel")
    warm, tests = done.stdout.splitlines()
    assert warm == "crossover warmup"
    assert re.fullmatch(rf"pytest -n \d+ -k kernel {re.escape(str(ready))}", tests)


@pytest.mark.parametrize("arguments", [[], ["--"], ["repot"]])
def test_anything_else_is_told_what_is_accepted(checkout: pathlib.Path, arguments: list[str]) -> None:
    done = start(checkout, *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "report, test" in done.stderr
    assert not (checkout / ".venv").exists()


def test_help_needs_no_environment(checkout: pathlib.Path) -> None:
    done = start(checkout, "--help")
    assert done.returncode == 0
    assert "bootstrap.py report" in done.stdout
    assert not (checkout / ".venv").exists()


def test_lock_is_hashed_and_names_no_host() -> None:
    requirement = re.compile(r"[a-z0-9][a-z0-9._-]*==[^ ]+( ; [^\\]+)? \\")
    hashed = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    remark = re.compile(r"    # +(via( .*)?|[a-z0-9._-]+|crossover \(pyproject\.toml\))")
    lines = LOCK.read_text().splitlines()
    for line, following in itertools.pairwise(lines):
        assert requirement.fullmatch(line) or hashed.fullmatch(line) or remark.fullmatch(line), line
        assert not requirement.fullmatch(line) or hashed.fullmatch(following), line


def test_lock_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    locked = set(re.findall(r"^([a-z0-9._-]+)==", LOCK.read_text(), flags=re.MULTILINE))
    assert {re.split(r"[<>=;\[ ]", each)[0] for each in asked} <= locked
