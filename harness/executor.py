"""Cells in processes of their own, forked from a preloaded server and watched for time and memory.

A hang, a segmentation fault or an exit ends its own cell only, and becomes a row that says so.
"""

import contextlib
import ctypes
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from harness.clock import pin_threads_of_children

GRACE_SECONDS = 300.0  # beyond a cell's own cap, for compilation and for judging what was kept
POLL_SECONDS = 0.5
PRELOAD = ["harness.preload"]
MEMORY_SHARE = 0.8  # of the machine's memory, for all jobs together
MEMORY_LEAST = 2**30  # bytes for a job, however many there are: the libraries alone take a quarter
STARTS = 5  # attempts at a process while the server is being killed
SERVER_DIED = 255  # what multiprocessing gives as exit code when the server can no longer tell
PR_SET_PDEATHSIG = 1

Result = tuple[dict[str, Any], dict[str, list[Any]]]


@dataclass
class Task:
    """What a process computes: `payload` for `harness.work.perform`, and the seconds that it may take."""

    key: str
    payload: Any
    seconds: float


@dataclass
class Finished:
    """A task with its result, or with the reason why there is none."""

    task: Task
    result: Any = None
    reason: str = ""


@dataclass
class _Worker:
    task: Task
    process: Any
    pipe: Connection
    deadline: float
    server: int

    @property
    def orphaned(self) -> bool:
        """Whether it ended because its server did, which is no fault of the task."""
        return self.process.exitcode == SERVER_DIED and not _lives(self.server)


class Executor:
    """Runs tasks in at most `jobs` processes at a time. Use as a context manager."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.memory = max(MEMORY_SHARE * psutil.virtual_memory().total / jobs, MEMORY_LEAST)
        pin_threads_of_children()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)
        self.workers: list[_Worker] = []

    def prepare(self) -> None:
        """Start the server now, so that it loads while the caller does something else."""
        from multiprocessing import forkserver

        if threading.current_thread() is not threading.main_thread():
            return forkserver.ensure_running()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: an interrupt is for this process alone
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, before)

    def __enter__(self) -> "Executor":
        self.prepare()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()
        self.workers.clear()

    def run(self, tasks: list[Task]) -> Iterator[Finished]:
        """Yield every task as it ends, in the order of ending. One whose server was killed is run a second time."""
        queue, again = tasks[::-1], set[str]()
        while queue or self.workers:
            while queue and len(self.workers) < self.jobs:
                self.workers.append(self._start(queue.pop()))
            for worker in self._ended():
                self.workers.remove(worker)
                finished = self._collect(worker)
                if finished.result is None and worker.orphaned and worker.task.key not in again:
                    again.add(worker.task.key)
                    queue.append(worker.task)
                else:
                    yield finished

    def _start(self, task: Task) -> _Worker:
        from multiprocessing import forkserver

        for attempt in range(1, STARTS + 1):
            receive, send = self.context.Pipe(False)
            process = self.context.Process(target=_child, args=(send, task.payload), daemon=True)
            try:
                with _uninterrupted(), _without_main():
                    process.start()
                break
            except (EOFError, ConnectionError):  # the server was killed; the next start begins another
                receive.close()
                if attempt == STARTS:
                    raise
                time.sleep(POLL_SECONDS)
            finally:
                send.close()
        server: int = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        return _Worker(task, process, receive, time.monotonic() + task.seconds + GRACE_SECONDS, server)

    def _ended(self) -> list[_Worker]:
        ready = wait([worker.pipe for worker in self.workers], timeout=POLL_SECONDS)
        return [worker for worker in self.workers if worker.pipe in ready or self._overdrawn(worker)]

    def _overdrawn(self, worker: _Worker) -> str:
        if time.monotonic() > worker.deadline:
            return f"no answer within {worker.task.seconds + GRACE_SECONDS:.0f} s"
        try:
            used = psutil.Process(worker.process.pid).memory_info().rss
        except psutil.Error:
            return ""
        return f"took {used / 2**30:.1f} GiB of memory" if used > self.memory else ""

    def _collect(self, worker: _Worker) -> Finished:
        finished = Finished(worker.task)
        if worker.pipe.poll():
            try:
                finished.result, finished.reason = worker.pipe.recv()
            except (EOFError, OSError):  # OSError: it died in the middle of its answer
                worker.process.join()
                finished.reason = f"the process died: {_exit(worker.process.exitcode)}"
        else:
            finished.reason = self._overdrawn(worker) or "the process was ended"
            worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        return finished


def _child(pipe: Connection, payload: Any) -> None:
    """What runs in a forked process."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears the interrupt and ends its children
    from harness import work

    with contextlib.suppress(BrokenPipeError):  # the parent was interrupted: there is nobody to tell
        pipe.send(work.perform(payload))
        pipe.close()


def _lives(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _die_with_parent() -> None:
    """Ask Linux to end this process with the server it was forked from, which ends with the main process."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off interrupts to the end: a child that is told half of what to do complains on the terminal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {n: signal.signal(n, lambda number, _: came.append(number)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep children from importing the caller's script again: what they need is all in this project."""
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    for name in kept:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
