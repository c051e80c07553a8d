"""The verifier: predicts whether a worker's answer is right, or would be, from checks that are plain code."""

from streams.models.verifier.artifact import Aside, Verifier
from streams.models.verifier.features import Example

__all__ = ["Aside", "Example", "Verifier"]
