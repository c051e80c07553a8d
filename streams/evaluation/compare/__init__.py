"""Two runs on the same events, side by side."""
