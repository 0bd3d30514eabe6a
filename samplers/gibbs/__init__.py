"""Gibbs samplers of conjugate models, each beside the estimator in `variational` that fits the same model."""

from samplers.gibbs.mixture import gaussian_mixture

__all__ = ["gaussian_mixture"]
