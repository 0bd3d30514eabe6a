"""Markov chain Monte Carlo: compiled kernels, their adaptation, and the driver that advances chains."""
