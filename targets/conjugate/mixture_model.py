"""A Gaussian mixture under its conjugate prior: draws of the parameters, and of data given them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from targets.conjugate.mixture import MixturePrior
from targets.kernel import Matrix, Vector
from targets.options import require

Tensor = npt.NDArray[np.float64]


class MixtureParameters(NamedTuple):
    """weights (K,), means (K, d) and covariances (K, d, d); or draws of them, (n, ...) each."""

    weights: Vector
    means: Matrix
    covariances: Tensor


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """`n_components` exchangeable normals with full covariances."""

    prior: MixturePrior
    n_components: int

    def __post_init__(self) -> None:
        require(self.n_components >= 1, f"n_components={self.n_components} is not accepted; it takes 1 or more")

    @property
    def d(self) -> int:
        """Of how many features the data are."""
        return len(self.prior.mean)

    def draw(self, rng: np.random.Generator) -> MixtureParameters:
        """Parameters from the prior."""
        prior, components = self.prior, self.n_components
        amounts = rng.gamma(prior.weight_concentration, size=components)
        means, covariances = np.empty((components, self.d)), np.empty((components, self.d, self.d))
        for k in range(components):
            covariances[k] = inverse_wishart(rng, prior.degrees_of_freedom, prior.scale)
            root = np.linalg.cholesky(covariances[k])
            means[k] = prior.mean + root @ rng.standard_normal(self.d) / np.sqrt(prior.mean_precision)
        total = amounts.sum()
        weights = amounts / total if total > 0 else np.eye(components)[rng.integers(components)]
        return MixtureParameters(weights, means, covariances)

    def simulate(self, rng: np.random.Generator, parameters: MixtureParameters, n: int) -> Matrix:
        """(n, d) independent observations."""
        label = rng.choice(self.n_components, size=n, p=parameters.weights)
        roots = np.linalg.cholesky(parameters.covariances)
        return np.asarray(
            parameters.means[label] + np.einsum("nij,nj->ni", roots[label], rng.standard_normal((n, self.d)))
        )


def inverse_wishart(rng: np.random.Generator, degrees_of_freedom: float, scale: Matrix) -> Matrix:
    """One draw (d, d): the inverse of a Wishart precision of mean degrees_of_freedom * inverse(scale), by Bartlett."""
    d = len(scale)
    bartlett = np.tril(rng.standard_normal((d, d)), -1)
    bartlett[np.diag_indices(d)] = np.sqrt(rng.chisquare(degrees_of_freedom - np.arange(d)))
    # precision = R A A' R' with R R' = inverse(scale), here R = inverse(L') and L the factor of the scale
    root = np.linalg.solve(bartlett, np.linalg.cholesky(scale).T)
    return np.asarray(root.T @ root)
