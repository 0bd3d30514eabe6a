"""Gibbs samplers of conjugate models, each beside the estimator in `variational` that fits the same model."""

from samplers.gibbs.mixture import gaussian_mixture
from samplers.gibbs.regression import linear_regression

__all__ = ["gaussian_mixture", "linear_regression"]
