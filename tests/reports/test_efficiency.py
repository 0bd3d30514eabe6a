"""How efficient sampling is and what an accuracy costs, on runs whose answer is known."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reports
from reports import analysis, efficiency, rows, runs, tables_of_efficiency
from reports.records import CELLS, METRICS, Folder
from reports.runs import Entry, Ledger, Run
from reports.statistics import Crossover, Interval, Outcome

COSTS = np.array([100.0, 200.0, 400.0, 800.0])
WORST, AVERAGE = ("second_moment_b2_worst", "w"), ("second_moment_b2", "w")


def run(worst: list[float], average: list[float] | None = None, **cell: Any) -> Run:
    """Evaluations 100, 200, 400, 800 at 1 ms each; warm-up ends with the first 100. ESS 400 of x and 200 of x²."""
    said = {"seed": 0, "status": "budget spent", "r_hat": 1.0, "ess_min": 400.0, "ess_square_min": 200.0}
    spent = {"gradient_evaluations": 700, "density_evaluations": 100, "warmup_gradient_evaluations": 100}
    seconds = {"compile_seconds": 9.0, "setup_seconds": 0.05, "warmup_seconds": 0.05, "run_seconds": 0.7}
    n = len(worst)
    curves = {
        "seconds": 1e-3 * COSTS[:n],
        "gradient_evaluations": COSTS[:n] * 7 / 8,
        "density_evaluations": COSTS[:n] / 8,
        "second_moment_b2_worst": np.array(worst),
        "second_moment_b2": np.array(average or worst),
    }
    return Run(dict.fromkeys(CELLS) | said | spent | seconds | cell, curves, np.arange(n) > 0)


def entry(*given: Run, method: str = "nuts", tags: str = "mcmc", skipped: str = "") -> Entry:
    return Entry("t", method, frozenset(tags.split()), dict(enumerate(given)), skipped)


def test_effective_draws_are_divided_by_what_they_cost() -> None:
    """400 and 200 draws in 0.7 s and 700 evaluations after warm-up, and in 0.8 s and 800 with all but compilation."""
    one = entry(run([1.0] * 4, e_bfmi=0.9, tree_depth=2.5))
    found = [cell["text"] for cell in efficiency.sampling({"nuts": one})[0]["cells"]]
    assert found == [
        "400",
        "200",
        "570",
        "290",
        "500",
        "250",
        "0.57",
        "0.29",
        "0.50",
        "0.25",
        "1.000",
        "",
        "0.90",
        "2.5",
    ]
    assert [group for group, _ in efficiency.GROUPS].count("with warm-up") == 2
    assert sum(len(labels) for _, labels in efficiency.GROUPS) == len(found)


def test_medians_over_seeds_have_their_interval() -> None:
    given = [run([1.0] * 4, ess_min=e) for e in (100.0, 300.0, 900.0)]
    cell = efficiency.sampling({"nuts": entry(*given)})[0]["cells"][0]
    assert cell["text"] == "300" and cell["alarm"] and cell["sort"] == "300"
    assert cell["title"] == "95 % interval over 3 seeds: 100 to 900"


@pytest.mark.parametrize(
    "useless",
    [
        run([], status="failed", reason="lost", ess_min=None, ess_square_min=None, r_hat=None),
        run([0.001]),  # its budget ended in warm-up, whatever draws it has
    ],
)
def test_a_run_without_draws_counts_as_none_and_is_not_dropped(useless: Run) -> None:
    """Two of three seeds gave nothing: so does the median."""
    row = efficiency.sampling({"nuts": entry(run([1.0] * 4), useless, useless)})[0]
    assert [cell["text"] for cell in row["cells"][:10]] == ["0"] * 10
    assert row["runs"] == "1 of 3" and row["why"] in ("failed: lost (seed 1, 2)", "still in warm-up (seed 1, 2)")


def test_what_old_records_do_not_say_stays_empty() -> None:
    """A failed run beside them must not turn what is unknown into zero."""
    failed = run([], status="failed", reason="lost")
    row = efficiency.sampling({"nuts": entry(run([1.0] * 4, ess_square_min=None), failed)})[0]
    assert [cell["text"] for cell in row["cells"][:2]] == ["200", ""] and row["cells"][1]["sort"] == ""


def test_every_sampler_has_a_row_with_what_kept_it_from_numbers() -> None:
    methods = {
        "a": entry(method="a", skipped="needs rows"),
        "b": entry(run([], status="failed", reason="lost"), method="b"),
        "c": entry(run([0.0] * 4), method="c", tags="mcmc oracle"),
        "d": entry(run([0.0] * 4), method="d", tags="vi"),
        "e": entry(run([0.0] * 4, r_hat=1.7), method="e"),
    }
    found = {row["method"]: (row["runs"], row["why"]) for row in efficiency.sampling(methods)}
    assert found == {
        "a": ("", "skipped: needs rows"),
        "b": ("0 of 1", "failed: lost (seed 0)"),
        "c": ("", "uses the answer: never timed"),
        "e": ("0 of 1", "cannot win: R-hat above 1.1 (seed 0)"),
    }
    assert all(row["cells"][2]["text"] == "" for row in efficiency.sampling(methods) if row["method"] in "ac")


def cost(one: Entry) -> dict[tuple[str, str], Crossover]:
    return dict(efficiency.costs({one.method: one})[one.method])


def test_the_cost_is_that_from_which_the_median_stays_below() -> None:
    """The first touch at 100 does not count; tuning apart there are 100 evaluations fewer."""
    found = cost(entry(run([0.001, 0.1, 0.01, 0.005], average=[1.0, 0.01, 0.01, 0.0])))
    assert found[WORST].cost.value == 400 and found["second_moment_b2_worst", "run"].cost.value == 300
    assert found[AVERAGE].cost.value == 200 and found["second_moment_b2", "run"].cost.value == 100
    assert cost(entry(run([0.001] * 4)))[WORST].cost.value == 100, "tuning that already arrives counts from there"


def test_the_median_over_seeds_decides_with_its_interval() -> None:
    early, late, never = run([1.0, 0.0, 0.0, 0.0]), run([1.0, 1.0, 0.0, 0.0]), run([1.0] * 4)
    found = cost(entry(early, late, never))[WORST]
    assert (found.cost.value, found.cost.low, found.cost.high) == (400, 200, math.inf) and found.seeds == 3


@pytest.mark.parametrize(
    ("given", "outcome", "text"),
    [
        ([run([1.0] * 4)], Outcome.CENSORED, "not within 800"),
        ([run([0.0] * 4), run([1.0] * 4), run([1.0] * 4)], Outcome.CENSORED, "not within 800"),
        ([run([0.0] * 4, r_hat=1.7)], Outcome.MCMC_FAILED, "no run counts"),
        ([run([], status="failed", reason="lost")], Outcome.MCMC_FAILED, "no run counts"),
        ([run([math.nan] * 4)], Outcome.UNDEFINED, "undefined"),
    ],
)
def test_what_is_never_reached_is_censored(given: list[Run], outcome: Outcome, text: str) -> None:
    one = entry(*given)
    found = efficiency.costs({"nuts": one})
    assert found["nuts"][WORST].outcome is outcome
    reached = entry(run([0.0] * 4), method="hmc")
    table = efficiency.accuracy({"hmc": reached, "nuts": one}, efficiency.costs({"hmc": reached, "nuts": one}))
    assert table[1]["cells"][2]["text"] == text
    assert table[1]["cells"][2]["sort"] == ("" if outcome is Outcome.UNDEFINED else "1e999")


def test_sweeps_are_not_evaluations() -> None:
    swept = run([0.0] * 4)
    for name in ("gradient_evaluations", "density_evaluations"):
        swept.curves[name][:] = 0.0
    assert cost(entry(swept, method="cavi", tags="vi"))[WORST].outcome is Outcome.NOT_COMPARABLE


def test_oracles_are_not_timed_and_tables_without_numbers_are_left_out() -> None:
    oracle = {"o": entry(run([0.0] * 4), method="o", tags="vi oracle")}
    assert efficiency.costs(oracle) == {} and efficiency.accuracy(oracle, {}) == []


def at(value: float, outcome: Outcome = Outcome.CROSSES) -> Crossover:
    return Crossover(outcome, Interval(value, value, value), 800.0, 1)


def test_pairs_count_targets_and_what_both_miss_apart() -> None:
    never, nowhere = at(math.inf, Outcome.CENSORED), at(math.inf, Outcome.UNDEFINED)
    spent = [
        {"a": at(1.0), "b": at(2.0)},
        {"a": at(2.0), "b": at(2.0)},
        {"a": at(1.0), "b": never},
        {"a": never, "b": at(9.0)},
        {"a": at(3.0), "b": at(2.0)},
        {"a": never, "b": at(math.inf, Outcome.MCMC_FAILED)},
        {"a": nowhere, "b": at(1.0)},
        {"a": at(1.0)},
    ]
    found = efficiency.pair(spent, "a", "b")
    assert (found.at_most, found.more, found.neither) == (3, 2, 1)
    assert found.sentence == (
        "a needs at most the evaluations of b on 3 of the 5 targets where one of them gets there; "
        "on 1 more neither does."
    )
    back = efficiency.pair(spent, "b", "a")
    assert (back.at_most, back.more, back.neither) == (3, 2, 1), "the tie counts for both"


@pytest.mark.parametrize(
    ("raced", "pairs"),
    [
        (["nuts", "nuts[metric=stan]"], [("nuts", "nuts[metric=stan]")]),
        (["nuts", "nuts[metric=nutpie]"], []),
        (["nuts[metric=stan]", "hmc"], []),
        (["nuts", "nuts[target_accept=0.9]"], []),
    ],
)
def test_variants_of_nuts_are_compared_in_one_sentence(raced: list[str], pairs: list[tuple[str, str]]) -> None:
    methods = {name: entry(run([0.0] * 4), method=name) for name in raced}
    spent = {"t": efficiency.costs(methods)}
    found = efficiency.overall(runs.Results({"t": methods}, []), spent)
    assert found["sentences"] == [
        f"{a} needs at most the evaluations of {b} on 1 of the 1 targets where one of them gets there."
        for a, b in pairs
    ]


def test_the_table_over_targets_has_a_cell_for_every_pair() -> None:
    here = {"hmc": entry(run([0.0] * 4), method="hmc"), "nuts": entry(method="nuts", skipped="too <small>")}
    there = {"nuts": entry(run([1.0] * 4))}
    results = runs.Results({"here": here, "there": there}, [])
    found = efficiency.overall(results, {name: efficiency.costs(of) for name, of in results.entries.items()})
    assert found["methods"] == ["hmc", "nuts"]
    assert [[cell["text"] for cell in row] for row in found["rows"].values()] == [
        ["100", "skipped"],
        ["", "not within 800"],
    ]
    assert found["rows"]["here"][1]["title"] == "too <small>"


@pytest.fixture
def labelled(empty: Folder, filled: Callable[..., Folder]) -> Folder:
    """An unadjusted sampler that has the lowest errors of all."""
    filled(empty, ["funnel"], ["advi_meanfield", "nuts", "nuts[metric=stan]"], seeds=3)
    return filled(empty, ["funnel"], ["mclmc"], seeds=3, checkpoints=60)


def test_unadjusted_samplers_are_never_named_best(labelled: Folder) -> None:
    read = runs.read(labelled.cells(), labelled.curves())
    methods = dict(read.entries["funnel"])
    for one in methods["mclmc"].runs.values():
        for metric in METRICS:
            one.curves[metric] = np.where(np.isnan(one.curves[metric]), math.nan, METRICS[metric].perfect or 0.0)
    for axis in ("seconds", "evaluations"):
        assert {m.mcmc for m in analysis.matches(methods, METRICS["mean_error"], axis, Ledger())} & {"mclmc"} == set()
    answers = rows.page(runs.Results({"funnel": methods}, read.cells))["targets"][0]["answers"]
    assert all(answer["sampler"] != "mclmc" and answer["cross_by"] != "mclmc" for answer in answers)


def test_the_page_labels_them_wherever_their_name_stands_in_a_table(labelled: Folder, tmp_path: Path) -> None:
    html = reports.write(labelled, tmp_path / "r.html").read_text()
    page, script = html.split('<script type="application/json"')[0].split("<main>")[1].split("<script>")[0], html
    assert "How efficient sampling is" in page and "Gradients to b²(x²) &lt; 0.01" in page
    assert page.count("<span>mclmc") == page.count('<span>mclmc <small class="badge"') >= 4
    assert page.count("unadjusted</small>") == page.count("<span>mclmc")
    assert '"unadjusted":true' in script
    assert "nuts needs at most the evaluations of nuts[metric=stan] on" in page
    assert "E-BFMI below 0.3" in page


def test_a_table_of_sampling_needs_a_sampler(empty: Folder, filled: Callable[..., Folder], tmp_path: Path) -> None:
    html = reports.write(filled(empty, ["banana"], ["advi_meanfield"], seeds=1), tmp_path / "r.html").read_text()
    assert "How efficient sampling is" not in html and "Gradients to b²(x²)" in html


def test_the_tables_of_a_study_say_what_the_report_says() -> None:
    """Numbers with and without tuning, a row for what failed, and the metrics of NUTS compared under both."""
    quick, slow = (
        entry(run([1.0, 0.001, 0.001, 0.001])),
        entry(run([1.0, 1.0, 0.001, 0.001]), method="nuts[metric=stan]"),
    )
    lost = entry(run([1.0] * 4, status="failed", reason="it broke"), method="hmc")
    results = runs.Results({"t": {each.method: each for each in (quick, slow, lost)}}, [])
    costs = tables_of_efficiency.accuracy(results)
    assert costs is not None
    assert [[cell.text for cell in row][1:] for row in costs.rows] == [
        ["nuts", "200", "100"],
        ["nuts[metric=stan]", "400", "300"],
        ["hmc", "no run counts", "no run counts"],
    ]
    assert costs.numbers[0]["after_tuning"]["value"] == 100.0
    assert costs.sentences == [
        f"Tuning {word}: nuts needs at most the evaluations of nuts[metric=stan] on 1 of the 1 targets where one of "
        "them gets there."
        for word in ("included", "apart")
    ]
    table = tables_of_efficiency.sampling(results)
    assert table is not None
    assert table.rows[0][3].text == "400"
    assert table.rows[2][2].text.startswith("0 of 1")
    assert table.markdown().count("\n| ") == len(table.rows) + 2
    assert tables_of_efficiency.accuracy(runs.Results({"t": {"hmc": lost}}, [])) is None
    assert (
        tables_of_efficiency.sampling(runs.Results({"t": {"laplace": entry(tags="vi", method="laplace")}}, [])) is None
    )
