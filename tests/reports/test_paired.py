"""Warm starts against cold ones: known answers on records made up for them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reports
from reports import modes, paired, runs, study
from reports.records import Folder, open_folder
from reports.runs import Results

CHECKPOINTS = np.array([100.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0])
WARM = "nuts[warm_start=laplace,take=draws+dense]"


def cell(method: str, seed: int, target: str = "banana", **changes: Any) -> dict[str, Any]:
    """A run of 8,000 gradients, the first 1,000 in warm-up, with 700 effective draws in the rest."""
    return {
        "cell_id": f"{target}-{abs(hash(method))}-{seed}",
        "target": target,
        "method": method,
        "target_name": target,
        "method_name": method.split("[", maxsplit=1)[0],
        "seed": seed,
        "status": "budget spent",
        "method_tags": ["mcmc"],
        "warmup_gradient_evaluations": 1_000,
        "warmup_density_evaluations": 0,
        "gradient_evaluations": 8_000,
        "density_evaluations": 0,
        "setup_seconds": 0.0,
        "fit_seconds": 0.25,
        "warmup_seconds": 1.0,
        "run_seconds": 7.0,
        "fit_evaluations": 300,
        "r_hat": 1.0,
        "ess_min": 700.0,
    } | changes


def curves(reached: float, undefined: bool = False) -> dict[str, Any]:
    """b² falls below the level at cost `reached`, after a dip that it does not keep."""
    b2 = np.where(reached <= CHECKPOINTS, 0.005, 0.5)
    b2[:2] = 0.001, 0.5
    return {
        "phase": ["warmup", "warmup", *["run"] * 4],
        "seconds": CHECKPOINTS / 1e3,
        "gradient_evaluations": CHECKPOINTS,
        "density_evaluations": np.zeros(6),
        "second_moment_b2": np.full(6, np.nan) if undefined else b2,
    }


def read(folder: Folder) -> Results:
    return runs.read(folder.cells(), folder.curves())


def only(folder: Folder) -> paired.Pairing:
    (found,) = paired.pairings(read(folder))
    return found


def write(folder: Folder, reached: dict[str, list[float]], **changes: Any) -> None:
    for method, costs in reached.items():
        for seed, cost in enumerate(costs):
            folder.write(cell(method, seed, **changes), curves(cost))


def test_ratios_are_taken_seed_by_seed(empty: Folder) -> None:
    # paired: 1/2, 1/2, 1/4; of medians it would be 1/1
    write(empty, {"nuts": [2_000, 4_000, 8_000], WARM: [1_000, 2_000, 2_000]})
    ratio = only(empty).ratios["evaluations_to_b2"]
    assert (ratio.ratio.value, ratio.pairs, ratio.better, ratio.worse) == (0.5, 3, 3, 0)
    assert (ratio.ratio.low, ratio.ratio.high) == (0.25, 0.5)


def test_an_accuracy_counts_when_it_is_kept(empty: Folder) -> None:
    write(empty, {"nuts": [4_000]})
    (run,) = read(empty).entries["banana"]["nuts"].runs.values()
    assert paired.reached(run) == 4_000


def test_seeds_that_only_one_of_them_has_are_left_out(empty: Folder) -> None:
    write(empty, {"nuts": [2_000, 4_000], WARM: [2_000, 1_000, 1_000, 1_000]})
    assert only(empty).ratios["evaluations_to_b2"].pairs == 2


def test_what_lies_beyond_the_budget_is_censored_and_not_dropped(empty: Folder) -> None:
    write(empty, {"nuts": [9e9, 9e9, 2_000, 9e9, 4_000], WARM: [1_000, 2_000, 9e9, 9e9, 1_000]})
    ratio = only(empty).ratios["evaluations_to_b2"]
    assert (ratio.pairs, ratio.better, ratio.worse, ratio.neither) == (4, 3, 1, 1)
    assert ratio.ratio.value == pytest.approx(0.125)  # of 0, 0, 1/4, infinity
    assert math.isinf(ratio.ratio.high)


def test_a_run_that_failed_or_says_so_never_gets_there(empty: Folder) -> None:
    write(empty, {"nuts": [4_000, 4_000, 4_000]})
    for seed, changes in enumerate(({"status": "failed", "reason": "fell"}, {"r_hat": 1.3}, {"ess_min": 10.0})):
        empty.write(cell(WARM, seed, **changes), curves(1_000))
    found = only(empty).ratios
    for name in ("evaluations_to_b2", "evaluations_to_ess", "seconds_to_ess"):
        assert (found[name].worse, found[name].ratio.value) == (3, math.inf)
    assert (found["efficiency"].worse, found["efficiency"].ratio.value) == (3, 0.0)


def test_effective_draws_are_counted_with_warm_up(empty: Folder) -> None:
    write(empty, {"nuts": [4_000]})
    write(empty, {WARM: [4_000]}, ess_min=2_800.0, warmup_gradient_evaluations=500, warmup_seconds=0.5)
    (run,) = read(empty).entries["banana"]["nuts"].runs.values()
    assert paired.effective(run, "evaluations") == pytest.approx(1_000 + 400 * 7_000 / 700)
    assert paired.effective(run, "seconds") == pytest.approx(1.0 + 400 * 7.0 / 700)
    found = only(empty)
    assert found.ratios["evaluations_to_ess"].ratio.value == pytest.approx((500 + 7_500 / 7) / 5_000)
    assert found.ratios["efficiency"].ratio.value == pytest.approx(2_800 / 7.5 / 100)
    assert (found.fit_evaluations, found.fit_seconds) == (300.0, 0.25)


def test_an_undefined_error_gives_no_ratio(empty: Folder) -> None:
    for method in ("nuts", WARM):
        empty.write(cell(method, 1), curves(1_000, undefined=True))
    ratio = only(empty).ratios["evaluations_to_b2"]
    assert (ratio.pairs, ratio.neither) == (0, 1) and math.isnan(ratio.ratio.value)


@pytest.mark.parametrize(
    ("method", "cold", "way"),
    [
        ("nuts", "nuts", ""),
        ("nuts[metric=stan]", "nuts[metric=stan]", ""),
        ("nuts[start=one_basin]", "nuts[start=one_basin]", ""),
        ("hmc[warm_start=laplace]", "hmc", "mean of laplace"),
        (
            "hmc[warm_start=advi[a=1,b=2],take=draws,fit_budget=9,path=2,num_chains=3]",
            "hmc[path=2,num_chains=3]",
            "draws of advi[a=1,b=2], fit_budget=9",
        ),
        (
            "nuts[warm_start=laplace,take=draws+dense,keep=false,strength=9]",
            "nuts",
            "draws+dense of laplace, keep=false, strength=9",
        ),
    ],
)
def test_the_cold_sampler_of_a_warm_start(method: str, cold: str, way: str) -> None:
    assert paired.split(method) == (cold, way)


def test_verdicts_need_pairs_and_an_interval(empty: Folder) -> None:
    few = paired.compare(dict.fromkeys(range(4), 1.0), dict.fromkeys(range(4), 2.0))
    enough = paired.compare(dict.fromkeys(range(5), 1.0), dict.fromkeys(range(5), 2.0))
    worse = paired.compare(dict.fromkeys(range(5), 3.0), dict.fromkeys(range(5), 2.0))
    mixed = paired.compare({s: 1.0 + 2.0 * (s % 2) for s in range(10)}, dict.fromkeys(range(10), 2.0))
    assert [each.verdict for each in (few, enough, worse, mixed)] == [0, 1, -1, 0]
    write(empty, {"nuts": [4_000] * 6, WARM: [1_000] * 6, "nuts[warm_start=laplace]": [8_000] * 6})
    said = paired.sentences(paired.pairings(read(empty)))
    assert said[0].startswith(
        "nuts, mean of laplace: evaluations to b² < 0.01 fewer on 0 of 1 targets, more on 1 (banana 2.0)"
    )
    assert "fewer on 1 of 1 targets (banana 0.25)" in said[1]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 400 sets of ten pairs whose true ratio is 0.8, the interval holds it on 0.90 or more: nominal 0.95, and a
    percentile bootstrap of a median of ten holds about 0.93 to 0.98; a fall to 0.85 would be seen."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        cold = np.exp(rng.normal(0.0, 1.0, 10))
        warm = 0.8 * cold * np.exp(rng.normal(0.0, 0.2, 10))
        found = paired.compare(dict(enumerate(warm)), dict(enumerate(cold))).ratio
        held += found.low <= 0.8 <= found.high
    assert held >= 360


def test_the_report_has_the_section_where_there_are_pairs(empty: Folder, tmp_path: Path) -> None:
    write(empty, {"nuts": [4_000] * 5})
    assert 'id="paired"' not in reports.write(empty, tmp_path / "cold.html").read_text()
    write(empty, {WARM: [1_000] * 5})
    page = reports.write(empty, tmp_path / "warm.html").read_text()
    assert 'id="paired"' in page and "0.25 [0.25, 0.25] 5:0" in page


# ---- several modes, and the pages of a study -------------------------------------------------------------------------


def bimodal(folder: Folder, method: str, errors: list[float], r_hat: float, **changes: Any) -> None:
    for seed, error in enumerate(errors):
        shown = curves(1_000) | {"mode_mass_error": np.full(6, error)}
        folder.write(cell(method, seed, "bimodal_mixture", r_hat=r_hat, **changes), shown)


def test_modes_tell_the_misled_from_the_warned(empty: Folder) -> None:
    bimodal(empty, "nuts[start=one_basin]", [0.3, 0.3, 0.02], 1.001, oracle=True)
    bimodal(empty, "nuts[start=all_basins]", [0.2, 0.05, 0.3], 2.5)
    bimodal(empty, "smc", [0.01, 0.02, 0.01], 1.0, log_normaliser=1.25, true_log_normaliser=1.0)
    section = modes.section(read(empty))
    assert section is not None
    found = {row["sampler"]: row for row in section.numbers}
    assert (found["nuts[start=one_basin]"]["misled"], found["nuts[start=one_basin]"]["warned"]) == (2, 0)
    assert (found["nuts[start=all_basins]"]["misled"], found["nuts[start=all_basins]"]["warned"]) == (0, 2)
    assert found["smc"]["log_normaliser_error"]["median"] == 0.25
    assert found["smc"]["mass_error"] == {"median": 0.01, "seeds": [0.01, 0.02, 0.01]}
    text = section.markdown()
    assert "| bimodal_mixture | smc | 0.010 (0.020) | 1.00 (1.00) | 700 (700) | 0 of 3 | 0 of 3 | 0.25 (0.25) |" in text
    assert "smc on bimodal_mixture: masses right on 3 of 3 seeds." in text


def test_a_study_is_written_as_markdown_and_numbers(tmp_path: Path) -> None:
    import json

    folder = open_folder(tmp_path / "r", create=True)
    write(folder, {"nuts": [4_000] * 5, WARM: [1_000] * 4 + [9e9]})
    paths = study.write(tmp_path / "r", "warm-start", "what a fit saves", ("paired", "modes"))
    assert [path.name for path in paths] == ["warm-start.md", "warm-start.json"]
    text, numbers = paths[0].read_text(), json.loads(paths[1].read_text())
    assert text.startswith("# warm-start\n\nWhat a fit saves. 10 cells, 5 seeds.\n\n## Warm starts, paired\n")
    assert "| banana | nuts, draws+dense of laplace | 300, 0.25 s | 0.25 [0.25, ∞] 4:1 |" in text
    assert list(numbers["tables"]) == ["paired"]
    cold, warm = numbers["tables"]["paired"]["rows"]
    assert (cold["start"], cold["evaluations_to_b2"]) == ("cold", 4_000.0)
    assert warm["evaluations_to_b2"] | {"low": 0.25, "high": "inf"} == warm["evaluations_to_b2"]
    again = [path.read_bytes() for path in paths]
    study.write(tmp_path / "r", "warm-start", "what a fit saves", ("paired", "modes"))
    assert again == [path.read_bytes() for path in paths]
