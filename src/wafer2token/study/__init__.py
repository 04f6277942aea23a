"""Scenarios, sampling, sensitivity, claims, sweeps."""
