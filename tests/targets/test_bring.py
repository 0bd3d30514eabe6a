"""Functions of one's own: every form gives the numbers that it says, and what is wrong is named in one line."""

import math
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

import targets
from targets import UsageError, from_function
from targets.gradient_check import TOLERANCE, gradient_error
from targets.guard import can_raise, fast
from targets.kernel import DATA, KERNEL, KERNEL_SIGNATURE, VECTOR, empty, loop

WIDTHS = np.array([[0.5], [1.0], [3.0]])


@numba.njit(fastmath={"contract"}, error_model="python", nogil=True)
def kernel(x, gradient, data):
    total = 0.0
    for i in range(x.shape[0]):
        gradient[i] = -x[i] / data[i, 0] ** 2
        total += 0.5 * x[i] * gradient[i]
    return total


@numba.njit
def value(x, data):
    total = 0.0
    for i in range(x.shape[0]):
        total -= 0.5 * (x[i] / data[i, 0]) ** 2
    return total


@numba.njit
def slope_returned(x, data):
    found = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        found[i] = -x[i] / data[i, 0] ** 2
    return found


@numba.njit
def slope_written(x, gradient, data):
    for i in range(x.shape[0]):
        gradient[i] = -x[i] / data[i, 0] ** 2


@numba.njit
def both(x, data):
    return value(x, data), slope_returned(x, data)


@numba.njit
def standard(x):
    total = 0.0
    for i in range(x.shape[0]):
        total -= 0.5 * x[i] ** 2
    return total


@numba.njit
def standard_written(x, gradient):
    for i in range(x.shape[0]):
        gradient[i] = -x[i]


def plain(function: Any) -> Any:
    return function.py_func


FORMS: list[tuple[str, Any, dict[str, Any]]] = [
    ("kernel", kernel, {"data": WIDTHS}),
    ("both", both, {"data": WIDTHS}),
    ("returned", value, {"data": WIDTHS, "gradient": slope_returned}),
    ("written", value, {"data": WIDTHS, "gradient": slope_written}),
    ("differences", value, {"data": WIDTHS, "gradient": "differences"}),
    ("plain kernel", plain(kernel), {"data": WIDTHS}),
    ("plain both", lambda x, data: (value(x, data), slope_returned(x, data)), {"data": WIDTHS}),
    ("plain returned", plain(value), {"data": WIDTHS, "gradient": plain(slope_returned)}),
    ("plain written", plain(value), {"data": WIDTHS, "gradient": plain(slope_written)}),
    ("plain differences", plain(value), {"data": WIDTHS, "gradient": "differences"}),
    ("half plain", value, {"data": WIDTHS, "gradient": plain(slope_returned)}),
]


@pytest.mark.parametrize(("form", "function", "options"), FORMS, ids=[form[0] for form in FORMS])
def test_every_form_gives_the_same_numbers(form: str, function: Any, options: dict[str, Any]) -> None:
    target = from_function(function, 3, **options)
    x = np.random.default_rng(1).standard_normal((5, 3)) * 2
    values, gradients = target.evaluate(x)
    assert np.allclose(values, -0.5 * np.sum((x / WIDTHS[:, 0]) ** 2, axis=1), rtol=1e-13)
    assert np.allclose(gradients, -x / WIDTHS[:, 0] ** 2, rtol=1e-8, atol=1e-9)
    assert target.differentiable
    assert ("slow" in target.tags) == ("plain" in form)
    if options.get("gradient") != "differences":
        assert gradient_error(target, x) < TOLERANCE


@pytest.mark.parametrize("function", [standard, plain(standard)], ids=["compiled", "plain"])
def test_a_density_alone_has_values_and_no_gradient(function: Any) -> None:
    target = from_function(function, 2)
    assert not target.differentiable
    assert target.log_densities(np.array([[1.0, 2.0], [0.0, 0.0]])).tolist() == [-2.5, 0.0]
    assert np.isnan(target.evaluate(np.ones((1, 2)))[1]).all()


