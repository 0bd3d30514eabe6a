"""Names such as theta[1], theta[2] read as one variable with an index."""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from targets.kernel import Matrix

INDEXED = re.compile(r"(.+?)\[([^\[\]]+)\]")

Label = int | str


class Variable(NamedTuple):
    """A quantity of any shape.

    Attributes:
        name: what stands before the brackets.
        columns: where its elements are among all names, in C order.
        labels: of each dimension; none for a scalar.
    """

    name: str
    columns: tuple[int, ...]
    labels: tuple[tuple[Label, ...], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.labels)

    def of(self, values: Matrix) -> Matrix:
        """Its part (..., *shape) of values (..., names)."""
        return np.asarray(values[..., list(self.columns)].reshape(values.shape[:-1] + self.shape))


def variables(names: Sequence[str]) -> list[Variable]:
    """The names, put together where they differ in their indices alone and fill an array; others by themselves."""
    groups: dict[str, list[tuple[int, tuple[Label, ...]]]] = {}
    for column, name in enumerate(names):
        found = INDEXED.fullmatch(name)
        base, index = (found[1], _index(found[2])) if found else (name, ())
        groups.setdefault(base, []).append((column, index))
    made = []
    for base, members in groups.items():
        labels = _labels([index for _, index in members])
        if labels is None:
            made += [Variable(names[column], (column,)) for column, _ in members]
        else:
            made.append(Variable(base, tuple(column for column, _ in members), labels))
    return sorted(made, key=lambda variable: variable.columns[0])


def _index(text: str) -> tuple[Label, ...]:
    parts = [part.strip() for part in text.split(",")]
    return tuple(int(part) if re.fullmatch(r"-?\d+", part) else part for part in parts)


def _labels(indices: list[tuple[Label, ...]]) -> tuple[tuple[Label, ...], ...] | None:
    """Labels of each dimension, if the indices are all those of an array in C order, else None."""
    if len({len(index) for index in indices}) > 1:
        return None
    labels = tuple(tuple(dict.fromkeys(axis)) for axis in zip(*indices, strict=True))
    return labels if list(itertools.product(*labels)) == indices else None
