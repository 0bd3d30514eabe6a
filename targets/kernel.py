"""How densities and loops are compiled: one signature for every kernel, one decorator for each kind of code.

A kernel is a compiled function

    log_density_and_gradient(x: float64[dim], gradient: float64[dim] (written), data: float64[rows, columns]) -> float64

and loops take it as an argument of the first-class type `KERNEL`, so that a new target compiles itself alone.
"""

import math
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import numba
import numpy as np
import numpy.typing as npt
from numba import float64, types
from numba.core.compiler import Compiler

from targets import cache

cache.install()

# The part of fast math that keeps NaN and infinity meaningful; `nnan` and `ninf` would make `isnan` always false.
FASTMATH = frozenset({"contract", "reassoc", "arcp", "nsz", "afn"})

VECTOR = float64[::1]
MATRIX = float64[:, ::1]
DATA = types.Array(float64, 2, "C", readonly=True)
KERNEL_SIGNATURE = float64(VECTOR, VECTOR, DATA)
DENSITY_SIGNATURE = float64(VECTOR, DATA)
KERNEL = types.FunctionType(KERNEL_SIGNATURE)
DENSITY = types.FunctionType(DENSITY_SIGNATURE)

# For what is no argument of other functions, as kernels are: nothing is compiled for callers through a pointer.
NO_POINTER: dict[str, Any] = {"no_cfunc_wrapper": True}

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


class Failures(threading.local):
    """The exception that a density met while compiled code ran, which cannot carry it; see `targets.plain`.

    Each thread has its own: a density is called in the thread of the loop that calls it, so that an exception comes out
    of that loop, and loops of other threads go on.
    """

    def __init__(self) -> None:
        self.kept: BaseException | None = None

    def __bool__(self) -> bool:
        return self.kept is not None

    def append(self, failure: BaseException) -> None:
        self.kept = self.kept or failure


failures = Failures()


def raise_failure() -> None:
    """Raise the exception that a density met in compiled code of this thread, if there is one, and forget it."""
    failure, failures.kept = failures.kept, None
    if failure is not None:
        raise failure


class Distinct(Compiler):
    """Compiles for array arguments that never overlap, as the position, gradient and data of a kernel never do.

    Left to itself a loop that both sums and stores is vectorised behind a check of the arrays' distance, and adds in
    another order where they lie within 256 bytes of each other: the same call would give other bits in another process.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.flags.noalias = True


class Kernel(Protocol):
    """A compiled `log_density_and_gradient`; see the module."""

    def __call__(self, x: Vector, gradient: Vector, data: Matrix, /) -> float: ...


class Density(Protocol):
    """A compiled `log_density`, for methods that need no gradient."""

    def __call__(self, x: Vector, data: Matrix, /) -> float: ...


def kernel(function: Callable[..., float]) -> Any:
    """Compile `log_density_and_gradient(x, gradient, data)` under the one signature, when it is first needed."""
    return _dispatcher(function, KERNEL_SIGNATURE)


def lean_kernel(function: Callable[..., float]) -> Any:
    """As `kernel`, for one that makes no arrays and calls nothing that does: it counts no references.

    numba drops the counting by itself from simple loops; from others, such as those that the compiler turns into a
    call of memset, it does not, and a call costs 10 to 40 ns more.
    """
    return _dispatcher(function, KERNEL_SIGNATURE, _nrt=False)


def density(function: Callable[..., float]) -> Any:
    """Compile `log_density(x, data)` under its signature, when it is first needed."""
    return _dispatcher(function, DENSITY_SIGNATURE)


def first_class(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate what loops take as an argument beside kernels, under its own signature: `@first_class(signature)`.

    As with kernels, its array arguments never overlap, and `compiled` loads or compiles it.
    """
    return lambda function: _dispatcher(function, signature)