def test_a_gradient_without_data_writes_into_its_second_argument() -> None:
    for function, slope in ((standard, standard_written), (plain(standard), plain(standard_written))):
        values, gradients = from_function(function, 2, gradient=slope).evaluate(np.array([[1.0, 2.0]]))
        assert values[0] == -2.5
        assert gradients.tolist() == [[-1.0, -2.0]]


def test_a_whole_number_is_taken_as_a_float() -> None:
    @numba.njit
    def flat(x, gradient, data):
        gradient[:] = 0.0
        return 1 if x[0] > 0 else -1

    target = from_function(flat, 1)
    assert target.evaluate(np.array([[1.0], [-1.0]]))[0].tolist() == [1.0, -1.0]
    assert from_function(lambda _: np.float32(2), 1).log_densities(np.ones((1, 1)))[0] == 2.0


def test_a_kernel_of_the_projects_own_is_taken_as_it_is() -> None:
    made = targets.kernel(plain(kernel))
    assert from_function(made, 3, data=WIDTHS).log_density_and_gradient is made


def test_the_same_function_is_compiled_once() -> None:
    first, second = (from_function(kernel, 3, data=WIDTHS).log_density_and_gradient for _ in range(2))
    assert first is second


def test_start_tells_the_dimension_and_where_chains_begin() -> None:
    target = from_function(standard, start=[100.0, -100.0])
    assert target.dim == 2
    points = np.array([target.start(np.random.default_rng(seed)) for seed in range(50)])
    assert np.all(np.abs(points - [100.0, -100.0]) <= 1.0)
    assert np.all(points.std(axis=0) > 0.3)


def closure(width: float) -> Callable[..., Any]:
    @numba.njit(cache=False)
    def inner(x, gradient, data):
        gradient[0] = -x[0] / width**2
        return -0.5 * (x[0] / width) ** 2

    return inner


def test_closures_are_kept_apart() -> None:
    values = [from_function(closure(width), 1).evaluate(np.ones((1, 1)))[0][0] for width in (1.0, 2.0)]
    assert values == [-0.5, -0.125]


SESSION = """
import numba, samplers, warnings
warnings.simplefilter("error")

@numba.njit
def mine(x, gradient, data):
    gradient[0] = -x[0]
    if x[0] > 1e6:
        raise ValueError("far")
    return -0.5 * x[0] ** 2

print(samplers.sample(mine, dim=1, num_samples=20, num_warmup=50).values.shape)
"""


