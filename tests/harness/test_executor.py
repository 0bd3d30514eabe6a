"""A process a cell: whatever happens in one ends that one only."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing import forkserver

import pytest

from harness import executor as module
from harness.executor import Executor, Task


class Call:
    """A payload that calls a function in the worker."""

    plugins = ()

    def __init__(self, function, *arguments) -> None:
        self.function, self.arguments = function, arguments


@pytest.fixture
def run(monkeypatch):
    """Run payloads that are functions, by way of a stand-in for `harness.work.perform` that is sent along."""

    def run(*calls, jobs=2, seconds=30.0):
        tasks = [Task(str(i), call, seconds) for i, call in enumerate(calls)]
        with Executor(jobs) as executor:
            return {int(done.task.key): (done.result, done.reason) for done in executor.run(tasks)}

    return run


@pytest.fixture(autouse=True)
def perform_calls(monkeypatch):
    monkeypatch.setattr(module, "_child", child)


def child(pipe, payload) -> None:
    module._die_with_parent()
    pipe.send((payload.function(*payload.arguments), ""))
    pipe.close()


def test_deaths_end_their_own_cell_only(run) -> None:
    done = run(Call(abs, -1), Call(os._exit, 7), Call(signal.raise_signal, signal.SIGSEGV), Call(abs, -2), jobs=2)
    assert done[0] == (1, "") and done[3] == (2, "")
    assert done[1] == (None, "the process died: exit code 7")
    assert done[2] == (None, "the process died: signal SIGSEGV")


def test_tasks_survive_the_death_of_the_server(run) -> None:
    def kill() -> None:
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]

    forkserver.ensure_running()
    threading.Timer(1.0, kill).start()
    done = run(*[Call(time.sleep, 0.7) for _ in range(4)], jobs=2)
    assert [done[i] for i in range(4)] == [(None, "")] * 4


def kill_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def test_a_task_that_kills_its_server_is_given_up(run) -> None:
    assert run(Call(kill_parent))[0] == (None, "the process died: exit code 255")


def test_an_interrupt_waits_until_a_process_has_its_orders(monkeypatch) -> None:
    with Executor(1) as executor:
        start = executor.context.Process.start

        def interrupted(process) -> None:
            signal.raise_signal(signal.SIGINT)
            start(process)

        monkeypatch.setattr(executor.context.Process, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            executor.run([Task("0", Call(abs, -1), 30.0)]).__next__()
        assert multiprocessing.active_children(), "it was started whole"


def test_many_jobs_leave_each_the_memory_to_start() -> None:
    assert Executor(1000).memory >= 2**30


def test_a_hang_is_ended_at_its_deadline(run, monkeypatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    begin = time.monotonic()
    done = run(Call(time.sleep, 600), seconds=0.3)
    assert done[0][0] is None and "no answer within" in done[0][1]
    assert time.monotonic() - begin < 60


def test_a_glutton_is_ended(monkeypatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    with Executor(1) as executor:
        executor.memory = 2**20
        (done,) = executor.run([Task("0", Call(time.sleep, 600), 600.0)])
    assert "GiB of memory" in done.reason


def test_leaving_early_leaves_no_process_behind() -> None:
    with Executor(2) as executor:
        tasks = [Task(str(i), Call(time.sleep, 600 * (i != 0)), 600.0) for i in range(3)]
        next(executor.run(tasks))
        processes = [worker.process for worker in executor.workers]
    assert processes and not any(process.is_alive() for process in processes)
