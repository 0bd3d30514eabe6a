"""Variational inference: families, objectives, optimisers, and their compositions."""

from variational.amortised import AmortisedPosterior, amortisation_gap
from variational.autoencoder import VariationalAutoencoder
from variational.conjugate.em import MixtureEM
from variational.conjugate.factor import FactorAnalysis
from variational.conjugate.hmm import BayesianHMM
from variational.conjugate.mixture import BayesianGaussianMixture
from variational.conjugate.regression import BayesianLinearRegression
from variational.fitting import Fit, fit
from variational.gaussian import Gaussian
from variational.registry import METHODS, method, names

__all__ = [
    "METHODS",
    "AmortisedPosterior",
    "BayesianGaussianMixture",
    "BayesianHMM",
    "BayesianLinearRegression",
    "FactorAnalysis",
    "Fit",
    "Gaussian",
    "MixtureEM",
    "VariationalAutoencoder",
    "amortisation_gap",
    "fit",
    "method",
    "names",
]
