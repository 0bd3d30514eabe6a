"""How sampling is told: a bar on the error stream."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from samplers.chains import ChainsRun
from samplers.method import SamplerRun
from targets.protocols import Phase

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("left"),
    TimeRemainingColumn(),
)


@contextlib.contextmanager
def bar(run: SamplerRun, num_samples: int) -> Iterator[Callable[[], None]]:
    """A bar over the iterations of a run, those of warm-up where it counts them; to be called after each round."""
    warmup = run.lessons[-1].end if isinstance(run, ChainsRun) and run.lessons else 0
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task("warm-up", total=warmup + num_samples)

        def show() -> None:
            if run.phase is Phase.WARMUP:
                progress.update(task, completed=min(run.done, warmup))
            else:
                diverging = int(run.stats["diverging"][:, : run.done].sum()) if isinstance(run, ChainsRun) else 0
                said = f"sampling, {diverging} divergences" if diverging else "sampling"
                progress.update(task, completed=warmup + min(run.done, num_samples), description=said)

        yield show
