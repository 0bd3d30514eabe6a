"""Factor analysis and probabilistic principal components, with priors of what they learn.

    x_i = mean + loadings z_i + noise,   z_i ~ N(0, I)   noise_j ~ N(0, 1 / noise_precision_j)

    loadings_jk ~ N(0, 1 / precision_k)              precision_k ~ Gamma(shape, rate=rate)           (Bishop 1999)
    noise_precision_j ~ Gamma(noise_shape, rate=noise_rate), one for every column ('diagonal'), or one ('isotropic')

The mean has the flat prior of density one, and is integrated out: what is left is the same model with mean zero of
n - 1 observations, whose scatter is that about the sample mean, and a factor n^(-d/2). Rows enter by their scatter
alone, that is by any `factor` with factor'factor = scatter; `targets.conjugate.least_squares` makes the smallest.
"""

from dataclasses import dataclass
from typing import Literal

from targets.options import require

NOISES = ("diagonal", "isotropic")


@dataclass(frozen=True)
class FactorPrior:
    """See the module; shapes and rates are those of gamma distributions."""

    noise: Literal["diagonal", "isotropic"] = "diagonal"
    noise_shape: float = 1e-3
    noise_rate: float = 1e-3
    shape: float = 1e-3
    rate: float = 1e-3

    def __post_init__(self) -> None:
        require(self.noise in NOISES, f"noise={self.noise!r} is not accepted; it takes {' or '.join(NOISES)}")
        for name in ("noise_shape", "noise_rate", "shape", "rate"):
            value = getattr(self, name)
            require(0 < value < float("inf"), f"{name}={value:g} is not accepted; it takes positive numbers")


@dataclass(frozen=True)
class FactorModel:
    """Of rows with a mean that is unknown, or zero."""

    prior: FactorPrior
    n_components: int
    mean: bool = True

    def __post_init__(self) -> None:
        require(self.n_components >= 1, f"n_components={self.n_components} is not accepted; it takes 1 or more")
