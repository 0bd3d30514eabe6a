"""Bags of words from files: every format gives the same documents, and errors say which line is wrong."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import mmwrite
from scipy.sparse import coo_array, csr_array

from targets.conjugate.bag_files import read
from targets.conjugate.bags import Bags
from targets.conjugate.texts import bags_of_texts
from targets.options import UsageError

COUNTS = np.array([[0, 2, 1, 0], [3, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 4]])

FILES = {
    "docword.small.txt": "4\n4\n5\n1 2 2\n1 3 1\n2 1 3\n4 1 1\n4 4 4\n",
    "small.ldac": "2 1:2 2:1\n1 0:3\n0\n2 0:1 3:4\n",
    "small.svmlight": "1 2:2 3:1 # news\n-1 1:3\n0.5\n1 1:1 4:4\n",
    "small.mtx": "%%MatrixMarket matrix coordinate integer general\n% made\n4 4 5\n1 2 2\n1 3 1\n2 1 3\n4 1 1\n4 4 4\n",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packed", [False, True])
def test_formats_give_the_same_documents(name: str, packed: bool, tmp_path: Path) -> None:
    if packed:
        path = tmp_path / f"{name}.gz"
        path.write_bytes(gzip.compress(FILES[name].encode()))
    else:
        path = tmp_path / name
        path.write_text(FILES[name])
    assert np.array_equal(read(path).dense(), COUNTS)
    vocabulary = tmp_path / ("vocab.small.txt" if name.startswith("docword") else "vocab.txt")
    vocabulary.write_text("ant\nbee\ncow\ndog\n")
    assert read(path).vocabulary == ("ant", "bee", "cow", "dog")


def test_what_scipy_writes_is_read(tmp_path: Path) -> None:
    mmwrite(tmp_path / "x.mtx", coo_array(COUNTS))
    assert np.array_equal(read(tmp_path / "x.mtx").dense(), COUNTS)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "4\n4\n5\n1 2 2\n", "holds 1 entries where its third line says 5"),
        ("a.txt", "4\n4\n1\n1 x 2\n", "line 4: '1 x 2' is not accepted"),
        ("a.txt", "4\n4\n1\n0 1 2\n", "line 4"),
        ("a.txt", "4\n4\n1\n1 9 2\n", "index is out of range"),
        ("a.txt", "4\n4\n1\n1 1 -2\n", "Negative"),
        ("a.txt", "4\n4\n1\n1 1 nan\n", "NaN"),
        ("a.ldac", "2 1:2 2:1\n1 0-3 0:2\n", "is none of"),
        ("a.svm", "1 1:2\n1 1:x\n", "line 2"),
        ("a.mtx", "%%MatrixMarket matrix array real general\n1 1\n1\n", "takes 'matrix coordinate"),
        ("a.mtx", "%%MatrixMarket matrix coordinate real general\n%\n", "no line with the numbers"),
        ("a.txt", "plain words\n", "is none of"),
        ("a.txt", "", "is none of"),
        ("a.gz", "no gzip", "cannot be read"),
    ],
)
def test_errors_say_what_is_wrong(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_more_errors(tmp_path: Path) -> None:
    for path, options, message in (
        (tmp_path / "none", {}, "does not exist"),
        (tmp_path, {}, "holds no .txt files"),
        (tmp_path, {"format": "pdf"}, "format='pdf'"),
    ):
        with pytest.raises(UsageError, match=message):
            read(path, **options)
    (tmp_path / "docword.txt").write_text(FILES["docword.small.txt"])
    (tmp_path / "vocab.txt").write_text("one\n")
    with pytest.raises(UsageError, match="1 words do not fit 4 terms"):
        read(tmp_path / "docword.txt")


def test_a_folder_of_texts(tmp_path: Path) -> None:
    for n, text in enumerate(("The matrix, a Matrix!", "matrix inverse", "plots of the inverse")):
        (tmp_path / f"{n}.txt").write_text(text)
    bags = read(tmp_path)
    assert bags.titles == ("0.txt", "1.txt", "2.txt") and bags.vocabulary == ("inverse", "matrix", "plots")
    made = bags_of_texts(["cat cat dog", "dog bird", "bird"], fewest=1, share=1.0)
    assert made.vocabulary == ("bird", "cat", "dog")
    assert np.array_equal(made.dense(), [[0, 2, 1], [1, 0, 1], [1, 0, 0]])
    with pytest.raises(UsageError, match="no word is in"):
        bags_of_texts(["the", "of"])


def test_rows_in_any_form_are_the_same_bags() -> None:
    forms: list[Any] = [
        COUNTS,
        COUNTS.tolist(),
        csr_array(COUNTS),
        coo_array(COUNTS.astype(float)),
        Bags.of(COUNTS, "X"),
    ]
    for form in forms:
        bags = Bags.of(form, "X")
        assert np.array_equal(bags.dense(), COUNTS)
        assert np.array_equal(bags.lengths, COUNTS.sum(axis=1))
        assert np.array_equal(bags.take([3, 0, 0]).dense(), COUNTS[[3, 0, 0]])
        assert np.array_equal(bags.slice(1, 3).dense(), COUNTS[1:3])
    twice = coo_array(([1.0, 2.0, 0.0], ([0, 0, 0], [1, 1, 0])), shape=(1, 2))
    assert Bags.of(twice, "X").counts.tolist() == [3.0]
    with pytest.raises(ValueError, match="X has 4 features, but X is expecting 3"):
        Bags.of(COUNTS, "X", features=3)
