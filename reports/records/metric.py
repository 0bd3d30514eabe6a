"""What the records say of one metric of error: its name, its formula, its floors."""

from dataclasses import dataclass

UNCONSTRAINED = "unconstrained"
NAMED = "named quantities"
INVARIANT = "label-invariant quantities"
PREDICTED = "what the target predicts"

BY_ERRORS = "what one standard error of the reference in every quantity comes to"
BY_DRAWS = "expected between the truth and the draws that stand for it"
EXACT_ANSWER = "zero: no reference is used"
INDEPENDENT = "95 % quantile for n independent draws of p; zero for a density"
INDEPENDENT_OF_ANY = "95 % quantile for n independent draws of p; a density is sampled"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: its column in the curves; with `_reference_floor` and `_sampling_floor` behind it, those of its floors.
        label: what it is called in tables and on axes.
        perfect: its value for a perfect answer, None where that depends on the target (the log normaliser).
        log: whether its axis is logarithmic.
        formula: its definition; q is the approximation, p the target.
        source: where the definition comes from.
        rate: the exponent with which independent draws bring it to its perfect value as they grow in number, or None.
        note: what its reader has to know, or ''.
        coordinates: what it looks at: `UNCONSTRAINED`, `NAMED`, `INVARIANT` or `PREDICTED`.
        by_reference: what its reference floor is.
        by_sampling: what its sampling floor is; n is the number of draws that it looked at.
        draws: how many draws of q it looks at, at most; those of a longer run are taken evenly spaced.
        final: whether it is computed at the last checkpoint alone, as what costs much or draws no curve is.
    """

    name: str
    label: str
    perfect: float | None
    log: bool
    formula: str
    source: str
    rate: float | None = None
    note: str = ""
    coordinates: str = UNCONSTRAINED
    by_reference: str = BY_ERRORS
    by_sampling: str = INDEPENDENT
    draws: str = "all"
    final: bool = False

    @property
    def reference_floor(self) -> str:
        """The column with the error that the reference's own standard error implies."""
        return f"{self.name}_reference_floor"

    @property
    def ranks(self) -> bool:
        """Whether methods can be ranked by it: a perfect answer has one value, the same on every target."""
        return self.perfect is not None

    @property
    def sampling_floor(self) -> str:
        """The column with the 95 % quantile of the metric between the truth and as many independent draws."""
        return f"{self.name}_sampling_floor"
