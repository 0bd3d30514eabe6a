"""Agreement with references: what agrees, what does not, and whether an alarm says so."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import harness.agreement as agreement
import targets
from harness import registry
from harness.budget import Budget
from harness.presets import Preset
from harness.studies import STUDIES, Study
from reports.section import kept
from samplers.draws import Draws
from targets.options import UsageError


def exact(n: int, seed: int, **wrong: float) -> tuple[targets.Target, Draws]:
    """Four chains of exact draws of the eight schools, shifted or widened in sd."""
    target = targets.load("eight_schools")
    assert target.truth is not None and target.truth.sample is not None
    x = target.truth.sample(np.random.default_rng(seed), 4 * n)
    x[:, 0] = wrong.get("shift", 0.0) * 3.3 + 4.4 + (x[:, 0] - 4.4) * wrong.get("width", 1.0)
    return target, Draws(x.reshape(4, n, -1), target.coordinates, named=target.named)


def test_exact_draws_agree_without_alarm() -> None:
    found = agreement.compare(*exact(1000, 1))
    assert found.agrees and found.alarms == [] and found.verdict == "agrees"
    assert found.names[0] == "mu" and len(found.means) == len(found.sds) == 10
    # in standard errors: means of squares are near one
    many = [agreement.compare(*exact(500, seed)) for seed in range(2, 22)]
    for z in (np.array([each.means for each in many]), np.array([each.sds for each in many])):
        assert 0.5 < np.mean(z**2) < 1.6


@pytest.mark.parametrize("wrong", [{"shift": 0.15}, {"width": 1.15}])
def test_draws_that_are_wrong_disagree_in_silence(wrong: dict[str, float]) -> None:
    found = agreement.compare(*exact(1000, 3, **wrong))
    assert not found.agrees and found.verdict == "disagrees, and no alarm says so"
    (worst,) = {found.names[int(np.argmax(found.means if "shift" in wrong else found.sds))]}
    assert worst in (
        "mu",
        "theta[6]",
        "theta[5]",
        "theta[3]",
        "theta[4]",
        "theta[2]",
        "theta[8]",
        "theta[1]",
        "theta[7]",
    )


def test_chains_apart_ring() -> None:
    target, draws = exact(500, 5)
    apart = draws.values + np.arange(4)[:, None, None]
    found = agreement.compare(target, dataclasses.replace(draws, values=apart))
    assert "R-hat" in found.alarms and found.verdict == "disagrees, and an alarm says so"


def test_what_is_not_a_number_does_not_agree() -> None:
    target, draws = exact(500, 6)
    values = draws.values.copy()
    values[0, 0, 0] = np.nan
    assert not agreement.compare(target, dataclasses.replace(draws, values=values)).agrees


def test_nothing_agrees_with_a_target_of_which_nothing_is_known() -> None:
    target, draws = exact(500, 7)
    with pytest.raises(UsageError, match="nothing is known"):
        agreement.compare(dataclasses.replace(target, truth=None), draws)


def test_a_study_keeps_its_table_for_the_report(crossover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "SAMPLES", 500)
    race = Preset("a small one", ("eight_schools",), ("laplace",), 1, Budget(3_000, 30.0))
    monkeypatch.setitem(STUDIES, "tiny", Study(race, measured=agreement.references))
    folder = tmp_path / "r"
    code, out, _ = crossover("study", "tiny", folder)
    assert code == 0 and [Path(line).name for line in out.splitlines()] == ["tiny.md", "tiny.json", "report.html"]
    title = "NUTS against the references"
    assert title in (folder / "tiny.md").read_text() and title in (folder / "report.html").read_text()
    (row,) = json.loads((folder / "tiny.json").read_text())["tables"]["measured"]["rows"]
    assert row["target"] == "eight_schools" and len(row["means"]) == 10
    assert kept(folder)["tiny"].rows[0][0].text == "eight_schools"
    (folder / "sections" / "tiny.json").write_text("{}")
    code, _, err = crossover("report", folder, "-o", tmp_path / "again.html")
    assert code == 2 and "run the study tiny again" in err and len(err.strip().splitlines()) == 1


def test_a_glob_leaves_out_what_has_no_folder(crossover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSOVER_POSTERIORDB", "")
    run = ("run", tmp_path / "r", "-m", "laplace", "--seeds", "1", "--dry-run")
    code, out, err = crossover(*run, "-t", "tag:posteriordb", "-t", "banana")
    assert code == 0 and out.count("compute") == 1 and "arK-arK" not in out
    (line,) = [line for line in err.splitlines() if line.startswith("skipped")]
    assert "arK-arK, diamonds-diamonds" in line and "set CROSSOVER_POSTERIORDB" in line
    for chosen in ("tag:posteriordb", "arK-arK"):
        code, out, err = crossover(*run, "-t", chosen)
        assert (code, out) == (2, "") and err.count("\n") == 1 and "set CROSSOVER_POSTERIORDB" in err
    code, _, err = crossover("--posteriordb", tmp_path, *run, "-t", "arK-arK")
    assert code == 2 and err == f"crossover: {tmp_path} is no clone of posteriordb: it holds no posterior_database\n"


def test_from_python_what_is_left_out_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSOVER_POSTERIORDB", "")
    with pytest.warns(UserWarning, match="skipped arK-arK.*set CROSSOVER_POSTERIORDB"):
        found = registry.select_targets(["tag:posterior"])
    assert "eight_schools" in {spec.name for spec in found}
