"""Kernels of other people: compiled for this process alone, and safe where they raise.

A function pointer cannot carry an exception: numba prints it and returns zero. So a function that can raise is called
within `try`; where it does, the density is NaN, the same call is made again from the interpreter to learn what was
raised, and that is kept for `targets.kernel.raise_failure`, as for plain Python densities.
"""

import itertools
import re
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from targets.kernel import DENSITY_SIGNATURE, FASTMATH, KERNEL_SIGNATURE, Distinct, Matrix, Vector, failures

Jit = Callable[[Callable[..., Any]], Any]

_guarded: dict[int, Any] = {}
_handles = itertools.count()


def fast(function: Callable[..., Any]) -> Any:
    """As `targets.kernel.kernel` compiles, but not kept on disk: what the code depends on is not known."""
    return numba.njit(
        error_model="numpy", fastmath=set(FASTMATH), nogil=True, pipeline_class=Distinct, forceinline=True
    )(function)


def checked(function: Callable[..., Any]) -> Any:
    """As `fast`, with the bounds of arrays checked, which numba by itself does not do."""
    return numba.njit(error_model="numpy", boundscheck=True)(function)


def kernel_of(dispatcher: Any, density: bool = False) -> Any:
    """What loops take, of a function made by `fast`: itself, or a guard around it if it can raise."""
    signature = DENSITY_SIGNATURE if density else KERNEL_SIGNATURE
    dispatcher.compile(signature)
    if can_raise(dispatcher, signature):
        handle = next(_handles)
        _guarded[handle] = dispatcher
        dispatcher = (_density_guard if density else _kernel_guard)(dispatcher, handle)
        dispatcher.compile(signature)
    dispatcher.disable_compile()
    dispatcher.declared_signature = signature
    return dispatcher


def can_raise(dispatcher: Any, signature: Any) -> bool:
    """Whether the compiled code has a way out with a status other than 0, which is how numba raises."""
    result = dispatcher.get_compile_result(signature)
    name = re.escape(result.fndesc.mangled_name)
    body = re.search(rf'^define [^\n]*{name}"?\(.*?^}}', result.library.get_llvm_str(), re.MULTILINE | re.DOTALL)
    return body is None or any(status != "0" for status in re.findall(r"\bret i32 (\S+)", body.group()))


def _ask(handle: int, *arguments: Any) -> None:
    if failures:
        return
    try:
        _guarded[handle](*arguments)
        failures.append(RuntimeError("the density raised an exception, and not when it was called again"))
    except BaseException as failure:  # whatever it is, the compiled caller cannot carry it
        failures.append(failure)


def _again(handle: int, x: Vector, data: Matrix) -> None:
    _ask(handle, x.copy(), np.empty(len(x)), data)


def _density_again(handle: int, x: Vector, data: Matrix) -> None:
    _ask(handle, x.copy(), data)


def _kernel_guard(inner: Any, handle: int) -> Any:
    def guard(x, gradient, data):  # type: ignore[no-untyped-def]
        value, raised = np.nan, False
        try:
            value = inner(x, gradient, data)
        except Exception:
            raised = True
        if raised:
            with numba.objmode():
                _again(handle, x, data)
        return value

    return numba.njit(error_model="numpy")(guard)


def _density_guard(inner: Any, handle: int) -> Any:
    def guard(x, data):  # type: ignore[no-untyped-def]
        value, raised = np.nan, False
        try:
            value = inner(x, data)
        except Exception:
            raised = True
        if raised:
            with numba.objmode():
                _density_again(handle, x, data)
        return value

    return numba.njit(error_model="numpy")(guard)
