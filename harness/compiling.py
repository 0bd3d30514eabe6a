"""All targets and methods compiled at once, in as many processes as there are cores.

Each process takes the next method that none has taken, and keeps to itself what it has loaded and typed until the end.
Every compiled function has one signature, hence one entry in its file of the cache: two processes that happen to
compile the same one write the same. That they seldom do is a matter of order: each begins at another target.
"""

import os
import tempfile
from collections.abc import Sequence

from harness.executor import Executor, Task
from harness.plugins import loaded
from harness.work import Warmup

SECONDS = 3600.0  # a process
KERNELS = ("hmc", "random_walk")  # between them they want all that most targets have compiled
MOST = 8  # processes: each holds some 600 MB


def cores() -> int:
    """How many processes compile at once by default."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(mine, MOST)


def everything(targets: Sequence[str], methods: Sequence[str], executor: Executor) -> int:
    """Compile every pair that fits; returns how many do. What fails to compile fails again where it is used."""
    jobs = executor.jobs
    ordered = sorted(methods, key=lambda method: method not in KERNELS)
    with tempfile.TemporaryDirectory() as claims:
        tasks = []
        for k in range(jobs):
            first = k * len(targets) // jobs
            turned = (*targets[first:], *targets[:first])
            pairs = tuple((target, method) for method in ordered for target in turned)
            tasks.append(Task(str(k), Warmup(pairs, tuple(loaded()), claims), SECONDS))
        return sum(finished.result or 0 for finished in executor.run(tasks))
