"""Threads that share an array's parts, the caller among them; the same results with any number of them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

WORTH = 100_000  # multiplications, below which a part costs more than it brings
PARTS = 4  # a thread at most, so that one whose parts were quick takes of those that are left


class Pool:
    """So many threads. What they do must be the same however it is split: parts write to places of their own."""

    _others: ThreadPoolExecutor | None = None

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def share(
        self,
        costs: npt.NDArray[np.integer[Any]],
        work: Callable[[int, int], None],
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        """Do `work(first, last)` for parts of what has cumulative `costs` (n + 1,), about equal ones.

        The caller does `beside` at the same time, which must not touch what the parts do.
        """
        n, total = len(costs) - 1, costs[-1]
        parts = self.threads * min(PARTS, int(total) // (WORTH * self.threads))
        if self.threads == 1 or parts == 0:
            work(0, n)
            beside()
            return
        if self._others is None:
            self._others = ThreadPoolExecutor(self.threads - 1, "workers")
        cuts = np.searchsorted(costs, total * np.arange(parts + 1) / parts)
        cuts[0], cuts[-1] = 0, n
        left = iter(list(pairwise(cuts.tolist())))  # of all threads: each part goes to one of them

        def toil() -> None:
            for first, last in left:
                work(first, last)

        futures = [self._others.submit(toil) for _ in range(self.threads - 1)]
        try:
            beside()
            toil()
            for future in futures:
                future.result()
        finally:  # after an exception nothing goes on behind the caller's back
            wait(futures)

    def __getstate__(self) -> dict[str, int]:
        return {"threads": self.threads}
