"""Simulation-based calibration: is a method right on a model, over data that the model itself makes?"""
