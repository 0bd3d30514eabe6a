"""How tests bring runs of chains on."""

from samplers.chains import ChainsRun
from targets.protocols import Phase, Status


def advanced(run: ChainsRun, work: int, slices: int = 1_000_000) -> ChainsRun:
    """The run after at least so much work in all, taken in slices."""
    while run.status is Status.RUNNING and run.work.total < work:
        run.advance(min(slices, work - run.work.total))
    return run


def warmed(run: ChainsRun) -> ChainsRun:
    """The run after warm-up."""
    while run.status is Status.RUNNING and run.phase is Phase.WARMUP:
        run.advance(1_000_000)
    return run
