"""Kernels of a Gaussian with a dense precision: the fastest of several for few, some and many dimensions.

Their data: rows 0..dim-1 hold the symmetric precision, with columns of zeros up to a multiple of eight; row dim holds
the mean, one number for all coordinates; row dim + 1 begins with eight weights, one for each of the last eight
coordinates: 1 for those beyond the last multiple of eight, else 0.

Measured on one core with AVX-512, in nanoseconds a call, in 10, 50, 100, 300 and 1000 dimensions: a plain product row
by row takes 22, 250, 520, 3900 and 78000; these take 21, 94, 256, 3000 and 42000.
"""

import functools

import numpy as np

from targets.kernel import Density, Kernel, Matrix, density, lean_kernel
from targets.lanes import WIDTH, add, fma, load, splat, store, subtract, total, totals

FEW = 8  # below it: plain loops, unrolled
SOME = 32  # up to it: four registers hold all of the gradient


def kernels(dim: int) -> tuple[Kernel, Density]:
    """The kernel and the density for so many dimensions."""
    if dim < FEW:
        return few(dim), few_density
    return (some, few_density) if dim <= SOME else (many, many_density)


def data(precision: Matrix, mean: float) -> Matrix:
    """The rows that the kernels take."""
    dim = len(precision)
    rows = np.zeros((dim + 2, -(-dim // WIDTH) * WIDTH))
    rows[:dim, :dim] = precision
    rows[dim] = mean
    rows[dim + 1, WIDTH - dim % WIDTH : WIDTH] = 1.0
    return rows


@functools.cache
def few(dim: int) -> Kernel:
    """Row by row, for one number of dimensions: with constant ends the compiler unrolls both loops."""

    @lean_kernel
    def unrolled(x, gradient, data):  # type: ignore[no-untyped-def]
        mean = data[dim, 0]
        value = 0.0
        for i in range(dim):
            slope = 0.0
            for j in range(dim):
                slope += data[i, j] * (mean - x[j])
            gradient[i] = slope
            value += slope * (x[i] - mean)
        return 0.5 * value

    made: Kernel = unrolled
    return made


@lean_kernel
def some(x, gradient, data):  # type: ignore[no-untyped-def]
    """Column by column, four registers of the gradient at once; the last ones overlap rather than leave a remainder."""
    dim, width = x.shape[0], data.shape[1]
    mean = data[dim, 0]
    second, third, fourth = min(8, dim - 8), min(16, dim - 8), min(24, dim - 8)
    zero, middle = splat(0.0), splat(mean)
    left_over = fma(load(data, (dim + 1) * width), subtract(load(x, dim - 8), middle), zero)
    a, b, c, d = zero, zero, zero, zero
    for j in range(dim):
        y = splat(mean - x[j])
        row = j * width
        a = fma(load(data, row), y, a)
        b = fma(load(data, row + second), y, b)
        c = fma(load(data, row + third), y, c)
        d = fma(load(data, row + fourth), y, d)
    store(gradient, 0, a)
    store(gradient, second, b)
    store(gradient, third, c)
    store(gradient, fourth, d)
    # from the registers: what was just stored twice over is slow to read back
    a = fma(a, subtract(load(x, 0), middle), fma(d, left_over, zero))
    if dim >= 16:
        a = fma(b, subtract(load(x, 8), middle), a)
    if dim >= 24:
        a = fma(c, subtract(load(x, 16), middle), a)
    if dim == 32:
        a = fma(d, subtract(load(x, 24), middle), a)
    return 0.5 * total(a)


@lean_kernel
def many(x, gradient, data):  # type: ignore[no-untyped-def]
    """Reads the lower triangle alone, eight rows at once: each entry serves its row and, mirrored, its column."""
    dim, width = x.shape[0], data.shape[1]
    mean = data[dim, 0]
    middle = splat(mean)
    main = dim & -8
    for i in range(0, main, 8):
        y0, y1, y2, y3 = splat(mean - x[i]), splat(mean - x[i + 1]), splat(mean - x[i + 2]), splat(mean - x[i + 3])
        y4, y5, y6, y7 = splat(mean - x[i + 4]), splat(mean - x[i + 5]), splat(mean - x[i + 6]), splat(mean - x[i + 7])
        r0 = splat(0.0)
        r1, r2, r3, r4, r5, r6, r7 = r0, r0, r0, r0, r0, r0, r0
        for j in range(0, i, 8):
            y = subtract(middle, load(x, j))
            slope = load(gradient, j)
            k = i * width + j
            p = load(data, k)
            r0, slope = fma(p, y, r0), fma(p, y0, slope)
            p = load(data, k + width)
            r1, slope = fma(p, y, r1), fma(p, y1, slope)
            p = load(data, k + 2 * width)
            r2, slope = fma(p, y, r2), fma(p, y2, slope)
            p = load(data, k + 3 * width)
            r3, slope = fma(p, y, r3), fma(p, y3, slope)
            p = load(data, k + 4 * width)
            r4, slope = fma(p, y, r4), fma(p, y4, slope)
            p = load(data, k + 5 * width)
            r5, slope = fma(p, y, r5), fma(p, y5, slope)
            p = load(data, k + 6 * width)
            r6, slope = fma(p, y, r6), fma(p, y6, slope)
            p = load(data, k + 7 * width)
            r7, slope = fma(p, y, r7), fma(p, y7, slope)
            store(gradient, j, slope)
        # the block on the diagonal, whole
        k = i * width + i
        left = fma(load(data, k), y0, totals(r0, r1, r2, r3, r4, r5, r6, r7))
        left = fma(load(data, k + 2 * width), y2, fma(load(data, k + width), y1, left))
        left = fma(load(data, k + 3 * width), y3, left)
        right = fma(load(data, k + 5 * width), y5, fma(load(data, k + 4 * width), y4, splat(0.0)))
        right = fma(load(data, k + 7 * width), y7, fma(load(data, k + 6 * width), y6, right))
        store(gradient, i, add(left, right))
    value = 0.0
    # the rows left over, one by one, with their corner of the matrix taken from the last eight columns
    left_over = fma(load(data, (dim + 1) * width), subtract(middle, load(x, dim - 8)), splat(0.0))
    for i in range(main, dim):
        y0, r0 = splat(mean - x[i]), splat(0.0)
        for j in range(0, main, 8):
            p = load(data, i * width + j)
            r0 = fma(p, subtract(middle, load(x, j)), r0)
            store(gradient, j, fma(p, y0, load(gradient, j)))
        sum_of_row = total(fma(load(data, i * width + dim - 8), left_over, r0))
        gradient[i] = sum_of_row
        value += sum_of_row * (x[i] - mean)
    whole = splat(0.0)
    for i in range(0, main, 8):
        whole = fma(load(gradient, i), subtract(load(x, i), middle), whole)
    return 0.5 * (value + total(whole))


@density
def few_density(x, data):  # type: ignore[no-untyped-def]
    """Row by row, from the lower triangle."""
    dim = x.shape[0]
    mean = data[dim, 0]
    value = 0.0
    for i in range(dim):
        product = 0.0
        for j in range(i):
            product += data[i, j] * (x[j] - mean)
        value += (2.0 * product + data[i, i] * (x[i] - mean)) * (x[i] - mean)
    return -0.5 * value


@density
def many_density(x, data):  # type: ignore[no-untyped-def]
    """As `many`, without the mirrored half."""
    dim, width = x.shape[0], data.shape[1]
    mean = data[dim, 0]
    middle = splat(mean)
    main = dim & -8
    zero = splat(0.0)
    every, diagonal, part = zero, zero, zero
    for i in range(0, main, 8):
        y0, y1, y2, y3 = splat(mean - x[i]), splat(mean - x[i + 1]), splat(mean - x[i + 2]), splat(mean - x[i + 3])
        y4, y5, y6, y7 = splat(mean - x[i + 4]), splat(mean - x[i + 5]), splat(mean - x[i + 6]), splat(mean - x[i + 7])
        for j in range(0, i + 8, 8):
            k = i * width + j
            left = fma(load(data, k + width), y1, fma(load(data, k), y0, zero))
            left = fma(load(data, k + 3 * width), y3, fma(load(data, k + 2 * width), y2, left))
            right = fma(load(data, k + 5 * width), y5, fma(load(data, k + 4 * width), y4, zero))
            right = fma(load(data, k + 7 * width), y7, fma(load(data, k + 6 * width), y6, right))
            part = fma(add(left, right), subtract(middle, load(x, j)), zero)
            every = add(every, part)
        diagonal = add(diagonal, part)
    value = 2.0 * total(every) - total(diagonal)
    for i in range(main, dim):
        product = 0.0
        for j in range(i):
            product += data[i, j] * (x[j] - mean)
        value += (2.0 * product + data[i, i] * (x[i] - mean)) * (x[i] - mean)
    return -0.5 * value
