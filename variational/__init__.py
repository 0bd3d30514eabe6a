"""Variational inference: families, objectives, optimisers, and their compositions."""

from variational.amortised import AmortisedPosterior, amortisation_gap
from variational.autoencoder import VariationalAutoencoder
from variational.conjugate.lda import LatentDirichletAllocation
from variational.fitting import Fit, fit
from variational.gaussian import Gaussian
from variational.registry import METHODS, method, names

__all__ = [
    "METHODS",
    "AmortisedPosterior",
    "Fit",
    "Gaussian",
    "LatentDirichletAllocation",
    "VariationalAutoencoder",
    "amortisation_gap",
    "fit",
    "method",
    "names",
]
