"""What the study of coverage found, as a section of the report, beside a race and without one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reports
from reports import coverage, study
from reports.records import Folder, RecordsError


def quantity(name: str, fit: int, chains: int, sd_ratio: float) -> dict[str, Any]:
    return {"name": name, "fit": [fit // 2, fit], "chains": [chains // 2, chains], "sd_ratio": sd_ratio}


NUMBERS: dict[str, Any] = {
    "repetitions": 200,
    "sweeps": 3000,
    "starts": 3,
    "levels": [0.5, 0.9],
    "cases": [
        {"name": "one", "exact": True, "quantities": [quantity("mean", 180, 181, 1.0)]},
        {
            "name": "<two>",
            "exact": False,
            "quantities": [quantity("weight", 128, 179, 0.59), quantity("gap", 150, 160, 0.7)],
        },
    ],
}


def test_it_says_how_much_too_narrow_intervals_are() -> None:
    page = coverage.page(NUMBERS)
    assert page.reported is page.sections[0] and len(page.sections) == 3
    assert page.reported.sentences == [
        "VB-EM where it is not exact: the interval of the coverage at 90 % leaves out 90 % for 2 of 2 quantities.",
        "VB-EM where it is exact: the interval of the coverage at 90 % leaves out 90 % for 0 of 1 quantities.",
        "Gibbs: the interval of the coverage at 90 % leaves out 90 % for 1 of 3 quantities.",
        "90 % intervals of VB-EM are furthest off for weight of <two>: they hold the truth in 64% [57%, 70%], and "
        "its sd is 0.59 of that of Gibbs.",
    ]


def test_a_folder_of_studies_alone_has_a_report(tmp_path: Path) -> None:
    study.inquiry(tmp_path / "r", "coverage", "how often", NUMBERS)
    html = reports.write(tmp_path / "r", tmp_path / "r" / "report.html").read_text()
    assert 'id="measured-coverage"' in html and "&lt;two&gt;" in html and "64% to 75%" in html
    assert 'id="page-one"' not in html and "<script" not in html


def test_beside_a_race_it_is_a_section(empty: Folder, filled: Callable[..., Folder]) -> None:
    filled(empty, ["banana"], ["laplace", "hmc"], seeds=1)
    out = empty.path / "report.html"
    before = reports.write(empty, out).read_text()
    study.inquiry(empty.path, "coverage", "how often", NUMBERS)
    after = reports.write(empty, out).read_text()
    assert "measured-coverage" not in before
    assert all(f'id="{name}"' in after for name in ("page-one", "measured-coverage"))


def test_it_keeps_off_the_folders_of_others(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(RecordsError, match="not empty"):
        study.inquiry(tmp_path, "coverage", "how often", NUMBERS)