def _dispatcher(function: Callable[..., float], signature: Any, **options: Any) -> Any:
    dispatcher: Any = numba.njit(
        cache=True,
        error_model="numpy",
        fastmath=set(FASTMATH),
        nogil=True,
        pipeline_class=Distinct,
        forceinline=True,  # see `helper`
        **options,
    )(function)
    dispatcher.declared_signature = signature
    return dispatcher


def helper(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels and loops call; it is typed where it is used, and always inlined.

    What is not inlined exists twice, optimised by itself and once more within its caller, with other sums. The process
    that compiles runs the one, and those that load the caller from the cache run the other.
    """
    return numba.njit(error_model="numpy", fastmath=set(FASTMATH), nogil=True, forceinline=True, **NO_POINTER)(function)


def compiled(dispatcher: Any) -> Any:
    """The same dispatcher with the code for its declared signature loaded from the cache, or compiled now."""
    signature = dispatcher.declared_signature
    if not dispatcher.signatures:
        dispatcher.compile(signature)
        dispatcher.disable_compile()
    return dispatcher


class Loop:
    """A loop compiled under an explicit signature when it is first called, never at import."""

    def __init__(self, function: Callable[..., Any], signature: Any, **options: Any) -> None:
        self.function = function
        self.signature = signature
        self.options = options
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__

    @cached_property
    def compiled(self) -> Any:
        """The numba dispatcher; reading it loads the code from the cache or compiles it."""
        options = {"cache": True, "error_model": "numpy", "fastmath": set(FASTMATH), "nogil": True, **self.options}
        return numba.njit(self.signature, **options, **NO_POINTER)(self.function)

    def __call__(self, *arguments: Any) -> Any:
        result = self.compiled(*arguments)
        if failures:
            raise_failure()
        return result


def loop(signature: Any) -> Callable[[Callable[..., Any]], Loop]:
    """Decorate a loop of a sampler or of a VI method: `@loop(signature)`."""
    return lambda function: Loop(function, signature)


def lean_loop(signature: Any) -> Callable[[Callable[..., Any]], Loop]:
    """As `loop`, for one that makes no arrays, though it may look at parts of some: it counts no references.

    Where helpers take arrays, or arrays come in tuples, counting costs 50 ns a turn and more.
    """
    return lambda function: Loop(function, signature, _nrt=False)


def distinct_loop(signature: Any) -> Callable[[Callable[..., Any]], Loop]:
    """As `lean_loop`, for one whose array arguments never overlap: what it vectorises checks no distances."""
    return lambda function: Loop(function, signature, _nrt=False, pipeline_class=Distinct)


@loop(types.void(DENSITY, DATA, MATRIX, VECTOR))
def densities(density, data, points, values):  # type: ignore[no-untyped-def]
    """Fill `values` (n,) with the log density at each of the points (n, dim)."""
    x = np.empty(points.shape[1])
    for i in range(points.shape[0]):
        for j in range(points.shape[1]):
            x[j] = points[i, j]
        values[i] = density(x, data)


def empty(*shape: int) -> npt.NDArray[np.float64]:
    """An uninitialised C-contiguous float64 array whose first element is aligned to 64 bytes."""
    size = math.prod(shape)
    buffer = np.empty(size * 8 + ALIGNMENT, dtype=np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size * 8].view(np.float64).reshape(shape)


def zeros(*shape: int) -> npt.NDArray[np.float64]:
    """As `empty`, filled with zeros."""
    array = empty(*shape)
    array[...] = 0.0
    return array


def aligned(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A C-contiguous float64 copy of `values`, aligned to 64 bytes."""
    source = np.asarray(values, dtype=np.float64)
    copy = empty(*source.shape)
    copy[...] = source
    return copy


def data_matrix(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """An aligned, read-only copy of a two-dimensional array, as kernels take their data.

    Raises:
        ValueError: `values` is not two-dimensional.
    """
    source = np.asarray(values, dtype=np.float64)
    if source.ndim != 2:
        raise ValueError(f"the data of a kernel are one matrix, not an array of {source.ndim} dimensions")
    matrix = aligned(source)
    matrix.flags.writeable = False
    return matrix
