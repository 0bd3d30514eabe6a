"""Rows that need not fit in memory, a block at a time: arrays, memory maps, .npy files and Parquet row groups."""

import os
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from targets.kernel import Matrix
from variational.conjugate.estimator import rows

SIZE = 16384  # rows of a block


class Blocks(Protocol):
    """Rows (n, features) that can be passed over again and again."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def __iter__(self) -> Iterator[Matrix]:
        """Blocks of rows in order, each C-contiguous float64."""

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Matrix]:
        """The rows once in a random order, `size` at a time; those left over wait for the next call."""

    def take(self, chosen: npt.NDArray[np.int64]) -> Matrix:
        """The rows with these numbers, which increase."""


class Array:
    """An array (n, features), of which no more than a block is copied or converted at a time."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self.values = values
        self.shape = (values.shape[0], values.shape[1])

    def __iter__(self) -> Iterator[Matrix]:
        for start in range(0, self.shape[0], SIZE):
            yield _plain(self.values[start : start + SIZE])

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Matrix]:
        order = rng.permutation(self.shape[0])
        for start in range(0, self.shape[0] - size + 1, size):
            yield self.take(np.sort(order[start : start + size]))

    def take(self, chosen: npt.NDArray[np.int64]) -> Matrix:
        return _plain(self.values[chosen])


class Parquet:
    """A Parquet file, or a folder's worth of them in the order given, whose columns are the features.

    A random order is one of row groups, and within a pool of `POOL` of them: rows that lie close in the file are
    likelier to come close together.
    """

    POOL = 8

    def __init__(self, *paths: str | os.PathLike[str]) -> None:
        from pyarrow import parquet

        self.files = [parquet.ParquetFile(path, memory_map=True) for path in paths]
        names = self.files[0].schema_arrow.names
        for path, file in zip(paths, self.files, strict=True):
            if file.schema_arrow.names != names:
                raise ValueError(f"{path}: its columns are not those of {paths[0]}; all files take the same")
        self.names = names
        self.shape = (sum(file.metadata.num_rows for file in self.files), len(names))

    def __iter__(self) -> Iterator[Matrix]:
        for file in self.files:
            for batch in file.iter_batches(batch_size=SIZE):
                yield self._matrix(batch)

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Matrix]:
        groups = [(file, g) for file in self.files for g in range(file.num_row_groups)]
        order = rng.permutation(len(groups))
        left = np.empty((0, self.shape[1]))
        for start in range(0, len(order), self.POOL):
            picked = [groups[g] for g in order[start : start + self.POOL]]
            pool = np.concatenate([left, *(self._matrix(file.read_row_group(g)) for file, g in picked)])
            rng.shuffle(pool)
            for first in range(0, len(pool) - size + 1, size):
                yield np.ascontiguousarray(pool[first : first + size])
            left = pool[len(pool) // size * size :]

    def take(self, chosen: npt.NDArray[np.int64]) -> Matrix:
        found, start = [], 0
        for block in self:
            inside = chosen[(chosen >= start) & (chosen < start + len(block))] - start
            found.append(block[inside])
            start += len(block)
        return np.concatenate(found)

    def _matrix(self, table: Any) -> Matrix:
        columns = [table.column(i).to_numpy(zero_copy_only=False) for i in range(table.num_columns)]
        return _plain(np.column_stack(columns)) if columns else np.empty((table.num_rows, 0))


def blocks(X: Any, name: str, *, features: int | None = None, least: int = 1) -> Blocks:
    """What X holds: anything that `rows` takes, a numpy memory map, or the path of a .npy or Parquet file, or several.

    Raises:
        ValueError: it is not a finite real matrix; of memory maps and files this is seen as they are passed over.
        TypeError: the rows are sparse.
    """
    source: Blocks
    if isinstance(X, str | os.PathLike):
        if os.fspath(X).endswith(".npy"):
            return blocks(np.load(X, mmap_mode="r"), name, features=features, least=least)
        source = Parquet(X)
    elif isinstance(X, list | tuple) and X and all(isinstance(x, str | os.PathLike) for x in X):
        source = Parquet(*X)
    elif isinstance(X, np.memmap) and X.ndim == 2 and X.dtype.kind in "fiu":
        source = Array(X)
    else:
        return Array(rows(X, name, features=features, least=least))
    n, d = source.shape
    if d == 0 or n < least:
        raise ValueError(f"{name}: n_samples={n} of {d} feature(s) is not accepted; it takes {least} or more rows")
    if features is not None and d != features:
        raise ValueError(f"X has {d} features, but {name} is expecting {features} features as input")
    return source


def _plain(values: npt.NDArray[Any]) -> Matrix:
    return np.ascontiguousarray(values, dtype=np.float64)
