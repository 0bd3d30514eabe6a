"""One pass over rows: each row's share in every component, and the sums that the shares make, in the same breath.

A component k is whatever gives a row x the log density

    constant_k - |F_k (x - mean_k)|^2 / 2

with F_k lower triangular or diagonal: expected ones of variational Bayes, or those of point parameters in EM. Rows are
taken in blocks, as columns, so that every inner loop is over rows next to each other in memory; nothing of size rows x
components is kept. The sums are about mean_k, hence free of the cancellation that sums of raw squares suffer from.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import float64, int64, types
from numba.extending import intrinsic as numba_intrinsic

from targets.kernel import DATA, MATRIX, VECTOR, Distinct, Loop, Matrix, Vector, helper, zeros

BLOCK = 128
# Shares below exp(-NEGLIGIBLE) of a row's largest are left out: 1e-26 of a row, which no sum of rows can tell from 0.
NEGLIGIBLE = 60.0
_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10

CUBE = float64[:, :, ::1]
CONSTANTS, FACTORS = types.Array(float64, 1, "C", readonly=True), types.Array(float64, 3, "C", readonly=True)
INDICES = int64[:, ::1]
intrinsic: Any = numba_intrinsic


@intrinsic
def _from_bits(typing: Any, bits: Any) -> Any:  # noqa: ARG001
    """The float64 whose bits an int64 has."""
    from llvmlite import ir

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@helper
def exponential(x):  # type: ignore[no-untyped-def]
    """exp(x) for -700 < x <= 0, to 2 units in the last place: without a branch or a call, so that loops vectorise."""
    power = np.rint(x * _LOG2E)
    y = (x - power * _LN2_HIGH) - power * _LN2_LOW
    # Taylor's series: |y| <= 0.347, so that the first term left out is below 2e-16
    p = 1.0 / 479001600.0
    p = p * y + 1.0 / 39916800.0
    p = p * y + 1.0 / 3628800.0
    p = p * y + 1.0 / 362880.0
    p = p * y + 1.0 / 40320.0
    p = p * y + 1.0 / 5040.0
    p = p * y + 1.0 / 720.0
    p = p * y + 1.0 / 120.0
    p = p * y + 1.0 / 24.0
    p = p * y + 1.0 / 6.0
    p = p * y + 0.5
    p = p * y + 1.0
    p = p * y + 1.0
    return p * _from_bits((np.int64(np.int32(power)) + 1023) << 52)


def _sweep(  # type: ignore[no-untyped-def]
    rows, constant, mean, factor, given, logs, count, first, second, totals,
    columns, centred, share, order, held, row,
):  # fmt: skip
    """Add to `count`, `first`, `second` and `totals`, or fill `logs` (rows, components) and add nothing.

    With `given` (rows, components) these are the shares; empty, they are computed. The other arrays are scratch.
    """
    n, d = rows.shape
    size = mean.shape[0]
    diagonal = factor.shape[1] == 1
    top, norm, slope = row[0], row[1], row[2]
    image, square, weight = row[3], row[4], row[5]
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        for i in range(d):
            column = columns[i]
            for b in range(m):
                column[b] = rows[start + b, i]
        if given.shape[0] > 0:
            for k in range(size):
                shares, places = share[k], order[k]
                a = 0
                for b in range(m):
                    r = given[start + b, k]
                    shares[a] = r
                    places[a] = b
                    a += 1 if r > 0.0 else 0
                    totals[1] -= r * np.log(r) if r > 0.0 else 0.0
                held[k] = a
            for b in range(m):
                norm[b] = 1.0
        else:
            for b in range(m):
                top[b] = -np.inf
            for k in range(size):
                shares = share[k]
                for b in range(m):
                    square[b] = 0.0
                if diagonal:
                    for i in range(d):
                        column, f, c = columns[i], factor[k, 0, i], mean[k, i]
                        for b in range(m):
                            u = f * (column[b] - c)
                            square[b] += u * u
                else:
                    for i in range(d):
                        column, centre, c = columns[i], centred[i], mean[k, i]
                        for b in range(m):
                            centre[b] = column[b] - c
                        j = 0
                        while i - j >= 4:
                            f0, f1, f2, f3 = (
                                factor[k, i, j],
                                factor[k, i, j + 1],
                                factor[k, i, j + 2],
                                factor[k, i, j + 3],
                            )
                            c0, c1, c2, c3 = centred[j], centred[j + 1], centred[j + 2], centred[j + 3]
                            if j == 0:
                                for b in range(m):
                                    image[b] = (f0 * c0[b] + f1 * c1[b]) + (f2 * c2[b] + f3 * c3[b])
                            else:
                                for b in range(m):
                                    image[b] += (f0 * c0[b] + f1 * c1[b]) + (f2 * c2[b] + f3 * c3[b])
                            j += 4
                        if j == 0:
                            for b in range(m):
                                image[b] = 0.0
                        left = i - j
                        f3 = factor[k, i, i]
                        if left == 0:
                            for b in range(m):
                                u = image[b] + f3 * centre[b]
                                square[b] += u * u
                        elif left == 1:
                            f0, c0 = factor[k, i, j], centred[j]
                            for b in range(m):
                                u = image[b] + (f0 * c0[b] + f3 * centre[b])
                                square[b] += u * u
                        elif left == 2:
                            f0, c0 = factor[k, i, j], centred[j]
                            f1, c1 = factor[k, i, j + 1], centred[j + 1]
                            for b in range(m):
                                u = (image[b] + f0 * c0[b]) + (f1 * c1[b] + f3 * centre[b])
                                square[b] += u * u
                        else:
                            f0, c0 = factor[k, i, j], centred[j]
                            f1, c1 = factor[k, i, j + 1], centred[j + 1]
                            f2, c2 = factor[k, i, j + 2], centred[j + 2]
                            for b in range(m):
                                u = image[b] + ((f0 * c0[b] + f1 * c1[b]) + (f2 * c2[b] + f3 * centre[b]))
                                square[b] += u * u
                c = constant[k]
                for b in range(m):
                    value = c - 0.5 * square[b]
                    shares[b] = value
                    top[b] = max(top[b], value)
            if logs.shape[0] > 0:
                for k in range(size):
                    for b in range(m):
                        logs[start + b, k] = share[k, b]
                continue
            for b in range(m):
                norm[b] = 0.0
                slope[b] = 0.0
            for k in range(size):
                shares, places = share[k], order[k]
                a = 0
                for b in range(m):
                    shares[b] -= top[b]
                    a += 1 if shares[b] > -NEGLIGIBLE else 0
                if 2 * a > m:
                    held[k] = -1  # all of the block
                    for b in range(m):
                        value = max(shares[b], -700.0)
                        e = exponential(value)
                        shares[b] = e
                        norm[b] += e
                        slope[b] += e * value
                else:
                    a = 0
                    for b in range(m):
                        value = shares[b]
                        shares[a] = value
                        places[a] = b
                        a += 1 if value > -NEGLIGIBLE else 0
                    held[k] = a
                    for p in range(a):
                        image[p] = exponential(shares[p])
                    for p in range(a):
                        b = places[p]
                        norm[b] += image[p]
                        slope[b] += image[p] * shares[p]
                        shares[p] = image[p]
            evidence, entropy = 0.0, 0.0
            for b in range(m):
                log_norm = np.log(norm[b])
                norm[b] = 1.0 / norm[b]
                evidence += top[b] + log_norm
                entropy += log_norm - slope[b] * norm[b]
            totals[0] += evidence
            totals[1] += entropy
        for k in range(size):
            shares, places = share[k], order[k]
            a = held[k]
            if a == 0:
                continue
            if a < 0:
                a = m
                for b in range(m):
                    weight[b] = shares[b] * norm[b]
                for i in range(d):
                    column, centre, c = columns[i], centred[i], mean[k, i]
                    for b in range(m):
                        centre[b] = column[b] - c
            else:
                for p in range(a):
                    weight[p] = shares[p] * norm[places[p]]
                for i in range(d):
                    column, centre, c = columns[i], centred[i], mean[k, i]
                    for p in range(a):
                        centre[p] = column[places[p]] - c
            total = 0.0
            for b in range(a):
                total += weight[b]
            count[k] += total
            for i in range(d):
                centre = centred[i]
                if diagonal:
                    one, two = 0.0, 0.0
                    for b in range(a):
                        w = weight[b] * centre[b]
                        one += w
                        two += w * centre[b]
                    first[k, i] += one
                    second[k, 0, i] += two
                    continue
                one, two = 0.0, 0.0
                for b in range(a):
                    w = weight[b] * centre[b]
                    image[b] = w
                    one += w
                    two += w * centre[b]
                first[k, i] += one
                second[k, i, i] += two
                j = 0
                while i - j >= 4:
                    c0, c1, c2, c3 = centred[j], centred[j + 1], centred[j + 2], centred[j + 3]
                    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
                    for b in range(a):
                        w = image[b]
                        s0 += w * c0[b]
                        s1 += w * c1[b]
                        s2 += w * c2[b]
                        s3 += w * c3[b]
                    second[k, i, j] += s0
                    second[k, i, j + 1] += s1
                    second[k, i, j + 2] += s2
                    second[k, i, j + 3] += s3
                    j += 4
                if i - j >= 2:
                    c0, c1 = centred[j], centred[j + 1]
                    s0, s1 = 0.0, 0.0
                    for b in range(a):
                        w = image[b]
                        s0 += w * c0[b]
                        s1 += w * c1[b]
                    second[k, i, j] += s0
                    second[k, i, j + 1] += s1
                    j += 2
                if i > j:
                    c0 = centred[j]
                    s0 = 0.0
                    for b in range(a):
                        s0 += image[b] * c0[b]
                    second[k, i, j] += s0


sweep = Loop(
    _sweep,
    types.void(
        DATA, CONSTANTS, DATA, FACTORS, DATA, MATRIX, VECTOR, MATRIX, CUBE, VECTOR,
        MATRIX, MATRIX, MATRIX, INDICES, int64[::1], MATRIX,
    ),
    _nrt=False,
    pipeline_class=Distinct,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Components:
    """What gives a row its log density in each component; see the module.

    Attributes:
        constant: (K,) the log density at the mean, with the log weight in it.
        mean: (K, d).
        factor: (K, d, d) lower triangular, or (K, 1, d) of diagonals.
    """

    constant: Vector
    mean: Matrix
    factor: Matrix

    def __len__(self) -> int:
        return len(self.constant)


@dataclass(frozen=True, eq=False)
class Sums:
    """Over the rows so far, with shares r as weights.

    Attributes:
        count: (K,) of r.
        first: (K, d) of r (x - mean_k).
        second: (K, d, d) of r (x - mean_k) (x - mean_k)^T, the lower triangle alone; or (K, 1, d) of its diagonal.
        totals: of log sum_k exp(log density), and of the shares' entropy, both in nats.
    """

    count: Vector
    first: Matrix
    second: Matrix
    totals: Vector

    @staticmethod
    def none(components: Components) -> "Sums":
        """Before any row."""
        size, d = components.mean.shape
        return Sums(zeros(size), zeros(size, d), zeros(*components.factor.shape), zeros(2))

    @property
    def log_evidence(self) -> float:
        """The sum over rows of log sum_k exp(log density): the log likelihood where parameters are points."""
        return float(self.totals[0])

    @property
    def entropy(self) -> float:
        """Of all rows' shares."""
        return float(self.totals[1])


