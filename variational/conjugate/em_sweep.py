"""The E-step of a Gaussian mixture in one pass: shares of every row, exact or of few components, and their sums."""

import math

import numpy as np
from numba import float64, int64

from targets.exponential import exp_minus
from targets.kernel import DATA, MATRIX, VECTOR, loop

TENSOR = float64[:, :, ::1]
BLOCK = 256  # observations under one logarithm: a product of as many factors of at most K must not overflow


@loop(float64(DATA, VECTOR, MATRIX, TENSOR, int64, VECTOR, MATRIX, TENSOR, MATRIX))
def e_step(data, constants, means, factors, kept, counts, sums, squares, shares):  # type: ignore[no-untyped-def]
    """The best q(z) among those that leave each observation `kept` components, and what it gains, in nats.

    Observation i is column i of data (d, n). Component k gives it the log density constants[k] - |F_k'(x - m_k)|^2 / 2,
    with F_k lower triangular: that of point parameters, or an expected one. The best q(z_i) is proportional to the
    densities of the largest of them, and gains the log of their sum, which is returned, summed over observations.

    Writes the shares' sums `counts` (K,), and `sums` (K, d) and `squares` (K, d, d, lower triangles), those of
    (x - m_k); and the shares themselves to `shares` (n, K), unless that has no rows.
    """
    d, n = data.shape
    components = len(constants)
    share, total, scaled = np.empty((components, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    gained = 0.0
    for k in range(components):
        counts[k] = 0.0
        for a in range(d):
            sums[k, a] = 0.0
            for b in range(d):
                squares[k, a, b] = 0.0
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        for i in range(size):
            total[i] = -np.inf
        for k in range(components):
            for i in range(size):
                share[k, i] = constants[k]
            for a in range(d):
                for i in range(size):
                    scaled[i] = factors[k, a, a] * (data[a, start + i] - means[k, a])
                for b in range(a + 1, d):
                    for i in range(size):
                        scaled[i] += factors[k, b, a] * (data[b, start + i] - means[k, b])
                for i in range(size):
                    share[k, i] -= 0.5 * scaled[i] * scaled[i]
            for i in range(size):
                total[i] = share[k, i] if share[k, i] > total[i] else total[i]  # noqa: FURB136 (vectorises)
        for i in range(size):
            gained += total[i]
        for k in range(components):
            for i in range(size):
                share[k, i] = exp_minus(total[i] - share[k, i])
        if kept < components:
            for i in range(size):
                least = 2.0
                left = kept
                while left > 0:  # the largest below the last one, and those that equal it, the first components first
                    largest = -1.0
                    for k in range(components):
                        if share[k, i] < least and share[k, i] > largest:
                            largest = share[k, i]
                    if largest < 0.0:
                        break
                    least = largest
                    for k in range(components):
                        if share[k, i] == least:
                            left -= 1
                for k in range(components - 1, -1, -1):
                    if share[k, i] == least and left < 0:
                        share[k, i] = 0.0
                        left += 1
                    elif share[k, i] < least:
                        share[k, i] = 0.0
        for i in range(size):
            total[i] = share[0, i]
        for k in range(1, components):
            for i in range(size):
                total[i] += share[k, i]
        product = 1.0
        for i in range(size):
            product *= total[i]
            total[i] = 1.0 / total[i]
        gained += math.log(product)
        for k in range(components):
            count = 0.0
            for i in range(size):
                share[k, i] *= total[i]
                count += share[k, i]
            counts[k] += count
            for a in range(d):
                linear = 0.0
                for i in range(size):
                    scaled[i] = share[k, i] * (data[a, start + i] - means[k, a])
                    linear += scaled[i]
                sums[k, a] += linear
                for b in range(a + 1):
                    square = 0.0
                    for i in range(size):
                        square += scaled[i] * (data[b, start + i] - means[k, b])
                    squares[k, a, b] += square
        if shares.shape[0] > 0:
            for i in range(size):
                for k in range(components):
                    shares[start + i, k] = share[k, i]
    return gained
