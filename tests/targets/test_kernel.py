"""Kernels and loops have one signature each, keep NaN meaningful, and are aligned where it matters."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import float64, int64
from numba.core.errors import TypingError

from targets import aligned, data_matrix, density, kernel
from targets.kernel import (
    ALIGNMENT,
    DATA,
    DENSITY,
    DENSITY_SIGNATURE,
    FASTMATH,
    KERNEL,
    KERNEL_SIGNATURE,
    VECTOR,
    compiled,
    empty,
    loop,
    zeros,
)


@kernel
def integer(x, gradient, data):  # type: ignore[no-untyped-def]
    """Returns an integer constant, which an explicit signature turns into a float."""
    gradient[0] = x[0]
    return 3


@kernel
def careful(x, gradient, data):  # type: ignore[no-untyped-def]
    gradient[0] = 1.0 / x[0]
    return math.log(x[0])


@density
def only_density(x, data):  # type: ignore[no-untyped-def]
    return data[0, 0] * x[0]


@kernel
def greedy(x, gradient, data):  # type: ignore[no-untyped-def]
    data[0, 0] = 1.0
    return 0.0


@loop(float64(KERNEL, VECTOR, VECTOR, DATA, int64))
def mean_value(kernel, x, gradient, data, n):  # type: ignore[no-untyped-def]
    """The mean of n evaluations, NaN where any is."""
    total = 0.0
    for _ in range(n):
        value = kernel(x, gradient, data)
        if math.isnan(value):
            return np.nan
        total += value
    return total / n


@loop(float64(DENSITY, VECTOR, DATA))
def through(density, x, data):  # type: ignore[no-untyped-def]
    return density(x, data)


DATA_ONE = data_matrix([[2.0]])


def at(value: float) -> np.ndarray:
    x = zeros(1)
    x[0] = value
    return x


def test_nothing_compiles_before_it_is_used() -> None:
    @kernel
    def late(x, gradient, data):  # type: ignore[no-untyped-def]
        return 0.0

    @loop(float64(float64))
    def later(x):  # type: ignore[no-untyped-def]
        return x

    assert late.signatures == []
    assert "compiled" not in vars(later)
    assert later(2.0) == 2.0
    assert "compiled" in vars(later)


def test_compiled_has_the_one_signature_and_takes_no_other() -> None:
    made = compiled(careful)
    assert made is careful
    assert made.nopython_signatures == [KERNEL_SIGNATURE]
    assert compiled(careful) is made
    with pytest.raises(TypeError, match="No matching definition"):
        made(np.ones(1, dtype=np.float32), empty(1), DATA_ONE)
    assert compiled(only_density).nopython_signatures == [DENSITY_SIGNATURE]


def test_integer_result_arrives_as_a_float() -> None:
    assert compiled(integer)(at(1.0), empty(1), DATA_ONE) == 3.0
    assert mean_value(compiled(integer), at(1.0), empty(1), DATA_ONE, 5) == 3.0


@pytest.mark.parametrize(("x", "value"), [(0.0, -math.inf), (-1.0, math.nan), (math.nan, math.nan)])
def test_nothing_is_raised_and_nan_stays_nan(x: float, value: float) -> None:
    gradient = empty(1)
    direct = compiled(careful)(at(x), gradient, DATA_ONE)
    looped = mean_value(compiled(careful), at(x), gradient, DATA_ONE, 3)
    assert np.array_equal([direct, looped], [value, value], equal_nan=True)
    assert not ({"nnan", "ninf", "fast"} & FASTMATH)


def test_kernels_cannot_write_their_data() -> None:
    with pytest.raises(TypingError, match="readonly"):
        compiled(greedy)


def test_densities_pass_through_loops() -> None:
    assert through(compiled(only_density), at(1.5), DATA_ONE) == 3.0


@given(st.lists(st.integers(0, 40), min_size=1, max_size=3))
def test_arrays_are_aligned_and_contiguous(shape: list[int]) -> None:
    for array in (empty(*shape), zeros(*shape), aligned(np.ones(shape))):
        assert array.shape == tuple(shape)
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert array.size == 0 or array.ctypes.data % ALIGNMENT == 0
    assert not zeros(*shape).any()


@given(st.lists(st.lists(st.floats(allow_nan=False), min_size=3, max_size=3), min_size=1, max_size=5))
def test_data_matrix_copies_and_forbids_writing(values: list[list[float]]) -> None:
    source = np.asfortranarray(values)
    matrix = data_matrix(source)
    assert np.array_equal(matrix, source)
    assert not np.shares_memory(matrix, source)
    assert matrix.ctypes.data % ALIGNMENT == 0
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1.0


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2)])
def test_data_are_a_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"one matrix, not an array of {len(shape)} dimensions"):
        data_matrix(np.zeros(shape))