def test_a_function_without_a_file_works_and_warns_of_nothing(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [sys.executable, "-"], input=SESSION, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "(4, 20, 1)\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


@numba.njit
def fails_far_out(x, gradient, data):
    if x[0] > 5.0:
        raise ValueError("too far")
    gradient[0] = -x[0]
    return -0.5 * x[0] ** 2


@loop(numba.float64(KERNEL, VECTOR, VECTOR, DATA, numba.int64))
def total(kernel, x, gradient, data, n):
    result = 0.0
    for _ in range(n):
        result += kernel(x, gradient, data)
    return result


def test_what_compiled_functions_raise_comes_out_of_loops() -> None:
    target = from_function(fails_far_out, 1)
    arguments = target.kernel, np.array([6.0]), empty(1), target.data, 3
    for _ in range(2):
        with pytest.raises(ValueError, match="too far"):
            total(*arguments)
    assert total(target.kernel, np.array([1.0]), empty(1), target.data, 3) == -1.5  # nothing is left behind


def test_only_what_can_raise_is_guarded() -> None:
    for function, expected in ((kernel, False), (fails_far_out, True)):
        dispatcher = fast(plain(function))
        dispatcher.compile(KERNEL_SIGNATURE)
        assert can_raise(dispatcher, KERNEL_SIGNATURE) is expected


def test_a_factor_that_does_not_exist_is_an_exception_not_a_zero() -> None:
    @numba.njit
    def wishful(x, gradient, data):
        matrix = np.eye(2)
        matrix[0, 0] = x[0]
        gradient[0] = 1.0
        return math.log(np.linalg.cholesky(matrix)[0, 0])

    target = from_function(wishful, start=[4.0])
    assert target.evaluate(np.array([[4.0]]))[0][0] == pytest.approx(math.log(2.0))
    with pytest.raises(np.linalg.LinAlgError):
        target.evaluate(np.array([[-4.0]]))


@numba.njit
def outside(x, gradient, data):
    for i in range(5):
        gradient[i] = x[i]
    return 0.0


@numba.njit
def nothing(x):
    x.sum()


@numba.njit
def whole(x):
    return x


@numba.njit
def wide(x):
    return 0.0, np.zeros(x.shape[0] + 1)


@numba.njit
def unknown(x):
    return x.nonsense


@numba.njit
def four(x, gradient, data, more):
    return 0.0


REFUSED: list[tuple[str, Any, dict[str, Any], str]] = [
    ("no function", 3.0, {"dim": 1}, "takes a function"),
    ("no dim", standard, {}, "give dim="),
    ("dim zero", standard, {"dim": 0}, "dim=0 is not accepted"),
    ("dim a fraction", standard, {"dim": 1.5}, "dim=1.5 is not accepted"),
    ("dim and start", standard, {"dim": 3, "start": [1.0]}, "do not fit"),
    ("start NaN", standard, {"start": [np.nan]}, "finite numbers"),
    ("start a matrix", standard, {"start": np.ones((2, 2))}, r"start of shape \(2, 2\)"),
    ("start and initial", standard, {"start": [1.0], "initial": np.ones}, "both start and initial"),
    ("wrong dim", outside, {"dim": 3}, "index is out of bounds, at a position of dim=3"),
    ("None", nothing, {"dim": 3}, "returns none"),
    ("array", whole, {"dim": 3}, "returns array"),
    ("wide gradient", wide, {"dim": 3}, "as many coordinates"),
    ("not typed", unknown, {"dim": 3}, "numba cannot compile it: Unknown attribute 'nonsense'"),
    ("four arguments", four, {"dim": 3}, "takes 4 arguments"),
    ("data missing", value, {"dim": 3}, "no data are given"),
    ("data not taken", standard, {"dim": 3, "data": WIDTHS}, "takes x alone, and data are given"),
    ("data a vector", value, {"dim": 3, "data": [1.0]}, r"data of shape \(1,\)"),
    ("data words", value, {"dim": 3, "data": [["a"]]}, "a matrix of numbers"),
    ("two gradients", kernel, {"dim": 3, "gradient": standard_written}, "another is not accepted"),
    ("gradient a number", standard, {"dim": 3, "gradient": 1}, "gradient=1 is not accepted"),
    ("gradient a word", standard, {"dim": 3, "gradient": "auto"}, "gradient='auto' is not accepted"),
    (
        "gradient returns none",
        standard,
        {"dim": 3, "gradient": nothing},
        "the gradient is not accepted: it returns none",
    ),
    ("plain None", lambda _: None, {"dim": 3}, "returns None"),
    ("plain array", lambda x: x, {"dim": 3}, r"returns an array of shape \(3,\)"),
    ("plain word", lambda _: "1", {"dim": 3}, "returns str"),
    ("plain truth", lambda _: True, {"dim": 3}, "returns bool"),
    ("plain complex", lambda _: 1j, {"dim": 3}, "returns complex"),
    ("plain three", lambda x: (0.0, x, x), {"dim": 3}, "returns 3 values"),
    ("plain wide", lambda _: (0.0, np.ones(4)), {"dim": 3}, r"shape is \(4,\), and dim=3 takes \(3,\)"),
    ("plain gradient", lambda _: 0.0, {"dim": 3, "gradient": lambda _: 1.0}, r"shape is \(\)"),
]


@pytest.mark.parametrize(("function", "options", "said"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED])
def test_what_is_wrong_is_named_in_one_line(function: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        from_function(function, **options)
    assert "\n" not in str(caught.value)


def test_what_a_plain_function_raises_comes_out_with_a_note() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        from_function(lambda _: 1 / 0, 2)
    assert "in its first call" in caught.value.__notes__[0]
