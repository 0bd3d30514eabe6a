"""Gibbs samplers of conjugate models, each beside the estimator in `variational` that fits the same model."""

from samplers.gibbs.factor import factor_analysis
from samplers.gibbs.hidden_markov import hidden_markov
from samplers.gibbs.mixture import gaussian_mixture
from samplers.gibbs.regression import linear_regression

__all__ = ["factor_analysis", "gaussian_mixture", "hidden_markov", "linear_regression"]
