"""What a cell may spend."""

from dataclasses import dataclass

from targets.options import require


@dataclass(frozen=True)
class Budget:
    """Evaluations (gradients, densities and sweeps), and seconds on the clock as a guard.

    Raises:
        UsageError: either is not positive.
    """

    max_gradients: int
    max_seconds: float

    def __post_init__(self) -> None:
        require(
            1 <= self.max_gradients < 2**63,
            f"max-gradients={self.max_gradients} is not accepted; it takes 1 or more, in 64 bits",
        )
        require(self.max_seconds > 0, f"max-seconds={self.max_seconds} is not accepted; it takes more than 0")
