"""Bags of words from the files that they are kept in, and from folders of texts.

UCI's docword and vocab, Blei's LDA-C, Matrix Market, svmlight; each may be compressed by gzip.
"""

import gzip
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from targets.conjugate.bags import Bags
from targets.conjugate.texts import bags_of_texts
from targets.options import UsageError, require

FORMATS = ("uci", "ldac", "mm", "svmlight", "folder")


def read(path: str | os.PathLike[str], format: str = "", vocabulary: str | os.PathLike[str] = "") -> Bags:  # noqa: A002
    """The documents of a file, or of a folder of .txt files.

    Args:
        path: of the file, or folder.
        format: one of `FORMATS`; where '', what the first lines look like. "uci": three lines with the numbers of
            documents, terms and entries, then 'document term count' a line, from 1. "ldac": a document a line,
            'n term:count ...', terms from 0. "mm": Matrix Market coordinates, documents by terms. "svmlight": a
            document a line, 'label term:count ...', terms from 0 where one is 0, else from 1.
        vocabulary: file of the terms' words, one a line; where '', vocab.NAME.txt or vocab.txt beside docword.NAME.txt
            or the file, if there is one.

    Raises:
        UsageError: it cannot be read, or a line is not of its format.
    """
    where = Path(path)
    require(where.exists(), f"{where} does not exist; it takes a file of bags of words, or a folder of .txt files")
    require(format in ("", *FORMATS), f"format={format!r} is not accepted; it takes {', '.join(FORMATS)}")
    if where.is_dir():
        files = sorted(where.rglob("*.txt"))
        require(bool(files), f"{where} holds no .txt files")
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
        return bags_of_texts(texts, [str(file.relative_to(where)) for file in files])
    try:
        with _open(where) as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise UsageError(f"{where} cannot be read: {error}") from None
    kind = format or _guessed(lines)
    require(bool(kind), f"{where} is none of {', '.join(FORMATS[:-1])}; say which with format=")
    documents, terms, counts, shape = {"uci": _uci, "mm": _market, "ldac": _lines, "svmlight": _lines}[kind](
        lines, kind, str(where)
    )
    words = _words(where, vocabulary)
    if words and kind in ("ldac", "svmlight"):
        shape = (shape[0], max(shape[1], len(words)))
    try:
        return Bags.of_entries(documents, terms, counts, shape, words)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _guessed(lines: Sequence[str]) -> str:
    if lines and lines[0].startswith("%%MatrixMarket"):
        return "mm"
    if len(lines) >= 3 and all(line.strip().isdigit() for line in lines[:3]):
        return "uci"
    counted = True
    for line in (line.split("#")[0].split() for line in lines[:100]):
        if line and not all(":" in part for part in line[1:]):
            return ""
        counted &= not line or (line[0].isdigit() and int(line[0]) == len(line) - 1)
    if not any(":" in line for line in lines[:100]):
        return ""
    return "ldac" if counted else "svmlight"


Entries = tuple[Any, Any, Any, tuple[int, int]]


def _triples(lines: Sequence[str], first: int, where: str) -> tuple[Any, Any, Any]:
    table = np.empty((3, len(lines)))
    n = 0
    for number, line in enumerate(lines, first):
        parts = line.split()
        if not parts or parts[0].startswith("%"):
            continue
        try:
            table[:, n] = [float(part) for part in (*parts, "1")[:3]]
            fine = len(parts) in (2, 3) and bool((table[:2, n] >= 1).all() and (table[:2, n] % 1 == 0).all())
        except ValueError:
            fine = False
        require(fine, f"{where}, line {number}: {line[:60]!r} is not accepted; it takes 'document term count', from 1")
        n += 1
    return table[0, :n].astype(np.int64) - 1, table[1, :n].astype(np.int64) - 1, table[2, :n]


def _uci(lines: Sequence[str], kind: str, where: str) -> Entries:  # noqa: ARG001
    fine = len(lines) >= 3 and all(line.strip().isdigit() for line in lines[:3])
    require(fine, f"{where} does not begin with the numbers of documents, terms and entries, a line each")
    n, v, size = (int(line) for line in lines[:3])
    documents, terms, counts = _triples(lines[3:], 4, where)
    require(len(counts) == size, f"{where} holds {len(counts)} entries where its third line says {size}")
    return documents, terms, counts, (n, v)


def _market(lines: Sequence[str], kind: str, where: str) -> Entries:  # noqa: ARG001
    head = lines[0].lower().split() if lines else []
    require(
        len(head) == 5
        and head[2] == "coordinate"
        and head[3] in ("integer", "real", "pattern")
        and head[4] == "general",
        f"{where} is not accepted; of Matrix Market it takes 'matrix coordinate integer|real|pattern general'",
    )
    at = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("%")), len(lines))
    sizes = lines[at].split() if at < len(lines) else []
    fine = len(sizes) == 3 and all(size.isdigit() for size in sizes)
    require(fine, f"{where} has no line with the numbers of rows, columns and entries")
    documents, terms, counts = _triples(lines[at + 1 :], at + 2, where)
    require(len(counts) == int(sizes[2]), f"{where} holds {len(counts)} entries where line {at + 1} says {sizes[2]}")
    return documents, terms, counts, (int(sizes[0]), int(sizes[1]))


def _lines(lines: Sequence[str], kind: str, where: str) -> Entries:
    documents: list[int] = []
    pairs: list[tuple[int, float]] = []
    n = 0
    for number, line in enumerate(lines, 1):
        parts = line.split("#")[0].split()
        if not parts and kind == "svmlight":
            continue
        try:
            found = list(_pairs(parts[1:]))
            fine = bool(parts) and (kind == "svmlight" or int(parts[0]) == len(found)) and float(parts[0]) is not None
        except ValueError:
            fine = False
        head = "number of terms" if kind == "ldac" else "label"
        require(
            fine, f"{where}, line {number}: {line[:60]!r} is not accepted; it takes a {head} and 'term:count' for each"
        )
        pairs += found
        documents += [n] * len(found)
        n += 1
    terms = np.array([term for term, _ in pairs], dtype=np.int64)
    counts = np.array([count for _, count in pairs], dtype=np.float64)
    if kind == "svmlight" and len(terms) and terms.min() > 0:
        terms -= 1
    return np.array(documents, dtype=np.int64), terms, counts, (n, int(terms.max()) + 1 if len(terms) else 0)


def _pairs(parts: Sequence[str]) -> Iterator[tuple[int, float]]:
    for part in parts:
        term, count = part.split(":")
        if term == "qid":
            continue
        if int(term) < 0:
            raise ValueError(term)
        yield int(term), float(count)


def _words(where: Path, vocabulary: str | os.PathLike[str]) -> tuple[str, ...]:
    name = where.name.removesuffix(".gz")
    beside = [where.with_name(name.replace("docword", "vocab"))] if name.startswith("docword") else []
    found = next((path for path in (*beside, where.with_name("vocab.txt")) if path.is_file() and path != where), None)
    path = Path(vocabulary) if vocabulary else found
    if path is None:
        return ()
    try:
        with _open(path) as file:
            return tuple(line.strip() for line in file.read().splitlines() if line.strip())
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise UsageError(f"the vocabulary {path} cannot be read: {error}") from None
