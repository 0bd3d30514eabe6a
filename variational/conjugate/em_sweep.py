"""The E-step of a Gaussian mixture in one pass: shares of every row, exact or of few components, and their sums."""

import numpy as np
from numba import float64, int64

from targets.kernel import DATA, MATRIX, VECTOR, helper, loop
from targets.shares import BLOCK, add_moments, log_gaussians, log_sums, over_largest

TENSOR = float64[:, :, ::1]


@helper
def _leave(kept, components, size, share):  # type: ignore[no-untyped-def]
    """Zero all shares (K, BLOCK) of an observation but the `kept` largest; of equal ones the first components stay."""
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


@loop(float64(DATA, VECTOR, MATRIX, TENSOR, int64, VECTOR, MATRIX, TENSOR, MATRIX))
def e_step(data, constants, means, factors, kept, counts, sums, squares, shares):  # type: ignore[no-untyped-def]
    """The best q(z) among those that leave each observation `kept` components, and what it gains, in nats.

    Observation i is column i of data (d, n). Component k gives it the log density constants[k] - |F_k'(x - m_k)|^2 / 2,
    with F_k lower triangular: that of point parameters, or an expected one. The best q(z_i) is proportional to the
    densities of the largest of them, and gains the log of their sum, which is returned, summed over observations.

    Writes the shares' sums `counts` (K,), and `sums` (K, d) and `squares` (K, d, d, lower triangles), those of
    (x - m_k); and the shares themselves to `shares` (n, K), unless that has no rows.
    """
    components, n = len(constants), data.shape[1]
    share, total, scaled = np.empty((components, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    gained = 0.0
    counts[:], sums[:], squares[:] = 0.0, 0.0, 0.0
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        log_gaussians(data, start, size, constants, means, factors, share, total, scaled)
        gained += over_largest(components, size, share, total)
        if kept < components:
            _leave(kept, components, size, share)
        gained += log_sums(components, size, share, total)
        add_moments(data, start, size, means, share, total, scaled, counts, sums, squares)
        if shares.shape[0] > 0:
            for i in range(size):
                for k in range(components):
                    shares[start + i, k] = share[k, i]
    return gained
