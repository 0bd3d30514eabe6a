"""The race from Python, and what presets and plug-ins bring to it."""

import subprocess
import sys

import numpy as np
import pytest

import harness
import targets
from harness import plugins, presets, registry
from harness.plugins import load
from reports.records import open_folder
from targets.options import UsageError, resolve


def test_race_gives_two_tables() -> None:
    target = targets.load("correlated_gaussian", dim=2)
    race = harness.race([target, "banana"], ["cavi", "lap*"], seeds=2, max_gradients=2_000)
    assert len(race.cells) == 2 * 2 * 2
    skipped = race.cells[race.cells["status"] == "skipped"]
    assert len(skipped) == 2 and all(skipped["reason"].str.len() > 0)
    assert set(race.curves["cell_id"]) <= set(race.cells["cell_id"])


def test_race_keeps_a_folder_and_takes_from_it(tmp_path) -> None:
    arguments = {"seeds": 1, "max_gradients": 2_000, "folder": str(tmp_path / "results")}
    first = harness.race(["banana"], ["hmc"], **arguments)
    again = harness.race(["banana"], ["hmc"], **arguments)
    assert first.curves.equals(again.curves), "seconds and all: nothing was computed again"
    assert len(open_folder(tmp_path / "results").cells()) == 1


def test_what_no_spec_names_is_computed_anew(exact, tmp_path) -> None:
    arguments = {"seeds": 1, "max_gradients": 300, "folder": str(tmp_path / "results")}
    seen = [
        harness.race(["banana"], [method], **arguments).cells["status"][0]
        for method in (exact(), exact(converge_at=200))
    ]
    assert seen == ["budget spent", "converged"]


def test_a_target_of_ones_own_needs_no_registry() -> None:
    mine = targets.Target(
        name="mine",
        dim=2,
        log_density_and_gradient=targets.load("banana").log_density_and_gradient,
        data=targets.load("banana").data,
    )
    race = harness.race([mine], ["hmc"], seeds=1, max_gradients=5_000)
    assert race.cells["status"].tolist() == ["budget spent"]
    assert race.curves["mean_error"].isna().all(), "nothing is known of the answer, so no error is claimed"


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_spec_of_a_preset_is_accepted(name: str) -> None:
    preset = presets.choose(name)
    specs = registry.select_targets(list(preset.targets)), registry.select_methods(list(preset.methods))
    named = [spec for spec in preset.targets if not spec.startswith("tag:")]
    assert [registry.target(spec).label for spec in specs[0]][: len(named)] == named
    labels = [registry.label(registry.method(spec)) for spec in specs[1]]
    assert len(labels) == len(set(labels))
    assert [spec for spec in preset.methods if not spec.startswith("tag:") and spec not in labels] == []


def test_selection_by_glob_and_tag() -> None:
    assert {str(spec) for spec in registry.select_methods(["advi_*"])} == {"advi_meanfield", "advi_fullrank"}
    assert "student_t" in {spec.name for spec in registry.select_targets(["tag:exact"])}
    assert [str(s) for s in registry.select_targets(["banana", "ban*"])] == ["banana"]
    assert {str(s) for s in registry.select_methods(["advi_*[tolerance=0.1]"])} == {
        "advi_meanfield[tolerance=0.1]",
        "advi_fullrank[tolerance=0.1]",
    }


def test_a_plugin_is_loaded_once_and_named_by_its_content(plugin_file) -> None:
    assert load(plugin_file) is load(str(plugin_file))
    name = next(iter(load(plugin_file).TARGETS))
    before = plugins.digest(name)
    assert before and plugins.digest(f"hmc[warm_start={name}[dim=3]]") == before, "within a SPEC too"
    plugin_file.write_text(plugin_file.read_text() + "\n# edited\n")
    assert plugins.digest(name) == before, "what this process computes comes from what it loaded"
    again = f"from harness import plugins; plugins.load({str(plugin_file)!r}); print(plugins.digest({name!r}))"
    said = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True, check=True).stdout.strip()
    assert said and said != before
    assert plugins.digest("banana") == ""
    target = registry.target(f"{name}[dim=3]")
    assert np.allclose(target.evaluate(np.full((1, 3), 3.0))[1], 0.0)


def test_a_plugin_imports_from_its_folder(tmp_path) -> None:
    (tmp_path / "beside_the_plugin.py").write_text("NAME = 'named_beside'")
    file = tmp_path / "imports_beside.py"
    file.write_text("import beside_the_plugin\nTARGETS = {beside_the_plugin.NAME: dict}")
    assert list(load(file).TARGETS) == ["named_beside"]


METHOD = """
class Nothing:
    pass

METHODS = {"half_a_method": lambda: Nothing()}
"""


def test_a_plugin_method_that_lacks_parts_is_refused(tmp_path) -> None:
    file = tmp_path / "half_method.py"
    file.write_text(METHOD)
    load(file)
    with pytest.raises(UsageError, match="lacks unfit, compile, start, tags"):
        registry.method("half_a_method")


def test_an_option_without_a_type_is_named() -> None:
    def factory(*, dim=2):
        return dim

    with pytest.raises(UsageError, match="option 'dim' needs a type annotation"):
        resolve("mine", factory, {})
