"""Gibbs samplers of conjugate models, each beside the estimator in `variational` that fits the same model."""

from samplers.gibbs.factor import factor_analysis
from samplers.gibbs.mixture import gaussian_mixture
from samplers.gibbs.regression import linear_regression

__all__ = ["factor_analysis", "gaussian_mixture", "linear_regression"]
