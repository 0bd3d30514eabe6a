"""What is measured as something grows: a line a series."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """One cost over one size.

    Attributes:
        unit: what is timed, one of it.
        variable: what grows.
        sizes: in which steps.
        where: 'module:function', called with the size and how often to time; see `harness.scaling.measured.Measured`.
        counts_data: whether sizes are rows or documents, which a user may have fewer of.
    """

    name: str
    unit: str
    variable: str
    sizes: tuple[int, ...]
    where: str
    counts_data: bool = True


_DECADES = tuple(10**k for k in range(3, 8))
_DOCUMENTS = tuple(10**k for k in range(2, 6))

_HERE, _TOPICS = "harness.scaling.measured", "harness.scaling.topics"

SERIES = (
    Series("mixture", "sweep", "rows", _DECADES, f"{_HERE}:mixture_rows"),
    Series("mixture", "sweep", "features", (2, 5, 10, 20, 50), f"{_HERE}:mixture_features", counts_data=False),
    Series("mixture", "sweep", "components", (2, 5, 10, 20, 50), f"{_HERE}:mixture_components", counts_data=False),
    Series("mixture, mini-batches of 1,000", "step", "rows", _DECADES, f"{_HERE}:mixture_step"),
    Series("topics", "batch epoch", "documents", _DOCUMENTS, f"{_TOPICS}:batch"),
    Series("topics", "online epoch", "documents", _DOCUMENTS, f"{_TOPICS}:online"),
    Series("topics", "sweep of collapsed Gibbs", "documents", _DOCUMENTS, f"{_TOPICS}:gibbs"),
    Series("topics", "online epoch", "topics", (5, 10, 20, 50, 100), f"{_TOPICS}:number", counts_data=False),
    Series("regression", "gradient", "rows", _DECADES[:4], f"{_HERE}:regression_gradient"),
    Series("regression", "gradient of 256 rows", "rows", _DECADES[:4], f"{_HERE}:regression_part"),
)
