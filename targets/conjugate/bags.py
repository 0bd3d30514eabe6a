"""Bags of words: documents as counts of terms, in compressed rows, from whatever holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from targets.kernel import Matrix, Vector

Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Bags:
    """Documents, one after the other.

    Attributes:
        starts: (documents + 1,) where each begins in `terms` and `counts`.
        terms: increasing within a document.
        counts: of the terms, positive; they may be fractions, as weights are.
        n_terms: of the vocabulary.
        vocabulary: the terms' words, or () where they have none.
        titles: of the documents, or ().
    """

    starts: npt.NDArray[np.int64]
    terms: npt.NDArray[np.int32]
    counts: Vector
    n_terms: int
    vocabulary: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("starts", np.int64), ("terms", np.int32), ("counts", np.float64)):
            given = getattr(self, name)
            if given.dtype != kind or not given.flags.c_contiguous or not given.flags.writeable:  # as of a memory map
                object.__setattr__(self, name, np.array(given, dtype=kind))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Documents and terms."""
        return len(self), self.n_terms

    @property
    def lengths(self) -> Vector:
        """(documents,) words of each."""
        if len(self.counts) == 0:
            return np.zeros(len(self))
        begins = np.minimum(self.starts[:-1], len(self.counts) - 1)  # of documents at the end that are empty
        return np.asarray(np.add.reduceat(self.counts, begins)) * (np.diff(self.starts) > 0)

    @property
    def whole(self) -> bool:
        """Whether all counts are whole numbers."""
        return bool(np.all(self.counts == np.floor(self.counts)))

    def take(self, documents: npt.ArrayLike) -> "Bags":
        """These documents, in this order."""
        chosen = np.asarray(documents, dtype=np.int64)
        widths = np.diff(self.starts)[chosen]
        starts = np.concatenate([[0], np.cumsum(widths)])
        places = np.repeat(self.starts[chosen] - starts[:-1], widths) + np.arange(starts[-1])
        titles = tuple(self.titles[d] for d in chosen) if self.titles else ()
        return Bags(starts, self.terms[places], self.counts[places], self.n_terms, self.vocabulary, titles)

    def slice(self, first: int, last: int) -> "Bags":
        """The documents `first`, ..., `last` - 1, without a copy."""
        begin, end = self.starts[first], self.starts[last]
        return Bags(
            self.starts[first : last + 1] - begin, self.terms[begin:end], self.counts[begin:end], self.n_terms,
            self.vocabulary, self.titles[first:last],
        )  # fmt: skip

    @classmethod
    def of_entries(
        cls,
        documents: Integers,
        terms: Integers,
        counts: npt.ArrayLike,
        shape: tuple[int, int],
        vocabulary: Sequence[str] = (),
        titles: Sequence[str] = (),
    ) -> "Bags":
        """Entries in any order; those of the same document and term are added up, and zeros dropped.

        Raises:
            ValueError: a count is negative or not finite, or an index is out of range.
        """
        from scipy.sparse import coo_array

        values = np.asarray(counts, dtype=np.float64)
        _check(values)
        for name, given, size in (("document", documents, shape[0]), ("term", terms, shape[1])):
            if len(given) and not (int(np.min(given)) >= 0 and int(np.max(given)) < size):
                raise ValueError(f"a {name}'s index is out of range; it takes those from 0 to {size - 1}")
        rows = coo_array((values, (documents, terms)), shape=shape).tocsr()
        rows.sum_duplicates()
        rows.eliminate_zeros()
        if vocabulary and len(vocabulary) != shape[1]:
            raise ValueError(f"{len(vocabulary)} words do not fit {shape[1]} terms")
        return cls(
            rows.indptr.astype(np.int64), rows.indices.astype(np.int32), np.asarray(rows.data), shape[1],
            tuple(vocabulary), tuple(titles),
        )  # fmt: skip

    @classmethod
    def of(cls, X: Any, name: str, *, features: int | None = None) -> "Bags":
        """Counts (documents, terms) from an array, a SciPy sparse matrix, or bags, which are returned as they are.

        Raises:
            ValueError: what is no such matrix, one of other than `features` columns, or a count that is negative or
                not finite.
        """
        if isinstance(X, Bags):
            made = X
        elif getattr(X, "format", "") == "csr" and X.dtype == np.float64 and X.has_canonical_format and np.all(X.data):
            _check(X.data)
            made = cls(X.indptr.astype(np.int64), X.indices.astype(np.int32), X.data.copy(), X.shape[1])
        elif hasattr(X, "tocoo"):
            entries = X.tocoo()
            if np.iscomplexobj(entries.data):
                raise ValueError(f"{name}: Complex data not supported; it takes counts")
            made = cls.of_entries(entries.row, entries.col, entries.data, entries.shape)
        else:
            made = cls._of_dense(X, name)
        if made.n_terms == 0:
            raise ValueError(f"{name}: 0 feature(s) (shape={made.shape}) while a minimum of 1 is required: terms")
        if len(made) == 0:
            raise ValueError(f"{name}: 0 sample(s) (shape={made.shape}) while a minimum of 1 is required")
        if features is not None and made.n_terms != features:
            raise ValueError(f"X has {made.n_terms} features, but {name} is expecting {features} features as input")
        return made

    @classmethod
    def _of_dense(cls, X: npt.ArrayLike, name: str) -> "Bags":
        try:
            given = np.asarray(X)
            if np.iscomplexobj(given):
                raise ValueError(f"{name}: Complex data not supported; it takes counts")
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            if "Complex" in str(error) or "argument must be" in str(error):  # the latter is NumPy's, of objects
                raise
            raise ValueError(f"{name}: the data are not a matrix of counts ({error})") from None
        if values.ndim != 2:
            raise ValueError(
                f"{name}: Expected 2D array, got {values.ndim}D array instead; it takes (documents, terms). "
                "Reshape your data: X.reshape(1, -1) makes one document of a vector"
            )
        documents, terms = np.nonzero(values)
        return cls.of_entries(documents, terms, values[documents, terms], values.shape)

    def dense(self) -> Matrix:
        """(documents, terms)."""
        made = np.zeros(self.shape)
        made[np.repeat(np.arange(len(self)), np.diff(self.starts)), self.terms] = self.counts
        return made


def _check(values: Vector) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"the counts contain {'NaN' if np.isnan(values).any() else 'infinity'}; they take numbers")
    if len(values) and values.min() < 0:
        raise ValueError("Negative values in data: counts take numbers from 0")
