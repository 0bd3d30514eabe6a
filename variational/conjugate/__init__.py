"""Variational inference in conjugate models, whose updates are exact: estimators that are fitted to data."""
