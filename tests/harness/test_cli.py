"""The command line as its user meets it: what it prints, what it refuses, and how it goes on after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness import cli
from reports.records import open_folder

SMALL = ["-t", "correlated_gaussian[dim=2]", "-m", "cavi", "-m", "hmc", "--seeds", "2", "--max-gradients", "4000"]


LIST = """
import sys
sys.argv = ["crossover", "list"]
from harness import cli
try:
    cli.main()
except SystemExit as end:
    assert not end.code
heavy = ("targets.banana", "samplers.hmc", "variational.advi", "matplotlib", "plotly")
assert not [name for name in sys.modules if name.startswith(heavy)]
"""


def test_list_names_everything_without_importing_it() -> None:
    done = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, check=True)
    for word in ("correlated_gaussian", "advi_fullrank", "hmc", "mean_error", "standard"):
        assert word in done.stdout


def test_list_as_json(crossover) -> None:
    code, out, _ = crossover("list", "targets", "--json")
    assert code == 0
    assert {"name", "summary", "tags"} <= set(json.loads(out)["targets"][0])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "DIR", "-t", "corelated_gaussian"], "did you mean correlated_gaussian?"),
        (["run", "DIR", "-m", "hcm"], "did you mean hmc?"),
        (["run", "DIR", "-m", "hmc[num_chain=2]"], "no option 'num_chain'"),
        (["run", "DIR", "-m", "hmc[num_chains=two]"], "num_chains='two' is not accepted"),
        (["run", "DIR", "-m", "hmc[num_chains"], "is not a SPEC"),
        (["run", "DIR", "-m", "zzz*"], "no method matches 'zzz*'"),
        (["run", "DIR", "-m", "cavi[warm_start=laplace]"], "cannot be warm-started"),
        (["run", "DIR", "-m", "hmc[warm_start=laplace,take=hope]"], "it takes mean, draws"),
        (["run", "DIR", "-m", "hmc[warm_start=hmc]"], "is not a VI method"),
        (["run", "DIR", "--preset", "slow"], "known: quick, standard, full"),
        (["run", "DIR", "--seeds", "0"], "seeds=0 is not accepted"),
        (["run", "DIR", "--max-gradients", "0"], "max-gradients=0 is not accepted"),
        (["run", "DIR", "--max-gradients", 10**30], "it takes 1 or more, in 64 bits"),
        (["run", "DIR", "--seeds", 10**12], "it takes 1 or more, up to 10,000"),
        (["run", "DIR", "--jobs", 10**6], "is not in the range"),
        (["run", "DIR", "-t", "correlated_gaussian[dim=10000000]"], "Unable to allocate"),
        (["run", "x" * 300, "--dry-run"], "File name too long"),
        (["run", "DIR", "--max-gradients", "many"], "is not a valid integer"),
        (["run", "DIR", "--plugin", "nowhere.py"], "there is no plug-in file nowhere.py"),
        (["run"], "Missing argument 'DIR'"),
        (["fly"], "No such command 'fly'"),
        (["report", "DIR"], "holds no results"),
        (["report", "DIR", "-o", "-"], "takes the name of a file"),
        (["figures", "DIR", "--only", "9"], "there is no figure '9'"),
        (["figures", "DIR", "--seed", "-1"], "is not in the range x>=0"),
        (["check", "nothing"], "no target or method is called 'nothing'"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_two(crossover, tmp_path: Path, arguments, says) -> None:
    code, out, err = crossover(*[tmp_path / "results" if a == "DIR" else a for a in arguments])
    assert code == 2
    assert out == ""
    assert says in err
    assert len(err.strip().splitlines()) == 1 and err.startswith("crossover: ")
    assert not (tmp_path / "results").exists(), "a refused command leaves nothing behind"


def test_foreign_and_unwritable_folders_are_refused(crossover, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    code, _, err = crossover("run", tmp_path, *SMALL)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    code, _, err = crossover("run", "/proc/results", *SMALL)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    code, _, err = crossover("run", tmp_path / "thesis.tex", *SMALL)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_race_is_resumed_not_repeated(crossover, tmp_path: Path) -> None:
    code, _, err = crossover("run", tmp_path / "results", *SMALL)
    assert code == 0 and "4 cells, 0 of them already" in err
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.*")}
    code, _, err = crossover("run", tmp_path / "results", *SMALL)
    assert code == 0 and "4 cells, 4 of them already" in err and "computed" not in err
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.*")}
    code, out, _ = crossover("run", tmp_path / "results", *SMALL, "--dry-run")
    assert code == 0 and out.count("there") == 4


def test_dry_run_computes_and_makes_nothing(crossover, tmp_path: Path) -> None:
    code, out, _ = crossover("run", tmp_path / "results", "-t", "banana", "-m", "cavi", "-m", "hmc", "--dry-run")
    assert code == 0
    assert "skip: " in out and "compute" in out
    assert not (tmp_path / "results").exists()


ERRORS = ["mean_error", "centred_b2", "covariance_error", "sliced_wasserstein", "elbo", "work"]


def test_errors_are_the_same_bits_with_any_number_of_jobs(crossover, tmp_path: Path) -> None:
    frames = []
    for name, jobs in (("a", 1), ("b", 1), ("c", 2)):
        assert crossover("run", tmp_path / name, *SMALL, "--jobs", jobs)[0] == 0
        frames.append(open_folder(tmp_path / name).curves())
    for other in frames[1:]:
        assert frames[0].drop(columns="seconds").equals(other.drop(columns="seconds"))
    assert set(open_folder(tmp_path / "c").cells()["jobs"]) == {2}


def test_a_killed_race_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    command = [sys.executable, "-m", "harness.cli", "run", str(folder), *SMALL, "--seeds", "12"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    cells = folder / "cells"
    while not (cells.exists() and len(list(cells.glob("*.json"))) >= 3):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path.name: path.read_bytes() for path in cells.glob("*.json")}
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"24 cells, {len(kept)} of them already" in done.stderr
    assert all((cells / name).read_bytes() == content for name, content in kept.items())
    assert len(list(cells.glob("*.json"))) == 24
    assert len(open_folder(folder).cells()) == 24


def test_an_interrupt_is_told_in_one_line_and_keeps_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    command = [sys.executable, "-m", "harness.cli", "run", str(folder), *SMALL, "--seeds", "200"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(folder.glob("cells/*.json")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1].startswith("crossover: stopped")
    assert "Traceback" not in err


def test_an_interrupt_amid_imports_imports_nothing_more(crossover, monkeypatch) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.cli, "main", interrupt)
    monkeypatch.setattr(cli, "_user_errors", lambda: pytest.fail("half-imported modules fail when imported again"))
    assert crossover("list")[0] == 130


def test_an_early_interrupt_of_the_whole_group_is_one_line_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.cli", "run", str(tmp_path / "results"), *SMALL]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not any("forkserver" in " ".join(child.cmdline()) for child in psutil.Process(process.pid).children()):
        time.sleep(0.01)
    time.sleep(0.3)  # the server loads what it needs for more than a second
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err and err.strip().splitlines()[-1].startswith("crossover: stopped")


def test_a_folder_may_be_called_by_bytes_that_are_no_text(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff"
    for command in ([b"run", folder, *map(os.fsencode, SMALL)], [b"report", folder]):
        done = subprocess.run([sys.executable, "-m", "harness.cli", *command], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == folder + b"/report.html"


def test_a_plugin_races_and_a_wrong_gradient_is_refused(crossover, plugin_file: Path, tmp_path: Path) -> None:
    small = ["-t", f"shifted_{tmp_path.name}", "-m", "hmc", "-m", "laplace", "--seeds", "1", "--max-gradients", "3000"]
    code, _, err = crossover("run", tmp_path / "results", *small, "--plugin", plugin_file)
    assert code == 0, err
    cells = open_folder(tmp_path / "results").cells()
    assert list(cells["status"]) != [] and "failed" not in set(cells["status"])
    assert crossover("check", plugin_file)[0] == 0


def test_a_wrong_gradient_is_refused(crossover, wrong_plugin_file: Path, tmp_path: Path) -> None:
    code, _, err = crossover(
        "run", tmp_path / "results", "-t", f"shifted_{tmp_path.name}", "-m", "hmc", "--plugin", wrong_plugin_file
    )
    assert code == 2
    assert "gradient" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()
    code, out, _ = crossover("check", wrong_plugin_file)
    assert code == 1
    assert any("WRONG" in line and "gradient" in line for line in out.splitlines())


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("TARGETS = {", "SyntaxError"),
        ("x = 1 / 0", "line 1: ZeroDivisionError"),
        ("x = 1", "defines neither TARGETS nor METHODS"),
        ("TARGETS = {'banana': print}", "'banana' is taken"),
        ("METHODS = ['hmc']", "must be a dictionary"),
        ("import sys\nsys.exit(0)", "line 2: SystemExit: 0"),
        ("TARGETS = {1: print}", "the name 1 must be made of letters"),
        ("TARGETS = {'<i>': print}", "the name '<i>' must be made of letters"),
    ],
)
def test_a_broken_plugin_is_refused_in_one_line(crossover, tmp_path: Path, source: str, says: str) -> None:
    file = tmp_path / f"broken_{abs(hash(source))}.py"
    file.write_text(source)
    code, _, err = crossover("run", tmp_path / "results", "--plugin", file)
    assert code == 2 and says in err and len(err.strip().splitlines()) == 1


FAILING = """
import os, sys
import targets
def raises(): raise ValueError("one line\\nand another")
def exits(): sys.exit(0)
def dies():
    like = targets.load("banana")
    return targets.Target("dies", 2, like.log_density_and_gradient, like.data, initial=lambda rng: os.abort())
