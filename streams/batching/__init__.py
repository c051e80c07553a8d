"""Calls gathered into a provider's batches, and their replies handed back."""
