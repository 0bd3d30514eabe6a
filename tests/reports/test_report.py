"""The page: self-contained, safe, complete, and saying what the numbers say."""

import json
import math
import re
import statistics
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import reports
from reports import analysis, last_errors, page, rows, runs, wording
from reports.records import METRICS, Folder, RecordsError, open_folder
from reports.runs import Ledger, Results
from reports.statistics import Crossover, Interval, Outcome
from reports.wording import significant


class Tags(HTMLParser):
    """Every tag with its attributes, and the text of the page without scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data


@pytest.fixture(scope="module")
def html(results: Folder, tmp_path_factory: pytest.TempPathFactory) -> str:
    return reports.write(results, tmp_path_factory.mktemp("page") / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(html: str) -> Tags:
    return Tags(html)


@pytest.fixture(scope="module")
def numbers(parsed: Tags) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(parsed.scripts[1])
    return decoded


@pytest.fixture(scope="module")
def read(results: Folder) -> Results:
    return runs.read(results.cells(), results.curves())


def test_nothing_is_fetched_from_anywhere(parsed: Tags) -> None:
    for tag, attributes in parsed.tags:
        for name in ("src", "srcset", "data", "poster", "action", "background"):
            assert name not in attributes, (tag, attributes)
        assert not tag.startswith(("link", "iframe", "object", "embed", "base"))
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(a["content"] for _, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy and "http" not in policy
    ours = [
        *parsed.scripts[1:],
        (page.TEMPLATES / "report.css").read_text(),
        (page.TEMPLATES / "report.html.j2").read_text(),
    ]
    for text in ours:
        assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttpRequest|import\(", text)
    assert len(parsed.scripts) == 3 and "plotly.js" in parsed.scripts[0][:200]


def test_what_records_say_is_never_markup(results: Folder, parsed: Tags, html: str) -> None:
    assert "<script>alert(1)</script> no mode & no end" in parsed.text
    assert "<script>alert" not in html


def test_names_that_look_like_markup_stay_names(empty: Folder, filled: Callable[..., Folder], tmp_path: Path) -> None:
    evil = '</script><img src=x onerror="alert(1)">'
    filled(empty, ["banana"], ["laplace", "hmc"], seeds=1, target=evil, host=evil, tags=[evil.replace(" ", "_")])
    out = reports.write(empty, tmp_path / "evil.html").read_text()
    found = Tags(out)
    assert not any(tag == "img" for tag, _ in found.tags) and len(found.scripts) == 3
    assert json.loads(found.scripts[1])["targets"][0]["name"] == evil
    assert evil in found.text


def test_every_target_method_and_failure_is_there(parsed: Tags, numbers: dict[str, Any], read: Results) -> None:
    assert [target["name"] for target in numbers["targets"]] == list(read.entries)
    for target, methods in read.entries.items():
        drawn = {m["name"] for t in numbers["targets"] if t["name"] == target for m in t["methods"]}
        assert drawn == {name for name, e in methods.items() if any(len(r.running) for r in e.runs.values())}
        for name in methods:
            assert name in parsed.text
    assert "needs a Gaussian target" in parsed.text and "cannot win: R-hat above 1.1 (seed 0, 1, 2)" in parsed.text
    for word in (
        "Provenance",
        "a processor, 2 cores, 8 GB",
        "numpy 2.3",
        "0" * 40,
        "seconds taken with 2 jobs at once",
    ):
        assert word in parsed.text


def test_curves_are_medians_between_their_bands(numbers: dict[str, Any], read: Results) -> None:
    target = numbers["targets"][0]
    hmc = next(method for method in target["methods"] if method["name"] == "hmc")
    drawn = hmc["metrics"]["mean_error"]
    seeds = read.entries[target["name"]]["hmc"].runs.values()
    last = sorted(run.curves["mean_error"][-1] for run in seeds)
    assert drawn["mid"][-1] == pytest.approx(last[1], rel=1e-3)
    assert all(low <= mid <= high for low, mid, high in zip(drawn["low"], drawn["mid"], drawn["high"], strict=True))
    assert len(drawn["mid"]) == len(hmc["cost"]["seconds"]["w"]) == len(drawn["sampling"])


def test_the_ledger_moves_the_curves(numbers: dict[str, Any]) -> None:
    target = numbers["targets"][0]
    hmc = next(method for method in target["methods"] if method["name"] == "hmc")
    seconds = hmc["cost"]["seconds"]
    assert seconds["cw"][-1] - seconds["w"][-1] == pytest.approx(0.4, rel=0.01)
    assert seconds["run"][0] is None and seconds["run"][-1] < seconds["w"][-1]
    evaluations = hmc["cost"]["evaluations"]
    assert evaluations["w"][-1] - evaluations["run"][-1] == pytest.approx(2000, rel=0.1)


def test_metrics_of_the_last_answer_stand_in_tables_and_draw_no_curves(
    read: Results, numbers: dict[str, Any], parsed: Tags
) -> None:
    """Their medians over seeds, grey within their floors; the selector offers the others, by what they look at."""
    final = [metric for metric in METRICS.values() if metric.final]
    assert not set(numbers["metrics"]) & {metric.name for metric in final}
    offered = {a.get("value") for tag, a in parsed.tags if tag == "option"}
    assert set(numbers["metrics"]) <= offered and not offered & {metric.name for metric in final}
    assert {a.get("label") for tag, a in parsed.tags if tag == "optgroup"} == {m.coordinates for m in read.curves}
    methods = read.entries["correlated_gaussian[dim=10]"]
    table = last_errors.table(methods)
    assert table is not None and [metric.name for metric in table["head"]] == [metric.name for metric in final]
    rows = {row["method"]: row["cells"] for row in table["rows"]}
    at = [metric.name for metric in final].index("energy_distance")
    for name, cells in rows.items():
        runs_of = [run for run in methods[name].runs.values() if len(run.running)]
        if runs_of:
            known = statistics.median(run.curves["energy_distance"][-1] for run in runs_of)
            floor = statistics.median(run.curves["energy_distance_sampling_floor"][-1] for run in runs_of)
            assert cells[at]["text"] == significant(known) and cells[at]["noise"] == (known <= floor)
    assert last_errors.table({}) is None


def test_sweeps_have_no_gradient_curve(numbers: dict[str, Any]) -> None:
    target = next(t for t in numbers["targets"] if t["name"].startswith("correlated"))
    cavi = next(method for method in target["methods"] if method["name"] == "cavi")
    assert "evaluations" not in cavi["cost"]
    said = next(c for c in target["crossovers"]["mean_error"]["evaluations"]["w"] if c["vi"] == "cavi")
    assert said["outcome"] == "not comparable" and said["at"] is None


def test_oracles_and_failed_runs_are_never_ranked(read: Results, numbers: dict[str, Any]) -> None:
    for target in numbers["targets"]:
        for found in target["crossovers"]["mean_error"]["seconds"]["w"]:
            assert found["vi"] != "forward_kl_oracle"
    bimodal = read.entries["bimodal_mixture"]
    assert all(run.failure for run in bimodal["hmc"].runs.values())
    matches = analysis.matches(bimodal, METRICS["mean_error"], "seconds", Ledger())
    assert {match.mcmc for match in matches} == {"rwm"}


def test_page_one_agrees_with_the_construction(read: Results) -> None:
    """On the Gaussian, HMC's error is 6/sqrt(n) and CAVI's floor 0.1: n = 3600 after 2000 of warm-up, 1e-5 s each."""
    name = "correlated_gaussian[dim=10]"
    methods = read.entries[name]
    of = {"mean_error": analysis.matches(methods, METRICS["mean_error"], "seconds", Ledger())}
    means = analysis.answers(name, methods, of)[0]
    assert means.vi == "cavi" and means.floor.value == pytest.approx(0.1, rel=0.1)
    assert means.match is not None and means.match.mcmc.startswith("hmc")
    assert 0.02 < means.match.found.cost.value < 0.12
    row = rows.page(read)["targets"][1]["answers"][0]
    assert rows.page(read)["targets"][1]["name"] == name
    assert row["vi"] == "cavi" and row["verdict"] == "mcmc" and row["cross"].endswith(("ms", "s"))


def test_alarms_fire_for_the_methods_that_they_name(read: Results) -> None:
    fired = {(alarm.method, alarm.diagnostic) for alarm in analysis.alarms(read.entries["funnel"])}
    assert ("hmc", "divergences") in fired and ("laplace", "failed") in fired and ("advi_meanfield", "k_hat") in fired
    assert not any(diagnostic == "r_hat" for _, diagnostic in fired)


def test_the_slope_of_sampling_is_printed(numbers: dict[str, Any]) -> None:
    target = numbers["targets"][0]
    for method in target["methods"]:
        slope = method["metrics"]["mean_error"]["slope"]
        if method["kind"] != "mcmc":
            assert slope is None
        elif slope is not None:
            assert slope["low"] <= slope["value"] <= slope["high"] and -0.8 < slope["value"] < -0.2
            assert len(slope["line"]) == len(method["metrics"]["mean_error"]["mid"])
    assert any(m["metrics"]["mean_error"]["slope"] for m in target["methods"])


def test_nothing_changed_nothing_written(empty: Folder, filled: Callable[..., Folder], tmp_path: Path) -> None:
    filled(empty, ["banana"], ["laplace", "hmc"], seeds=1)
    out = tmp_path / "r.html"
    reports.write(empty.path, out)
    before = out.stat().st_mtime_ns
    reports.write(str(empty.path), out)
    assert out.stat().st_mtime_ns == before
    filled(empty, ["banana"], ["advi_meanfield"], seeds=1)
    reports.write(empty.path, out)
    assert out.stat().st_mtime_ns > before and "advi_meanfield" in out.read_text()


def test_a_race_in_memory_gives_the_same_page(results: Folder, html: str, tmp_path: Path) -> None:
    race = SimpleNamespace(cells=results.cells(), curves=results.curves())
    out = reports.write(race, tmp_path / "race.html").read_text(encoding="utf-8")
    assert Tags(out).scripts[1] == Tags(html).scripts[1]


def test_of_equal_cells_the_largest_budget_counts(empty: Folder, filled: Callable[..., Folder]) -> None:
    for name, budget in (("small", 10), ("large", 1000), ("medium", 100)):
        filled(empty, ["banana"], ["hmc"], seeds=1, cell_id=name, max_gradients=budget)
    read = runs.read(empty.cells(), empty.curves())
    assert [run.cell["cell_id"] for run in read.entries["banana"]["hmc"].runs.values()] == ["large"]


def test_of_equal_cells_the_newer_format_counts(empty: Folder, filled: Callable[..., Folder]) -> None:
    for name, version in (("a", 1), ("b", 2), ("c", 1)):
        filled(empty, ["banana"], ["hmc"], seeds=1, cell_id=name, schema_version=version)
    read = runs.read(empty.cells(), empty.curves())
    assert [run.cell["cell_id"] for run in read.entries["banana"]["hmc"].runs.values()] == ["b"]


def test_a_method_keeps_its_kind_where_its_processes_died(empty: Folder, filled: Callable[..., Folder]) -> None:
    filled(empty, ["banana"], ["hmc"], seeds=1)
    filled(empty, ["funnel"], ["hmc"], seeds=1, status="failed", method_tags=None, oracle=None, tags=None)
    read = runs.read(empty.cells(), empty.curves())
    assert [methods["hmc"].kind for methods in read.entries.values()] == ["mcmc", "mcmc"]


@pytest.mark.parametrize("methods", [["laplace"], ["hmc"], ["forward_kl_oracle"], ["cavi"]])
def test_lonely_methods_still_give_a_page(
    empty: Folder, filled: Callable[..., Folder], tmp_path: Path, methods: list[str]
) -> None:
    filled(empty, ["funnel", "banana", "bimodal_mixture"], methods, seeds=2)
    page_text = Tags(reports.write(empty, tmp_path / "r.html").read_text()).text
    assert methods[0] in page_text
    nothing_on = {"laplace": 1, "cavi": 3}.get(
        methods[0], 0
    )  # targets on which all of its cells failed or were skipped
    assert page_text.count("no method gave an answer") == nothing_on


def test_no_results_no_page(empty: Folder, tmp_path: Path, results: Folder) -> None:
    with pytest.raises(RecordsError, match="no finished cells"):
        reports.write(empty, tmp_path / "r.html")
    with pytest.raises(RecordsError, match="holds no results"):
        reports.write(tmp_path / "absent", tmp_path / "r.html")
    with pytest.raises(RecordsError, match="cannot be written"):
        reports.write(results, tmp_path / "absent" / "r.html")


def test_a_damaged_cell_is_named_on_the_page(tmp_path: Path, filled: Callable[..., Folder]) -> None:
    folder = filled(open_folder(tmp_path / "r", create=True), ["banana"], ["hmc"], seeds=2)
    spoiled = folder.cells_path / f"{folder.cell_ids()[0]}.json"
    spoiled.write_text("{")
    assert f"{spoiled.name} is damaged" in Tags(reports.write(folder, tmp_path / "r.html").read_text()).text


@pytest.mark.parametrize(
    ("outcome", "value", "said"),
    [
        (Outcome.CROSSES, 0.8, "hmc overtakes advi after 0.80 s [0.60 s, 1.1 s]."),
        (Outcome.FIRST, 0.8, "hmc is ahead of advi from its first answer, after 0.80 s [0.60 s, 1.1 s]."),
        (Outcome.CENSORED, math.inf, "hmc does not overtake advi within the budget of 12 s."),
        (Outcome.MCMC_FAILED, math.inf, "hmc cannot win: its runs failed or their diagnostics say so."),
        (Outcome.VI_FAILED, math.inf, "Neither advi nor hmc gave an answer that counts."),
        (Outcome.NOT_COMPARABLE, math.inf, "hmc and advi do not share a unit of work: compare their seconds."),
    ],
)
def test_findings_in_words(outcome: Outcome, value: float, said: str) -> None:
    found = Crossover(outcome, Interval(value, 0.6, 1.1), 12.0, 5)
    assert wording.sentence(found, "advi", "hmc", "seconds") == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3e-6, "3.0 µs"),
        (0.0123, "12 ms"),
        (0.0996, "100 ms"),
        (0.8, "0.80 s"),
        (59.0, "59 s"),
        (200.0, "3.3 min"),
        (9e3, "2.5 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert wording.duration(seconds) == said


def test_counts_and_figures() -> None:
    assert [wording.count(n) for n in (7, 12_400, 3.1e6, math.inf)] == ["7", "12.4k", "3.10M", "beyond the budget"]
    shown = [wording.significant(v) for v in (0.0, 0.0999, 1234.0, 1e-7, 9.99, math.nan, math.inf)]
    assert shown == ["0", "0.10", "1200", "1.0e-07", "10", "undefined", "∞"]
