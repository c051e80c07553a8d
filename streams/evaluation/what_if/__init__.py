"""Estimate the effect of another threshold, calibration or route from the audit alone."""
