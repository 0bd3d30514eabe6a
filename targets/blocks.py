"""The rows of a target in blocks, as methods visit them that take the likelihood in part.

With m blocks the gradient is estimated by

    grad prior(x) + m grad likelihood(block k)(x) + correction_k

where the corrections sum to zero. Each block comes up once an epoch, so that the mean over an epoch is the gradient
itself whatever the sizes of the blocks: the weight is m, which is n / B where blocks of B rows tile the n rows.

A control variate (Baker, Fearnhead, Fox & Nemeth 2019, eq. 6) is the gradient at an anchor near the mode:

    correction_k = grad likelihood(all)(anchor) - m grad likelihood(block k)(anchor)

It costs one pass over the rows, since blocks stay what they are. The noise that is left shrinks with the distance
from the anchor.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from targets.kernel import Matrix, Vector, aligned, compiled, data_matrix, empty, raise_failure, zeros
from targets.target import Rows, Target


@dataclass(frozen=True)
class Blocks:
    """Rows in an order of their own, and where blocks of them begin and end.

    Attributes:
        data: (n, columns) a shuffled copy of the target's data, read-only.
        bounds: (m + 1,) block k is `data[bounds[k] : bounds[k + 1]]`; sizes differ by one at most.
        corrections: (m, dim) what the estimate of each block is corrected by; zeros without control variates.
    """

    data: Matrix
    bounds: npt.NDArray[np.int64]
    corrections: Matrix = field(repr=False)

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return len(self.bounds) - 1

    def __reduce__(self) -> Any:
        return _restored, (self.data, self.bounds, self.corrections)


def _restored(data: Matrix, bounds: npt.NDArray[np.int64], corrections: Matrix) -> Blocks:
    return Blocks(data_matrix(data), bounds, aligned(corrections))


def block_count(rows: int, batch_size: int) -> int:
    """How many blocks of about `batch_size` rows there are in so many rows."""
    return max(1, round(rows / batch_size))


def shuffled(target: Target, rng: np.random.Generator, batch_size: int) -> Blocks:
    """The target's rows in random order, in blocks of about `batch_size`, without control variates."""
    n = len(target.data)
    m = block_count(n, batch_size)
    bounds = np.arange(m + 1, dtype=np.int64) * n // m
    return Blocks(data_matrix(target.data[rng.permutation(n)]), bounds, zeros(m, target.dim))


def anchored(rows: Rows, blocks: Blocks, anchor: Vector) -> Blocks:
    """The same blocks with the gradients at `anchor` (dim,) as control variates; reads every row once."""
    kernel, m = compiled(rows.likelihood), blocks.count
    gradients, gradient = zeros(m, len(anchor)), empty(len(anchor))
    for k in range(m):
        kernel(anchor, gradient, blocks.data[blocks.bounds[k] : blocks.bounds[k + 1]])
        gradients[k] = gradient
    raise_failure()
    return Blocks(blocks.data, blocks.bounds, aligned(gradients.sum(axis=0) - m * gradients))
