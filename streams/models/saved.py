"""What the artifacts of tier-1 models have in common: bytes, an identity, a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from hashlib import sha256
from pathlib import Path


class Saved(ABC):
    """A model that is saved as one file of data."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """The artifact; the same model always gives the same bytes."""

    def digest(self) -> str:
        """SHA-256 of the artifact in hexadecimal digits: its identity."""
        return sha256(self.to_bytes()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the artifact; a reader sees the old file or the new one, never half of either."""
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(self.to_bytes())
        partial.replace(path)
