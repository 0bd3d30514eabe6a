"""Markov chain Monte Carlo: compiled kernels, their adaptation, and the driver that advances chains."""

from samplers import gibbs
from samplers.draws import Draws
from samplers.initial import Initial
from samplers.registry import method, names
from samplers.sample import SamplingError, sample

__all__ = ["Draws", "Initial", "SamplingError", "gibbs", "method", "names", "sample"]
