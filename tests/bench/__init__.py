"""Measurements: the engine beside the code a person would write by hand, in one run."""
