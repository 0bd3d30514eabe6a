"""The sweeps of `BayesianGaussianMixture`, and what they make of q in a target's coordinates."""

import numpy as np

from targets.conjugate.mixture_family import MixtureFamily
from targets.conjugate.mixture_model import GaussianMixture
from targets.kernel import Matrix
from variational.conjugate import mixture_sweep
from variational.conjugate.blocks import Array
from variational.conjugate.em import starting_points
from variational.conjugate.mixture_ascent import State
from variational.conjugate.mixture_bound import Mixture
from variational.conjugate.mixture_gaussians import STRUCTURES
from variational.conjugate.mixture_moments import Moments
from variational.conjugate.mixture_prior import weights


class MixtureUpdates:
    """See `variational.conjugate.vbem.Updates`: each row begins in the nearest of rows drawn by k-means++."""

    def __init__(self, model: GaussianMixture, data: Matrix, rng: np.random.Generator) -> None:
        prior, self.data = model.prior, Array(data.reshape(-1, model.d))
        gaussians = STRUCTURES["full"](
            prior.mean[None], np.array([prior.mean_precision]), np.array([prior.degrees_of_freedom]), prior.scale[None]
        )
        weighted = weights("dirichlet_distribution", prior.weight_concentration, model.n_components)
        self.amount = model.n_components * prior.weight_concentration
        self.state = State(Mixture(weighted, gaussians), nearest(self.data.values, model.n_components, rng))

    def sweep(self) -> float:
        """Shares given q, and q given shares; returns the bound."""
        return self.state.sweep(self.data)

    def approximation(self) -> MixtureFamily:
        """That of the last sweep."""
        weighted, gaussians = self.state.q.weights, self.state.q.gaussians
        return MixtureFamily(
            self.amount,
            weighted.concentration,  # type: ignore[attr-defined]  # of the Dirichlet distribution
            gaussians.mean,
            gaussians.mean_precision,
            gaussians.degrees_of_freedom,
            gaussians.scale,
        )


def nearest(X: Matrix, components: int, rng: np.random.Generator) -> Moments:
    """Of rows (n, d), each in the component of the nearest mean, in units of the features' standard deviations."""
    n, d = X.shape
    counts, means, scatters = np.zeros(components), np.zeros((components, d)), np.zeros((components, d, d))
    if n == 0:
        return Moments(counts, means, scatters)
    centres, sd = starting_points(X, components, rng).means, X.std(axis=0)
    away = (X[:, None] - centres) / np.where(sd > 0, sd, 1.0)
    label = np.argmin(np.square(away).sum(axis=2), axis=1)
    for k in range(components):
        rows = X[label == k]
        if len(rows):
            off = rows - rows.mean(axis=0)
            counts[k], means[k], scatters[k] = len(rows), rows.mean(axis=0), off.T @ off
    return Moments(counts, means, scatters)


def compile_sweeps() -> None:
    """Load or compile the loop."""
    _ = mixture_sweep.sweep.compiled
