"""Scenarios, sampling, sensitivity, claims: the rooms joined into one chain."""
