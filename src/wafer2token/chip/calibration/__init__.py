"""From tables of measured kernels to calibration cards."""
