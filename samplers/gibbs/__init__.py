"""Gibbs samplers of conjugate models, each beside the estimator in `variational` that fits the same model."""

from samplers.gibbs.lda import latent_dirichlet_allocation

__all__ = ["latent_dirichlet_allocation"]
