"""The four content encodings of ClickHouse's HTTP interface, incrementally and with bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import lz4.frame
from backports import zstd

from streams.embedded.clickhouse_protocol import QueryError

PIECE_BYTES: Final = 1 << 20
"""The most bytes that one step of decompression returns."""


class _Zlib:
    """zlib behind the interface that the lz4 and zstd decompressors share."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_DECOMPRESSORS: Final[dict[str, Callable[[], Any]]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
}


class Decoder:
    """Decompresses a body that consists of any number of frames, in pieces of at most `PIECE_BYTES`."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ("", "identity") and encoding not in _DECOMPRESSORS:
            raise QueryError(367, f"Unknown compression method {encoding}.", "UNKNOWN_COMPRESSION_METHOD")
        self._new = _DECOMPRESSORS.get(encoding)
        self._frame: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the plain bytes that `data` completes."""
        if self._new is None:
            yield data
            return
        while data or (self._frame is not None and not self._frame.needs_input):
            self._frame = self._frame or self._new()
            try:
                yield self._frame.decompress(data, PIECE_BYTES)
            except (RuntimeError, zlib.error, zstd.ZstdError) as error:
                raise QueryError(271, f"Cannot decompress the body: {error}.", "CANNOT_DECOMPRESS") from error
            data = b""
            if self._frame.eof:
                data, self._frame = self._frame.unused_data or b"", None

    def finish(self) -> None:
        """Raise QueryError if the body ended in the middle of a frame."""
        if self._frame is not None:
            raise QueryError(271, "Cannot decompress the body: it ends within a frame.", "CANNOT_DECOMPRESS")


class Encoder(Protocol):
    def compress(self, data: bytes) -> bytes:
        """Add data, and return the bytes that are ready to be sent."""
        ...

    def flush(self) -> bytes:
        """Return the remaining bytes; called once, at the end."""
        ...


class _Lz4:
    def __init__(self) -> None:
        self._inner = lz4.frame.LZ4FrameCompressor()
        self._header: bytes = self._inner.begin()

    def compress(self, data: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + bytes(self._inner.compress(data))

    def flush(self) -> bytes:
        return self.compress(b"") + bytes(self._inner.flush())


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


_COMPRESSORS: Final[dict[str, Callable[[], Encoder]]] = {
    "lz4": _Lz4,
    "zstd": lambda: zstd.ZstdCompressor(level=1),
    "gzip": lambda: zlib.compressobj(3, zlib.DEFLATED, 31),
    "deflate": lambda: zlib.compressobj(3, zlib.DEFLATED, 15),
}


def choose_encoder(accepted: str) -> tuple[str | None, Encoder]:
    """Return the first supported encoding of an Accept-Encoding header, None if there is none, and its encoder."""
    for item in accepted.split(","):
        name = item.split(";")[0].strip()
        if name in _COMPRESSORS:
            return name, _COMPRESSORS[name]()
    return None, _Plain()