TARGETS = {"raises_PLACE": raises, "exits_PLACE": exits, "dies_PLACE": dies}
METHODS = {"refuses_PLACE": raises}
"""


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["-t", "raises"], "target raises_PLACE: ValueError: one line"),
        (["-t", "exits"], "target exits_PLACE: SystemExit: 0"),
        (["-t", "dies"], "target dies_PLACE is wrong: the process died: signal SIGABRT"),
        (["-t", "banana", "-m", "refuses"], "method refuses_PLACE: ValueError: one line"),
    ],
)
def test_what_a_plugin_does_when_called_ends_in_one_line(crossover, tmp_path: Path, names, says: str) -> None:
    place = tmp_path.name
    file = tmp_path / f"failing_{place}.py"
    file.write_text(FAILING.replace("PLACE", place))
    wanted = [name if name in {"-t", "-m", "banana"} else f"{name}_{place}" for name in names]
    code, _, err = crossover("run", tmp_path / "results", *wanted, "--plugin", file)
    assert (code, err.strip()) == (2, f"crossover: {says.replace('PLACE', place)}")


def test_info_names_versions_and_the_cache(crossover) -> None:
    code, out, _ = crossover("info", "--json")
    assert code == 0
    assert {"machine", "python", "numba", "cache"} <= set(json.loads(out))
