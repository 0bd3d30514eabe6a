"""What `variational.advi.AdviRun` asks of the state of a fit: iterates of some family that can be moved and averaged."""

from typing import Any, Protocol

import numpy as np

from targets.target import Target


class Iterates(Protocol):
    """A state that steps move. Averages are over the window that was opened last."""

    steps: int  # made in the open window

    @property
    def cost(self) -> int: ...  # gradients a step

    @property
    def block(self) -> int: ...  # steps after which every direction has been looked at once

    @property
    def aliased(self) -> bool: ...  # whether a block leaves noise even where the target is Gaussian

    @property
    def stalled(self) -> bool: ...  # whether nothing could be evaluated for long, although the scales shrank

    @property
    def skipped(self) -> int: ...  # draws, or pairs, that could not be evaluated

    def advance(self, target: Target, rng: np.random.Generator, steps: int, rate: float, pace: float) -> int: ...

    def current(self) -> Any: ...  # the last iterate

    def average(self) -> Any: ...  # `variational.families.Average`

    def open_window(self) -> None: ...

    def restart(self, q: Any) -> None: ...  # from q, with a new window
