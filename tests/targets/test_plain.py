"""Plain Python densities: the same numbers as compiled ones, and exceptions that arrive as they were raised."""

import numpy as np
import pytest
from numba import float64, int64

import targets
from targets.kernel import DATA, DENSITY, KERNEL, VECTOR, loop
from targets.plain import counting, from_python


@loop(float64(KERNEL, DENSITY, VECTOR, VECTOR, DATA, int64, int64))
def total(kernel, density, x, gradient, data, slopes, values):
    result = 0.0
    for _ in range(slopes):
        result += kernel(x, gradient, data)
    for _ in range(values):
        result += density(x, data)
    return result


def normal(x):
    return -0.5 * float(x @ x)


def call(target, x, slopes, values):
    gradient = np.empty(target.dim)
    return total(target.kernel, target.density, x, gradient, target.data, slopes, values), gradient


def test_a_loop_sees_the_values_and_gradients_of_the_function():
    target = from_python(normal, 3, lambda x: -x)
    x = np.array([1.0, -2.0, 0.5])
    result, gradient = call(target, x, 2, 3)
    assert result == pytest.approx(5 * normal(x), rel=1e-15)
    np.testing.assert_array_equal(gradient, -x)
    assert "slow" in target.tags


def test_one_function_may_return_both():
    target = from_python(lambda x: (normal(x), -x), 2)
    values, gradients = target.evaluate(np.array([[1.0, 2.0]]))
    assert values[0] == -2.5
    np.testing.assert_array_equal(gradients, [[-1.0, -2.0]])
    assert target.density is None


def test_the_function_cannot_change_the_position():
    def spoil(x):
        x[:] = 7.0
        return 0.0, np.zeros_like(x)

    target = from_python(spoil, 2)
    x, gradient = np.ones(2), np.empty(2)
    target.kernel(x, gradient, target.data)
    np.testing.assert_array_equal(x, 1.0)


@pytest.mark.parametrize("failing", ["value", "gradient"])
def test_an_exception_comes_out_of_a_loop_with_type_and_message(failing):
    def fail(x):
        raise ZeroDivisionError("my own message")

    target = from_python(fail if failing == "value" else normal, 2, fail if failing == "gradient" else np.negative)
    with pytest.raises(ZeroDivisionError, match="my own message"):
        call(target, np.ones(2), 5, 5)
    healthy = from_python(normal, 2, np.negative)
    assert call(healthy, np.ones(2), 1, 1)[0] == -2.0  # nothing is left behind


def test_an_exception_comes_out_of_evaluate():
    target = from_python(lambda x: {}["beta"] * x, 1)
    with pytest.raises(KeyError, match="beta"):
        target.evaluate(np.zeros((4, 1)))


def test_after_an_exception_the_function_is_not_called_again():
    calls = []

    def fail(x):
        calls.append(x)
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        call(from_python(fail, 1, np.negative), np.zeros(1), 100, 100)
    assert len(calls) == 1


def test_a_gradient_of_the_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"shape \(3,\).*\(2,\)"):
        from_python(lambda x: (0.0, np.append(x, 0.0)), 2).evaluate(np.zeros((1, 2)))


def test_an_unknown_handle_is_an_error_not_garbage():
    target = from_python(normal, 1, np.negative)
    gradient = np.empty(1)
    with pytest.raises(RuntimeError, match="another process"):
        total(target.kernel, target.density, np.zeros(1), gradient, targets.data_matrix([[12.0]]), 1, 0)


def test_counting_counts_every_evaluation_and_keeps_the_bits():
    target = targets.load("correlated_gaussian", dim=7)
    counted, counter = counting(target)
    x = np.random.default_rng(3).standard_normal(7)
    gradient, expected = np.empty(7), np.empty(7)
    value = counted.kernel(x, gradient, counted.data)
    assert value == target.kernel(x, expected, target.data)
    np.testing.assert_array_equal(gradient, expected)
    counted.evaluate(np.zeros((11, 7)))
    assert (counter.gradients, counter.densities) == (12, 0)


def test_counting_counts_densities_apart():
    counted, counter = counting(from_python(normal, 2, np.negative))
    call(counted, np.ones(2), 3, 5)
    assert (counter.gradients, counter.densities) == (3, 5)


@pytest.mark.parametrize("arguments", [(3, 1), (normal, 1, 3.0), (normal, 0, np.negative)])
def test_bad_arguments_get_one_line(arguments):
    with pytest.raises(targets.UsageError, match="from_python"):
        from_python(*arguments)
