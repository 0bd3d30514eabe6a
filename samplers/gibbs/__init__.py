"""Gibbs samplers of conjugate models, each beside the estimator in `variational` that fits the same model."""
