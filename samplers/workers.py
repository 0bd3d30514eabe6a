"""Threads in which the independent parts of a run advance: its chains, or its populations."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait


class Workers:
    """So many threads, which start when they are first needed; a pickled run takes the number along and no thread.

    Compiled loops release the interpreter's lock, so that parts advance at the same time. Each part has its own state
    and its own random numbers, which is why results do not depend on the number of threads.
    """

    _pool: ThreadPoolExecutor | None = None

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def each(self, parts: int, work: Callable[[int], None]) -> None:
        """Do `work(k)` for k from 0 to `parts`, and return when all is done; the first exception of any comes out.

        On an interrupt what has begun is waited for, and what has not is dropped.
        """
        if self.threads == 1:
            for k in range(parts):
                work(k)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, "workers")
        futures = [self._pool.submit(work, k) for k in range(parts)]
        try:
            for future in futures:
                future.result()
        finally:  # after an exception or an interrupt nothing goes on behind the caller's back
            for future in futures:
                future.cancel()
            wait(futures)

    def __getstate__(self) -> dict[str, int]:
        return {"threads": self.threads}
