"""Conjugate models: their priors, their data, and the expectations that exact updates and exact draws are made of."""
