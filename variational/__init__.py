"""Variational inference: families, objectives, optimisers, and their compositions."""
