"""Variational inference: families, objectives, optimisers, and their compositions."""

from variational.fitting import Fit, fit
from variational.gaussian import Gaussian
from variational.registry import METHODS, method, names

__all__ = ["METHODS", "Fit", "Gaussian", "fit", "method", "names"]
