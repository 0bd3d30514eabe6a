"""The prior of a Gaussian mixture whose posterior has conjugate conditionals: Bishop 2006, equations 10.39 and 10.40.

weights ~ Dirichlet(weight_concentration, ...)          precision_k ~ Wishart(degrees_of_freedom, inverse(scale))
mean_k | precision_k ~ N(mean, inverse(mean_precision precision_k))
"""

from dataclasses import dataclass

import numpy as np

from targets.kernel import Matrix, Vector
from targets.options import require


@dataclass(frozen=True, eq=False)
class MixturePrior:
    """With full covariances, the components exchangeable.

    Attributes:
        weight_concentration: of each component, positive.
        mean: (d,).
        mean_precision: how many observations the prior of a mean counts as, positive.
        degrees_of_freedom: above d - 1.
        scale: (d, d) positive definite; the prior mean of a precision is degrees_of_freedom * inverse(scale).
    """

    weight_concentration: float
    mean: Vector
    mean_precision: float
    degrees_of_freedom: float
    scale: Matrix

    def __post_init__(self) -> None:
        d = len(self.mean)
        require(
            self.weight_concentration > 0,
            f"weight_concentration={self.weight_concentration:g} is not accepted; it takes positive numbers",
        )
        require(
            self.mean_precision > 0,
            f"mean_precision={self.mean_precision:g} is not accepted; it takes positive numbers",
        )
        require(
            self.degrees_of_freedom > d - 1,
            f"degrees_of_freedom={self.degrees_of_freedom:g} is not accepted; it takes numbers above {d - 1}",
        )
        require(
            self.scale.shape == (d, d) and np.array_equal(self.scale, self.scale.T) and _positive(self.scale),
            f"the scale is not accepted; it takes a symmetric positive definite matrix ({d}, {d})",
        )


def _positive(matrix: Matrix) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
