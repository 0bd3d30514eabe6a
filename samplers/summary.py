"""What people read first of draws: a table, one row a quantity."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from targets.options import require

if TYPE_CHECKING:
    import pandas as pd

    from samplers.draws import Draws

PROBABILITIES = (0.05, 0.5, 0.95)


def summary(draws: "Draws", names: Sequence[str], probabilities: Sequence[float] = PROBABILITIES) -> "pd.DataFrame":
    """Mean, standard deviation, their Monte Carlo standard errors, quantiles, and diagnostics of every coordinate.

    Raises:
        UsageError: a probability is not between 0 and 1.
    """
    import pandas as pd

    for p in probabilities:
        require(0.0 < p < 1.0, f"a quantile of probability {p:g} is not accepted; it lies between 0 and 1")
    flat = draws.flat
    columns = {
        "mean": draws.mean,
        "sd": flat.std(axis=0, ddof=1) if len(flat) > 1 else np.full(flat.shape[1], np.nan),
        "mcse_mean": draws.mcse_mean,
        "mcse_sd": draws.mcse_sd,
        **dict(zip((f"q{100 * p:g}" for p in probabilities), draws.quantiles(np.array(probabilities)), strict=True)),
        "ess_bulk": draws.ess_bulk,
        "ess_tail": draws.ess_tail,
        "r_hat": draws.r_hat,
    }
    return pd.DataFrame(columns, index=pd.Index(names or range(flat.shape[1]), name="quantity"))
