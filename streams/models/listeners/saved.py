"""What the artifacts of models have in common: bytes, an identity, a file, and how a stranger's file is opened."""

from __future__ import annotations

import io
import zipfile
import zlib
from abc import ABC, abstractmethod
from hashlib import sha256
from pathlib import Path
from typing import Final

LARGEST_BYTES: Final = 1 << 30
"""An artifact is held in memory whole, so a larger one is refused."""
BROKEN: Final = (
    EOFError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What a broken artifact may lead zipfile, numpy and json to; too deep a nesting is a RuntimeError."""


def check_stored(data: bytes) -> None:
    """Raise ValueError for an archive that is more than its bytes: escalon writes its artifacts uncompressed, so what
    is compressed is none of them and may be a bomb."""
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
