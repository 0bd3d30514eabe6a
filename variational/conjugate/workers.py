"""Threads that share an array's parts, the caller among them; the same results with any number of them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

WORTH = 20_000  # multiplications, below which a thread costs more than it brings


class Pool:
    """So many threads. What they do must be the same however it is split: parts write to places of their own."""

    _others: ThreadPoolExecutor | None = None

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def share(self, costs: npt.NDArray[np.integer[Any]], work: Callable[[int, int], None]) -> None:
        """Do `work(first, last)` for parts of what has cumulative `costs` (n + 1,), about equal ones."""
        n, total = len(costs) - 1, costs[-1]
        threads = min(self.threads, max(1, int(total) // WORTH))
        if threads == 1:
            work(0, n)
            return
        if self._others is None:
            self._others = ThreadPoolExecutor(self.threads - 1, "workers")
        cuts = np.searchsorted(costs, total * np.arange(threads + 1) / threads)
        cuts[0], cuts[-1] = 0, n
        futures = [self._others.submit(work, int(a), int(b)) for a, b in pairwise(cuts[1:])]
        try:
            work(0, int(cuts[1]))
            for future in futures:
                future.result()
        finally:  # after an exception nothing goes on behind the caller's back
            wait(futures)

    def __getstate__(self) -> dict[str, int]:
        return {"threads": self.threads}
