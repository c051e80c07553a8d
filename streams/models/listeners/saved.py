"""Common parts of trained artifacts: bytes, an identity, a file, and the safe opening of a stranger's file."""

from __future__ import annotations

import io
import zipfile
import zlib
from abc import ABC, abstractmethod
from hashlib import sha256
from pathlib import Path
from typing import Final

LARGEST_BYTES: Final = 1 << 30
"""A larger artifact is refused, because it is held in memory."""
BROKEN: Final = (
    EOFError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Raised by zipfile, NumPy and json for a broken artifact; too deep a nesting is a RuntimeError."""


def check_uncompressed(data: bytes) -> None:
    """Raise ValueError for a compressed archive, which may be a bomb: escalon writes its artifacts uncompressed."""
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"it has {len(data)} bytes, {LARGEST_BYTES} are allowed")
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    if any(one.compress_type != zipfile.ZIP_STORED for one in members):
        raise ValueError("it is compressed")
    if sum(one.file_size for one in members) > len(data):
        raise ValueError("its parts are larger than the whole")


class SavedArtifact(ABC):
    @abstractmethod
    def to_bytes(self) -> bytes:
        """Return the artifact; the same model always gives the same bytes."""

    def digest(self) -> str:
        """Return the SHA-256 of the artifact in hexadecimal digits: its identity."""
        return sha256(self.to_bytes()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the artifact; a reader sees the old file or the new one, never a mix."""
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(self.to_bytes())
        partial.replace(path)
