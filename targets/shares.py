"""Shares of a mixture's components in a block of observations: what its kernels, E-steps and sweeps have in common.

A block is at most BLOCK columns of data (d, n) from `first` on. `share` (K, BLOCK) holds log densities at first, then
densities over the largest of an observation; `total` (BLOCK,) the largest, then their sums; `scaled` (BLOCK,) is room.
Precision k is factors[k] factors[k]', lower triangular.
"""

import math

from targets.exponential import exp_minus
from targets.kernel import helper

BLOCK = 256  # observations under one logarithm: a product of as many factors of at most K must not overflow


@helper
def log_gaussians(data, first, size, constants, means, factors, share, total, scaled):  # type: ignore[no-untyped-def]
    """constants[k] - |factors[k]' (x - means[k])|^2 / 2 of each observation, and the largest over k."""
    d = means.shape[1]
    for i in range(size):
        total[i] = -math.inf
    for k in range(len(constants)):
        for i in range(size):
            share[k, i] = constants[k]
        for b in range(d):
            for i in range(size):
                scaled[i] = factors[k, b, b] * (data[b, first + i] - means[k, b])
            for a in range(b + 1, d):
                for i in range(size):
                    scaled[i] += factors[k, a, b] * (data[a, first + i] - means[k, a])
            for i in range(size):
                share[k, i] -= 0.5 * scaled[i] * scaled[i]
        for i in range(size):
            total[i] = share[k, i] if share[k, i] > total[i] else total[i]  # noqa: FURB136 (vectorises, unlike `max`)


@helper
def over_largest(components, size, share, total):  # type: ignore[no-untyped-def]
    """Turn log densities into densities over the largest; returns the sum over observations of the largest's log."""
    largest = 0.0
    for i in range(size):
        largest += total[i]
    for k in range(components):
        for i in range(size):
            share[k, i] = exp_minus(total[i] - share[k, i])
    return largest


@helper
def log_sums(components, size, share, total):  # type: ignore[no-untyped-def]
    """Write the sums over components to `total`; returns the sum over observations of their logs."""
    for i in range(size):
        total[i] = share[0, i]
    for k in range(1, components):
        for i in range(size):
            total[i] += share[k, i]
    product = 1.0
    for i in range(size):
        product *= total[i]
    return math.log(product)


@helper
def add_moments(data, first, size, means, share, total, scaled, counts, sums, squares):  # type: ignore[no-untyped-def]
    """Divide by the sums in `total`, and add what the shares hold to `counts` (K,), `sums` and `squares`.

    Those are of (x - means[k]), about a mean that is near, so that nothing is lost far from zero: (K, d), and (K, d, d)
    of which only the lower triangles are written.
    """
    components, d = means.shape
    for i in range(size):
        total[i] = 1.0 / total[i]
    for k in range(components):
        count = 0.0
        for i in range(size):
            share[k, i] *= total[i]
            count += share[k, i]
        counts[k] += count
        for a in range(d):
            linear = 0.0
            for i in range(size):
                scaled[i] = share[k, i] * (data[a, first + i] - means[k, a])
                linear += scaled[i]
            sums[k, a] += linear
            for b in range(a + 1):
                square = 0.0
                for i in range(size):
                    square += scaled[i] * (data[b, first + i] - means[k, b])
                squares[k, a, b] += square


@helper
def sum_of_weights(x, components, stride):  # type: ignore[no-untyped-def]
    """The sum of exp(x[0]), exp(x[stride]), ..., and its logarithm, which is finite where the sum is not."""
    top = -math.inf
    for k in range(components):
        top = max(top, x[k * stride])
    scaled = 0.0
    for k in range(components):
        scaled += math.exp(x[k * stride] - top)
    return scaled * math.exp(top), top + math.log(scaled)
