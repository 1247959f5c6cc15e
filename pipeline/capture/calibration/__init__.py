"""Calibrations of other programs, converted to `cameras.json`."""
