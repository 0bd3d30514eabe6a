"""Linear regression with Gaussian noise of unknown precision, and three priors of its coefficients.

    y_i ~ N(intercept + x_i . coef, 1 / noise_precision)      noise_precision ~ Gamma(noise_shape, rate=noise_rate)

    ratio:  coef_j ~ N(0, 1 / (ratio noise_precision))         the normal-gamma prior, conjugate
    shared: coef_j ~ N(0, 1 / precision)                       precision ~ Gamma(shape, rate=rate)
    ard:    coef_j ~ N(0, 1 / precision_j)                     precision_j ~ Gamma(shape, rate=rate), independent

The intercept, where there is one, has the flat prior of density one, and is integrated out: what is left is the
regression of n - 1 observations, those of the centred rows, and a factor n^(-1/2).
"""

from dataclasses import dataclass
from typing import Literal

from targets.options import require

PRIORS = ("ratio", "shared", "ard")


@dataclass(frozen=True)
class RegressionPrior:
    """See the module; shapes and rates are those of gamma distributions."""

    kind: Literal["ratio", "shared", "ard"] = "shared"
    noise_shape: float = 1e-6
    noise_rate: float = 1e-6
    ratio: float = 1.0
    shape: float = 1e-6
    rate: float = 1e-6

    def __post_init__(self) -> None:
        require(self.kind in PRIORS, f"prior={self.kind!r} is not accepted; it takes {', '.join(PRIORS)}")
        for name in ("noise_shape", "noise_rate", "ratio", "shape", "rate"):
            value = getattr(self, name)
            require(0 < value < float("inf"), f"{name}={value:g} is not accepted; it takes positive numbers")


@dataclass(frozen=True)
class LinearRegression:
    """Of rows [covariates, response]; with an intercept, or without."""

    prior: RegressionPrior
    intercept: bool = True
