"""Which coordinates depend on which: blocks, trees and bands, and how the first two are found.

Each coordinate has parents, among the coordinates before it in `order`, that are each other's neighbours: the graph is
chordal. So a Gaussian of this graph has a precision, and a factor of it, with zeros wherever the graph has no edge.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from targets.kernel import Matrix

Integers = np.ndarray  # of int64


@dataclass(frozen=True, eq=False)
class Graph:
    """A chordal graph with an order.

    Attributes:
        order: (dim,) the coordinates, each after its parents.
        parents: (dim, width), those of each coordinate in this order; -1 where there are fewer.
        places: (dim, width), where each parent of i stands in the list of its last parent's parents and that parent.
    """

    order: Integers
    parents: Integers
    places: Integers

    @classmethod
    def of(cls, order: list[int], parents: dict[int, list[int]]) -> "Graph":
        """From lists; the parents of each coordinate are to be in this order."""
        dim, width = len(order), max(1, *(len(each) for each in parents.values()))
        table, places = np.full((dim, width), -1, dtype=np.int64), np.zeros((dim, width), dtype=np.int64)
        for i, each in parents.items():
            table[i, : len(each)] = each
            if each:
                last = each[-1]
                known = [*parents[last], last]
                places[i, : len(each)] = [known.index(j) for j in each]
        return cls(np.array(order, dtype=np.int64), table, places)

    @property
    def counts(self) -> Integers:
        """(dim,) how many parents each coordinate has."""
        return np.asarray((self.parents >= 0).sum(axis=1))


def bands(dim: int, width: int) -> Graph:
    """Each coordinate depends on the `width` before it."""
    return Graph.of(list(range(dim)), {i: list(range(max(0, i - width), i)) for i in range(dim)})


def blocks(groups: list[list[int]]) -> Graph:
    """Each coordinate depends on those before it in its group."""
    order = [i for group in groups for i in group]
    return Graph.of(order, {i: group[:place] for group in groups for place, i in enumerate(group)})


def tree(correlation: Matrix) -> Graph:
    """The tree that a Gaussian of this correlation (dim, dim) is nearest to under KL(p || tree): Chow and Liu 1968.

    It maximises the sum of the mutual informations -log(1 - r^2) / 2 along its edges.
    """
    dim = len(correlation)
    if dim == 1:
        return Graph.of([0], {0: []})
    information = -np.log1p(-np.minimum(correlation**2, 1 - 1e-12))
    length = np.triu(1.0 + information.max() - information, 1)  # positive: to scipy a zero is no edge at all
    spanning = minimum_spanning_tree(length)
    order, before = breadth_first_order(spanning, 0, directed=False)
    return Graph.of([int(i) for i in order], {int(i): [int(before[i])] if before[i] >= 0 else [] for i in order})


def groups(coupling: Matrix, largest: int) -> list[list[int]]:
    """Coordinates that belong together, at most `largest` to a group: the strongest of `coupling` (dim, dim) first."""
    dim = len(coupling)
    rows, columns = np.triu_indices(dim, 1)
    member, found = np.arange(dim), {i: [i] for i in range(dim)}
    for edge in np.argsort(-np.abs(coupling[rows, columns]), kind="stable"):
        a, b = int(member[rows[edge]]), int(member[columns[edge]])
        if a != b and len(found[a]) + len(found[b]) <= largest:
            found[a] += found.pop(b)
            member[found[a]] = a
    return [sorted(group) for group in found.values()]
