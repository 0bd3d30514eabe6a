"""What methods without gradients have in common: they ask for the density alone where the target offers it."""

import math
from typing import Any

from samplers.pointer import pointer
from samplers.transition import Plain
from targets.kernel import Loop, compiled, density, helper
from targets.options import require
from targets.target import Target

MOST_THIN = 10_000  # one compiled call makes all proposals of a kept state, and nothing interrupts it


@density
def no_density(x, data):  # type: ignore[no-untyped-def] # noqa: ARG001
    """Stands where a target has no log density of its own; never called."""
    return math.nan


@helper
def height(log_density, kernel, gradient_free, x, gradient, data):  # type: ignore[no-untyped-def]
    """Log density at x: `log_density` if `gradient_free`, else that of `kernel`, whose gradient is thrown away."""
    return log_density(x, data) if gradient_free else kernel(x, gradient, data)


class GradientFree(Plain):
    """A kind of chain that needs no gradient, and is charged for it only where there is no density without."""

    def uses_density(self, target: Target) -> bool:
        return target.log_density is not None

    def loops(self) -> tuple[Loop, ...]:
        """The loops to compile before the start."""
        raise NotImplementedError

    def compile(self, target: Target) -> None:
        compiled(target.log_density_and_gradient)
        compiled(target.log_density or no_density)
        for loop in self.loops():
            _ = loop.compiled

    def sources(self, target: Target) -> tuple[Any, Any, bool]:
        """What loops take to evaluate the target: see `height`."""
        return (
            pointer(target.log_density or no_density),
            pointer(target.log_density_and_gradient),
            self.uses_density(target),
        )


def usual_thin(dim: int) -> int:
    """Proposals a kept state of methods whose chains forget over a number of proposals that grows with dim."""
    return max(1, dim // 4)


def check_thin(name: str, thin: int | None) -> None:
    """Refuse a number of proposals a kept state that would make a call of the loop too long to wait for.

    Raises:
        UsageError: it is not between 1 and `MOST_THIN`.
    """
    accepted = thin is None or 1 <= thin <= MOST_THIN
    require(accepted, f"{name}: thin={thin} is not accepted; it takes 1 or more, to {MOST_THIN}, or none")