class Pass:
    """Passes over rows with these components, a part of the rows at a time."""

    def __init__(self, components: Components) -> None:
        self.components = components
        self.sums = Sums.none(components)
        size, d = components.mean.shape
        self._scratch = (
            zeros(d, BLOCK),
            zeros(d, BLOCK),
            zeros(size, BLOCK),
            np.zeros((size, BLOCK), np.int64),
            np.zeros(size, np.int64),
            zeros(6, BLOCK),
        )

    def add(self, rows: Matrix, shares: Matrix | None = None) -> None:
        """Add rows (m, d), C-contiguous; their shares (m, K) are computed where they are not given."""
        none = np.empty((0, len(self.components)))
        self._call(rows, none if shares is None else shares, none)

    def log_densities(self, rows: Matrix) -> Matrix:
        """(m, K) of rows (m, d)."""
        logs = np.empty((len(rows), len(self.components)))
        if len(rows):
            self._call(rows, np.empty((0, len(self.components))), logs)
        return logs

    def _call(self, rows: Matrix, shares: Matrix, logs: Matrix) -> None:
        c, s = self.components, self.sums
        sweep(
            rows, c.constant, c.mean, c.factor, shares, logs, s.count, s.first, s.second, s.totals, *self._scratch
        )  # fmt: skip
