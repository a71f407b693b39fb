"""Cosimulation: the RTL in a simulator against the golden model and the cycle model."""
