"""A number with its range, unit, grade and source; how it is parsed, printed and sampled.

This room knows no other. It loads no NumPy until something is sampled.
"""
