"""Studies: what they hold is accepted, and a small one from end to end."""

import json
import os
from pathlib import Path

import pytest

from harness import grid, registry, studies
from harness.budget import Budget
from harness.presets import Preset
from harness.studies import STUDIES, Study
from reports.study import TABLES
from targets.options import UsageError
from targets.posteriordb import ENVIRONMENT

TINY = Study(
    Preset(
        "a small one",
        ("correlated_gaussian[dim=2]", "bimodal_mixture"),
        ("nuts", "nuts[warm_start=laplace,take=draws+dense]", "nuts[start=all_basins]"),
        2,
        Budget(6_000, 30.0),
    ),
    ("paired", "modes"),
    ("no_such_sampler", "hmc[num_chains=2]"),
)


@pytest.fixture
def crossover(crossover, monkeypatch):
    """The command line, with a study that is small."""
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    return crossover


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_made_of_what_there_is(name: str) -> None:
    race = STUDIES[name].grid()
    if "tag:posteriordb" in race.targets and not os.environ.get(ENVIRONMENT):
        pytest.skip(f"{ENVIRONMENT} names no folder of posteriordb")
    cells = grid.cells(
        registry.select_targets(list(race.targets)),
        registry.select_methods(list(race.methods)),
        race.seeds,
        race.budget,
    )
    assert len(cells) >= race.seeds * len(race.targets) * len(race.methods)
    assert set(STUDIES[name].tables) <= set(TABLES)


def test_methods_take_part_as_soon_as_they_are_registered() -> None:
    assert TINY.grid().methods == (*TINY.race.methods, "hmc[num_chains=2]")
    methods = {str(spec) for spec in registry.select_methods(list(STUDIES["samplers"].grid().methods))}
    from samplers.registry import METHODS

    assert {name for name, entry in METHODS.entries.items() if "mcmc" in entry.tags} <= methods


def test_a_study_runs_resumes_and_ends_in_its_tables(crossover, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    code, out, _ = crossover("study", "tiny", folder, "--dry-run")
    assert code == 0 and out.count("compute") == 14 and "skip: it has no known modes" in out and not folder.exists()
    code, out, err = crossover("study", "tiny", folder)
    assert code == 0 and "16 cells, 0 of them already" in err
    assert [Path(line).name for line in out.splitlines()] == ["tiny.md", "tiny.json", "report.html"]
    assert all(Path(line).is_file() for line in out.splitlines())
    text = (folder / "tiny.md").read_text()
    assert "nuts, draws+dense of laplace" in text and "nuts[start=all_basins]" in text
    numbers = json.loads((folder / "tiny.json").read_text())
    warm = [row for row in numbers["tables"]["paired"]["rows"] if row["start"] != "cold"]
    assert [row["target"] for row in warm] == ["bimodal_mixture", "correlated_gaussian[dim=2]"]
    assert all(row["fit_evaluations"] > 0 and row["evaluations_to_ess"]["pairs"] <= 2 for row in warm)
    assert {row["sampler"] for row in numbers["tables"]["modes"]["rows"]} >= {"nuts", "nuts[start=all_basins]"}
    code, _, err = crossover("study", "tiny", folder)
    assert code == 0 and "16 cells, 16 of them already" in err and "computed" not in err


def test_an_unknown_study_is_refused(crossover, tmp_path: Path) -> None:
    code, out, err = crossover("study", "everything", tmp_path / "r")
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert "no study is called 'everything'; known: warm-start, modes, samplers" in err
    assert not (tmp_path / "r").exists()
    with pytest.raises(UsageError):
        studies.choose("")


def test_studies_are_listed(crossover) -> None:
    code, out, _ = crossover("list", "studies")
    assert code == 0 and all(name in out for name in ("warm-start", "modes", "samplers"))
