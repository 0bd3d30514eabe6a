"""All targets and methods compiled at once, in as many processes as there are cores.

Every compiled function has one signature, hence one entry in its file of the cache: two processes that happen to
compile the same one write the same. The kernels come first, so that the methods find them.
"""

import os
from collections.abc import Sequence

from harness.executor import Executor, Task
from harness.plugins import loaded
from harness.work import Warmup

SECONDS = 3600.0  # a part
KERNELS = ("hmc", "random_walk")  # between them they want all that a target has compiled
MOST = 8  # processes: each holds some 400 MB


def cores() -> int:
    """How many processes compile at once by default."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(mine, MOST)


def everything(targets: Sequence[str], methods: Sequence[str], jobs: int) -> int:
    """Compile every pair that fits; returns how many do. What fails to compile fails again where it is used."""
    stages = [
        [[(target, method) for target in targets[k::jobs] for method in KERNELS] for k in range(jobs)],
        [[(target, method) for method in methods[k::jobs] for target in targets] for k in range(jobs)],
    ]
    done = 0
    with Executor(jobs) as executor:
        for parts in stages:  # a process for each part: what it has loaded once serves all its pairs
            tasks = [
                Task(str(k), Warmup(tuple(part), tuple(loaded())), SECONDS) for k, part in enumerate(parts) if part
            ]
            done = sum(finished.result or 0 for finished in executor.run(tasks))
    return done
