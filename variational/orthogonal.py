"""Directions of antithetic pairs, in blocks whose outer products leave no noise.

A pair is mean +- T e. Within a block the directions of e are rows of a random orthogonal matrix, and its length is
drawn from the chi distribution of two more degrees of freedom, with weight dim / |e|^2 (importance sampling): weighted,
each e stands for a standard normal one, and the outer products of a block sum to a diagonal matrix exactly.

An orthogonal matrix of many coordinates costs too much. So coordinates come in groups, each with a small orthogonal
matrix of its own, and a Hadamard matrix has the signs of the groups in each part of a block. The last group is filled
up with coordinates that the target has not: they count in lengths, but are never made.
"""

from typing import NamedTuple

import numpy as np
from numba import int8, int64, types
from scipy.linalg import hadamard

from targets.kernel import MATRIX, VECTOR, Matrix, Vector, helper, zeros
from variational.stochastic.noise import normals

SMALLEST_GROUP, LARGEST_GROUP = 8, 32  # coordinates turned together; fewer would make weights heavy-tailed
LARGEST_BLOCK = 512  # pairs; in more dimensions some off-diagonal noise stays


class Directions(NamedTuple):
    """The directions of a block, and what they are made of.

    Attributes:
        signs: (parts, columns) of the groups; columns are the coordinates, those that fill the last group included.
        rotation: (group, dim), orthogonal rows of each group, as long as its share of a uniform direction.
        frame: (group, group) scratch: the transposed orthogonal matrix of one group.
        unit: (group,) scratch.
        squares: (parts * group,) of the lengths of a block's pairs.
        order: (parts * group,) of its rows.
    """

    signs: np.ndarray
    rotation: Matrix
    frame: Matrix
    unit: Vector
    squares: Vector
    order: np.ndarray

    @classmethod
    def of(cls, dim: int) -> "Directions":
        """Room for those of so many coordinates."""
        group = min(max(_power(dim), SMALLEST_GROUP), LARGEST_GROUP)
        groups = -(-dim // group)
        parts = min(_power(groups), LARGEST_BLOCK // group)
        signs = np.repeat(hadamard(parts, dtype=np.int8)[:, np.arange(groups) % parts], group, axis=1)
        block = parts * group
        rows = np.arange(block, dtype=np.int64)
        scratch = zeros(group, group), zeros(group)
        return cls(np.ascontiguousarray(signs), zeros(group, dim), *scratch, zeros(block), rows)

    @property
    def block(self) -> int:
        """Pairs of a block."""
        return len(self.order)

    @property
    def columns(self) -> int:
        """Coordinates, those that fill the last group included."""
        return int(self.signs.shape[1])


DIRECTIONS = types.NamedTuple((int8[:, ::1], MATRIX, MATRIX, VECTOR, VECTOR, int64[::1]), Directions)


@helper
def chi_squares(rng, degrees, filled):  # type: ignore[no-untyped-def]
    """Fill `filled` (n,), n even, with chi-square numbers of 2 degrees or more (Marsaglia and Tsang 2000)."""
    shape = 0.5 * degrees - 1.0 / 3.0
    slope = 1.0 / np.sqrt(9.0 * shape)
    normals(rng, filled)
    for i in range(filled.shape[0]):
        x = filled[i]
        while True:
            root = 1.0 + slope * x
            if root > 0.0:
                cube = root * root * root
                u = rng.random()
                if u < 1.0 - 0.0331 * x * x * x * x:
                    break
                if np.log(u) < 0.5 * x * x + shape * (1.0 - cube + np.log(cube)):
                    break
            x = rng.standard_normal()
        filled[i] = 2.0 * shape * cube


@helper
def orthogonalise(frame, unit, count):  # type: ignore[no-untyped-def]
    """Make `unit` (group,) a unit vector orthogonal to the first so many rows of `frame`, which are orthonormal.

    After Gram and Schmidt, four rows at a time, and modified between these (Bjorck 1967).
    """
    group = unit.shape[0]
    fours = count - count % 4
    for j in range(0, fours, 4):
        p = q = r = s = 0.0
        for k in range(group):
            p += frame[j, k] * unit[k]
            q += frame[j + 1, k] * unit[k]
            r += frame[j + 2, k] * unit[k]
            s += frame[j + 3, k] * unit[k]
        for k in range(group):
            away = p * frame[j, k] + q * frame[j + 1, k]
            unit[k] -= away + r * frame[j + 2, k] + s * frame[j + 3, k]
    for j in range(fours, count):
        p = 0.0
        for k in range(group):
            p += frame[j, k] * unit[k]
        for k in range(group):
            unit[k] -= p * frame[j, k]
    p = 0.0
    for k in range(group):
        p += unit[k] * unit[k]
    p = 1.0 / np.sqrt(p)
    for k in range(group):
        unit[k] *= p


@helper
def open_block(rng, directions):  # type: ignore[no-untyped-def]
    """Shuffle the order of a block's rows, turn the rotation anew, and draw the lengths."""
    order, rotation, frame, unit = directions.order, directions.rotation, directions.frame, directions.unit
    chi_squares(rng, directions.signs.shape[1] + 2.0, directions.squares)
    for k in range(order.shape[0] - 1, 0, -1):
        other = int(rng.random() * (k + 1))
        order[k], order[other] = order[other], order[k]
    group, dim = rotation.shape
    length = 0.0
    for first in range(0, dim, group):
        width = min(group, dim - first)
        for i in range(width):
            normals(rng, unit)
            orthogonalise(frame, unit, i)
            for k in range(group):
                frame[i, k] = unit[k]
        share = 1.0
        if dim > group:
            squared = rng.chisquare(group)
            length += squared
            share = np.sqrt(squared)
        for k in range(group):
            for i in range(width):
                rotation[k, first + i] = share * frame[i, k]
    if dim > group:
        share = 1.0 / np.sqrt(length)
        for k in range(group):
            for i in range(dim):
                rotation[k, i] *= share


@helper
def direct(directions, turn, drawn):  # type: ignore[no-untyped-def]
    """Fill `drawn` (dim,) with e of the pair whose `turn` in its block it is, and return its weight."""
    signs, rotation = directions.signs, directions.rotation
    group = rotation.shape[0]
    row = directions.order[turn] % group
    part = directions.order[turn] // group
    squared = directions.squares[turn]
    length = np.sqrt(squared)
    for i in range(drawn.shape[0]):
        drawn[i] = length * signs[part, i] * rotation[row, i]
    return signs.shape[1] / squared


def _power(n: int) -> int:
    """The smallest power of two that is n or more."""
    return 1 << (n - 1).bit_length()
