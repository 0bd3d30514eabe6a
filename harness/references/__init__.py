"""Certified references: long runs of two samplers that must agree, what they say with its errors, and their checks."""
