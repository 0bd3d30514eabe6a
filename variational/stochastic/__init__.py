"""Stochastic-gradient VI: family x base noise x objective x gradient estimator x Adam x a stopping rule on averages."""
