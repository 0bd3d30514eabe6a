"""How much work one compiled call may do: nothing interrupts it, and no clock is asked."""

from targets.target import Target

CALL_EVALUATIONS = 65536.0
CALL_NANOSECONDS = 1e8
SLOW_NANOSECONDS = 1e4  # what an evaluation in plain Python costs at least


def nominal_nanoseconds(target: Target) -> float:
    """About what an evaluation takes, from the target alone, so that results do not depend on the machine."""
    nominal = 50.0 + target.dim + 0.1 * target.data.size
    return nominal + SLOW_NANOSECONDS if "slow" in target.tags else nominal


def most_evaluations(target: Target, pace: float, parts: int) -> float:
    """Evaluations that a compiled call may have which advances one of so many chains or populations of a round.

    `pace` is what an evaluation takes in nanoseconds where the caller has measured it, else 0.
    """
    return min(CALL_EVALUATIONS / parts, CALL_NANOSECONDS / max(nominal_nanoseconds(target), pace))
