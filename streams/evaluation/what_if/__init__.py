"""What another threshold, calibration or route would have come to, from what was recorded."""
