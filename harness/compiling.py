"""All targets and methods compiled at once, in as many processes as there are cores.

Each process takes the next method that none has taken, and keeps to itself what it has loaded and typed until the end.
Every compiled function has one signature, hence one entry in its file of the cache: two processes that happen to
compile the same one write the same. That they seldom do is a matter of order, as is that they end together.
"""

import os
import tempfile
from collections.abc import Sequence

from harness.executor import Executor, Task
from harness.plugins import loaded
from harness.work import Warmup

SECONDS = 3600.0  # a process
KERNELS = ("hmc", "random_walk")  # between them they want all that most targets have compiled
# Those whose loops take longest: early, so that their relatives find them, and no process ends long after the others.
DEAREST = ("bam_lowrank", "bam", "gibbs", "realnvp", "alpha_vi", "bbvi", "parallel_tempering", "vbem")
FIRST = KERNELS + DEAREST
MOST = 8  # processes: two hold some 700 MB each


def cores() -> int:
    """How many processes compile at once by default."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(mine, MOST)


def order(methods: Sequence[str]) -> list[str]:
    """The methods in the order in which they are taken."""
    return [name for name in FIRST if name in methods] + [name for name in methods if name not in FIRST]


def everything(targets: Sequence[str], methods: Sequence[str], executor: Executor) -> int:
    """Compile every pair that fits; returns how many do. What fails to compile fails again where it is used."""
    jobs = executor.jobs
    ordered = order(methods)
    with tempfile.TemporaryDirectory() as claims:
        tasks = []
        for k in range(jobs):
            first = k * len(targets) // jobs
            turned = (*targets[first:], *targets[:first])
            pairs = tuple((target, method) for method in ordered for target in turned)
            tasks.append(Task(str(k), Warmup(pairs, tuple(loaded()), claims), SECONDS))
        return sum(finished.result or 0 for finished in executor.run(tasks))
