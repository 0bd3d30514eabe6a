"""Densities, their data, and the certified truth about each."""

from targets.bring import from_function
from targets.kernel import aligned, data_matrix, density, kernel
from targets.options import UsageError, require
from targets.quantity import Known, Quantity
from targets.registry import load, names
from targets.target import GaussianStructure, Generative, Named, Rows, Target
from targets.truth import Certificate, Modes, Moments, Truth

__all__ = [
    "Certificate",
    "GaussianStructure",
    "Generative",
    "Known",
    "Modes",
    "Moments",
    "Named",
    "Quantity",
    "Rows",
    "Target",
    "Truth",
    "UsageError",
    "aligned",
    "data_matrix",
    "density",
    "from_function",
    "kernel",
    "load",
    "names",
    "require",
]
