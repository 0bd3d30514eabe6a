"""Products and factorisations of matrices for compiled code: called, where `targets.kernel.helper` would inline them.

numba's own wrappers of BLAS and LAPACK are long, and the options of a helper reach all that it calls: each use in a
helper would be expanded, with all checks and messages, in every function above it. That made up most of the time in
which their loops were compiled. There are no sums of their own in these functions, so that their bits are the same
wherever they are compiled. Arrays are float64 and two-dimensional, in either order; results are new.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from targets.kernel import NO_POINTER


def _called(function: Callable[..., Any]) -> Any:
    """Compile a function that is not inlined by force, and takes that from no caller."""
    return numba.njit(error_model="numpy", fastmath=False, nogil=True, forceinline=False, **NO_POINTER)(function)


@_called
def product(a, b):  # type: ignore[no-untyped-def]
    """(n, m) of (n, k) and (k, m), or (n,) of (n, k) and (k,)."""
    return np.dot(a, b)


@_called
def cholesky(a):  # type: ignore[no-untyped-def]
    """The lower factor (n, n)."""
    return np.linalg.cholesky(a)


@_called
def eigh(a):  # type: ignore[no-untyped-def]
    """Eigenvalues (n,), rising, and eigenvectors (n, n) in columns, of a symmetric matrix."""
    return np.linalg.eigh(a)


@_called
def orthonormal(a):  # type: ignore[no-untyped-def]
    """A basis (n, k) of the columns of a (n, k), by QR."""
    return np.ascontiguousarray(np.linalg.qr(a)[0])


@_called
def solve(a, b):  # type: ignore[no-untyped-def]
    """The x (n, m) with a x = b."""
    return np.linalg.solve(a, b)


@_called
def svd(a):  # type: ignore[no-untyped-def]
    """The three factors of a matrix, as `np.linalg.svd` gives them."""
    return np.linalg.svd(a)
