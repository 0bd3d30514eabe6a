"""VB-EM of the mixture in a target's coordinates."""

import numpy as np

from targets.conjugate.mixture_family import MixtureFamily
from targets.conjugate.mixture_model import GaussianMixture
from targets.kernel import Matrix
from variational.conjugate.em import Sweeps, starting_points
from variational.conjugate.em_parameters import Distribution, of_points
from variational.conjugate.em_sweep import e_step


class MixtureUpdates:
    """See `variational.conjugate.vbem.Updates`: from means at rows drawn by k-means++, or the prior without rows."""

    def __init__(self, model: GaussianMixture, data: Matrix, rng: np.random.Generator) -> None:
        self.prior = MixtureFamily.of_prior(model.prior, model.n_components)
        points = starting_points(data, model.n_components, rng) if len(data) else model.draw(rng)
        self.sweeps = Sweeps(data.reshape(-1, model.d), of_points(points), Distribution(self.prior, self.prior))

    def sweep(self) -> float:
        return self.sweeps.sweep()

    def approximation(self) -> MixtureFamily:
        """That of the last M-step; before the first, the prior."""
        found = self.sweeps.treatment
        assert isinstance(found, Distribution)  # noqa: S101
        return found.q


def compile_sweeps() -> None:
    """Load or compile the loop."""
    _ = e_step.compiled
