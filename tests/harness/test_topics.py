"""The corpus of documentation, figure 7, the study of topics and its page, and the growth of costs, all in small."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness import figures_lda, topics
from harness.corpus import documentation
from harness.scaling import topics as passes
from harness.studies import choose
from reports import figures, study
from targets.conjugate.bags import Bags
from targets.options import UsageError


@pytest.fixture(scope="module")
def small() -> Bags:
    """Sixty documents of the words that figure 7 looks for, and some more."""
    made = passes.corpus(60, words=40, terms=120, topics=4)
    shown = [word for words in figures_lda.SHOWN.values() for word in words]
    vocabulary = (*shown, *(f"w{n}" for n in range(120 - len(shown))))
    return Bags(made.starts, made.terms, made.counts, 120, vocabulary, tuple(f"a.b{n}.c" for n in range(60)))


def test_documentation_is_read_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "planted"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    words = " ".join(f"alpha{chr(97 + n)} beta{chr(97 + n)}" for n in range(25))
    source = "".join(f'def f{n}(x):\n    """{words} {n * "x"}more"""\n' for n in range(15)) + "class C: pass\n"
    (package / "part.py").write_text(source + 'def _g():\n    """too short"""\n')
    (package / "broken.py").write_text("def (:\n")
    monkeypatch.syspath_prepend(tmp_path)
    bags = documentation(("planted", "no_such_package"))
    assert bags.titles == tuple(sorted(f"planted.part.f{n}" for n in range(15)))
    assert {"alphaa", "betay"} <= set(bags.vocabulary)


def test_the_corpus_is_of_real_documents() -> None:
    assert importlib.util.find_spec("numpy") is not None
    bags = documentation(("numpy.linalg", "scipy.optimize"))
    again = documentation(("numpy.linalg", "scipy.optimize"))
    assert bags.titles == again.titles and np.array_equal(bags.counts, again.counts)
    assert len(bags) > 50 and "gradient" in bags.vocabulary
    assert any(title.startswith("numpy.linalg._linalg.") for title in bags.titles)
    assert bags.lengths.min() >= 40


def test_figure_7(small: Bags, tmp_path: Path) -> None:
    numbers = figures_lda.topics(1, small, passes=3)
    assert len(numbers["documents"]) == 8 and len({document["title"] for document in numbers["documents"]}) == 8
    assert len({topic["number"] for topic in numbers["topics"]}) == 4
    for document in numbers["documents"]:
        assert 0.0 < sum(document["proportions"]) <= 1.0 + 1e-12
    paths = figures.draw(7, numbers, tmp_path)
    assert [path.name for path in paths] == ["figure-7.svg", "figure-7.png", "figure-7.json"]
    assert paths[0].read_bytes() == figures.draw(7, numbers, tmp_path)[0].read_bytes()


def test_the_study_of_topics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bags = passes.corpus(60, words=30, terms=50, topics=3)
    lines = [
        " ".join([str(b - a), *(f"{bags.terms[n]}:{bags.counts[n]:g}" for n in range(a, b))])
        for a, b in zip(bags.starts[:-1], bags.starts[1:], strict=True)
    ]
    (tmp_path / "docs.ldac").write_text("\n".join(lines))
    chosen = choose("topics")
    numbers = chosen.compute(2, 300, str(tmp_path / "docs.ldac"))  # type: ignore[union-attr]
    assert {run["method"] for run in numbers["runs"]} == set(topics.PASSES)
    for run in numbers["runs"]:
        assert run["passes"] == [1, 2, 3, 4, 5] and np.all(np.diff(run["seconds"]) > 0)
        assert np.isfinite(run["held_out"]).all()
    paths = study.inquiry(tmp_path / "results", "topics", chosen.summary, numbers)
    assert [path.name for path in paths] == ["topics.md", "topics.json", "topics-race.svg"]
    assert "collapsed Gibbs" in paths[0].read_text() and json.loads(paths[1].read_text())["documents"] == 60
    with pytest.raises(UsageError, match="a pass takes 60"):
        topics.compute(1, 3, str(tmp_path / "docs.ldac"))
    with pytest.raises(UsageError, match="--corpus is not accepted"):
        choose("discrete").compute(1, None, "x")  # type: ignore[union-attr]


@pytest.mark.parametrize("start", [passes.batch_passes, passes.online_passes, passes.gibbs_sweeps])
def test_passes_that_are_timed_go_on(start: Callable[[Bags, int], Callable[[], object]]) -> None:
    bags = passes.corpus(30, words=7, terms=20)
    assert bags.shape == (30, 20) and np.all(bags.lengths == 7)
    work = start(bags, 3)
    for _ in range(3):
        work()
