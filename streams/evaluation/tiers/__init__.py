"""The quality of each tier, by every source of truth that the audit has."""
