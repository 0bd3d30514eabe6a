"""Chains in threads: the same bits as one after the other, and exceptions that come out once, where they belong."""

import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import samplers
import targets
from samplers.chains import ChainsRun
from samplers.method import MCMC
from targets.kernel import failures
from targets.plain import from_python
from targets.protocols import Phase, Status
from tests.runs import advanced

CHAINED = [name for name in samplers.names() if isinstance(samplers.method(name), MCMC)]
Name = pytest.mark.parametrize("name", CHAINED)
CHAINS = {"num_chains": 3}
ENOUGH = 20_000  # evaluations: beyond the warm-up of every sampler, slices among them


def gaussian() -> targets.Target:
    return targets.load("correlated_gaussian", dim=5, rho=0.6, mean=2.0)


def fitting(name: str) -> targets.Target:
    """The Gaussian, or a regression for samplers that need a prior, or rows of data."""
    target = gaussian()
    if samplers.method(name).unfit(target):
        return targets.load("logistic_regression", dataset="synthetic", n=200, dim=3)
    return target


def interpreted() -> targets.Target:
    return from_python(lambda x: -0.5 * float(x @ x), 3, np.negative)


def started(name: str, target: targets.Target, threads: int) -> ChainsRun:
    method = samplers.method(name, num_warmup=150, **CHAINS)
    method.compile(target)
    return method.start(target, 3, threads=threads)


@Name
@pytest.mark.parametrize("make", [fitting, interpreted])
def test_draws_are_the_same_bits_with_any_number_of_threads(name: str, make: Callable[..., targets.Target]) -> None:
    target = make(name) if make is fitting else make()
    if samplers.method(name).unfit(target):
        pytest.skip(f"{name} does not run on {target.name}")
    serial = advanced(started(name, target, 1), ENOUGH)
    assert serial.status is Status.RUNNING
    assert serial.phase is Phase.RUN
    for threads in (2, 5):
        threaded = advanced(started(name, target, threads), ENOUGH)
        assert threaded.work == serial.work
        assert np.array_equal(threaded.draws, serial.draws)
        assert threaded.diagnostics() == serial.diagnostics()


@Name
def test_the_pace_of_rounds_changes_no_draw(name: str) -> None:
    """One iteration a call against as many as the density's nominal cost allows."""
    target = fitting(name)
    usual, hasty = started(name, target, 1), started(name, target, 2)
    hasty.pace = 1e12
    for run in (usual, hasty):
        while run.status is Status.RUNNING and (run.phase is Phase.WARMUP or run.done < 50):
            run.advance(1)
    assert usual.status is hasty.status is Status.RUNNING
    assert np.array_equal(usual.draws[:, :50], hasty.draws[:, :50])


@Name
def test_a_run_in_threads_is_pickled_and_resumed(name: str) -> None:
    run = advanced(started(name, fitting(name), 2), 2_000)
    assert run.status is Status.RUNNING
    resumed = advanced(pickle.loads(pickle.dumps(run)), 5_000)
    assert np.array_equal(resumed.draws, advanced(run, 5_000).draws)


class Fuse:
    """A plain density that raises at its n-th call, whichever thread makes it."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.raised = 0
        self.lock = threading.Lock()

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        with self.lock:
            self.left -= 1
            if self.left == 0:
                self.raised += 1
                raise ZeroDivisionError("burnt")
        return -0.5 * float(x @ x), -x


@Name
@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_raised_in_a_thread_comes_out_once_and_leaves_nothing_behind(name: str, threads: int) -> None:
    fuse = Fuse(2_000)
    target = from_python(fuse, 2)
    if samplers.method(name).unfit(target):
        pytest.skip(f"{name} does not run on {target.name}")
    run = started(name, target, threads)
    with pytest.raises(ZeroDivisionError, match="burnt"):
        advanced(run, 100_000)
    assert fuse.raised == 1
    assert not failures
    healthy = from_python(lambda x: (-0.5 * float(x @ x), -x), 2)
    assert advanced(started(name, healthy, threads), 500).status is Status.RUNNING


def test_runs_at_the_same_time_keep_their_exceptions_to_themselves() -> None:
    """Runs in four threads, of which two fail: each hears of its own failure alone."""
    told: dict[int, Any] = {}

    def work(k: int) -> None:
        fuse = Fuse(3_000 if k % 2 else 10**9)
        try:
            values = samplers.sample(fuse, "hmc", dim=2, num_samples=400, num_warmup=100, seed=1, num_threads=2).values
            told[k] = values
        except ZeroDivisionError:
            told[k] = "burnt"

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [isinstance(told[k], str) for k in range(4)] == [False, True, False, True]
    assert np.array_equal(told[0], told[2])
    assert not np.isnan(told[0]).any()
