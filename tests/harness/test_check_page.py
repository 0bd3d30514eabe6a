"""What `crossover check` and `crossover new` write."""

import pathlib
import re
from collections.abc import Callable

import numpy as np
import pytest

from harness import scaffold
from harness.check.averages import compare, t_values, threshold
from reports import verdict
from reports.records import RecordsError

CommandLine = Callable[..., tuple[int, str, str]]


def test_the_page_says_what_the_terminal_says(crossover: CommandLine, tmp_path: pathlib.Path) -> None:
    page = tmp_path / "page.html"
    code, out, _ = crossover("check", "banana", "-o", page, "--seed", "5")
    assert code == 0 and out.splitlines()[-1] == str(page)
    text = page.read_text()
    assert "<h1>Right</h1>" in text and "target banana" in text and "--seed 5" in text
    assert text.count("<figure>") == 2  # the gradient, and the samplers
    assert not re.search(r'(?:src|href)="(?!data:)', text), "it works offline"
    for line in out.splitlines()[1:-2]:
        assert line.removeprefix("  ok    ").split(": ")[0].split(" = ")[0] in text.replace("&#39;", "'")


def test_a_wrong_target_has_a_page_too(crossover: CommandLine, wrong_plugin_file: pathlib.Path) -> None:
    page = wrong_plugin_file.with_suffix(".html")
    code, out, _ = crossover("check", wrong_plugin_file, "-o", page)
    assert code == 1 and "wrong" in out.splitlines()
    text = page.read_text()
    assert "<h1>Wrong</h1>" in text
    assert text.index("WRONG") < text.index(">ok<"), "what is wrong comes first"


def test_text_is_escaped_and_a_folder_that_is_missing_named(tmp_path: pathlib.Path) -> None:
    line: verdict.Line = {"ok": True, "what": "<b>", "detail": "a < b", "drawn": {}}
    text = verdict.write({"x": [line]}, tmp_path / "page.html").read_text()
    assert "<td>&lt;b&gt;</td>" in text and "a &lt; b" in text
    with pytest.raises(RecordsError, match="cannot be written"):
        verdict.write({"x": [line]}, tmp_path / "none" / "page.html")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["target", "banana"], "the name 'banana' is taken by a target"),
        (["method", "nuts"], "the name 'nuts' is taken by a method"),
        (["target", "Bad-name"], "is not accepted; it takes small letters"),
        (["target", "class"], "is not accepted"),
        (["target", "walk"], "is not accepted"),
        (["target", "fine", "--kind", "vi"], "a target has no kind"),
        (["method", "there"], "there.py is there already"),
    ],
)
def test_names_that_cannot_be_are_refused(
    crossover: CommandLine,
    arguments: list[str],
    says: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.py").write_text("mine")
    code, _, err = crossover("new", *arguments)
    assert code == 2 and says in err and len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there.py"]
    assert (tmp_path / "there.py").read_text() == "mine"


def test_a_scaffold_has_the_name_and_no_place_left(
    crossover: CommandLine, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the files pass the check is asked where errors are planted into them."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["target", "one"], ["method", "two"], ["method", "three", "--kind", "vi"]):
        code, out, _ = crossover("new", *arguments)
        text = (tmp_path / f"{arguments[1]}.py").read_text()
        assert code == 0 and f"crossover check {arguments[1]}.py" in out
        assert f"def {arguments[1]}(" in text and not scaffold.PLACE.search(text)
        assert max(map(len, text.splitlines())) <= 120


def test_thresholds_keep_to_their_level() -> None:
    """Averages of normal numbers that are right raise no alarm; at one in a hundred, as many as they should."""
    from scipy import stats

    assert 2 * stats.t.sf(threshold(32, 1), 31) == pytest.approx(1e-6)
    assert 2 * 5 * stats.t.sf(threshold(32, 5), 31) == pytest.approx(1e-6)
    rng = np.random.default_rng(3)
    drawn = rng.standard_normal((2000, 32, 5))
    assert all(compare("", list("abcde"), values, np.zeros(5)).ok for values in drawn)
    often = sum(np.abs(t_values(values, np.zeros(5))[0]) > stats.t.isf(0.005, 31) for values in drawn)
    assert stats.binomtest(int(often), 2000, 0.01).pvalue > 1e-6
    shifted = compare("", list("abcde"), rng.standard_normal((32, 5)) + 3.0, np.zeros(5))
    assert not shifted.ok and "t = " in shifted.detail
    assert compare("", list("abcde"), rng.standard_normal((32, 5)) + 3.0, np.full(5, 3.0)).ok
    assert not compare("", ["a"], np.full((32, 1), np.nan), np.zeros(1)).ok
