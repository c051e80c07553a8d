"""Decode fetched records whose header names are not UTF-8.

Kafka accepts any bytes as a header's name. The client accepts UTF-8 only: it raises at a record with another name, and
again each time it returns to that record, so that no later record would ever be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from streams.core.errors import ServiceError


def accept_any_header_name() -> None:
    """Make every aiokafka consumer of this process decode fetches with `Records`."""
    fetcher.MemoryRecords = Records


class Records(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetch."""

    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        return LenientBatch(data, batch) if isinstance(batch, DefaultRecordBatch) else batch


class LenientBatch:
    """A batch decoded by the client, and from a name that is not UTF-8 on by `_Lenient`.

    Raises ServiceError if it is compressed in a way that cannot be decompressed here.
    """

    def __init__(self, data: Any, batch: Any) -> None:
        self._data = data
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except (UnicodeDecodeError, CorruptRecordException):  # the client's pure Python reader raises the second
            yield from islice(_leniently(self._data), read, None)
        except UnsupportedCodecError as error:
            what = f"A compressed batch cannot be read ({error})."
            remedy = "Install the package cramjam."
            raise ServiceError(what, remedy) from error


def _leniently(data: Any) -> Iterator[Any]:
    batch = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()
    batch._buffer = _Lenient(batch._buffer)
    return iter(batch)


class _Lenient(bytearray):
    """Bytes that can always be decoded: bytes that are not UTF-8 become escapes such as `\\xff`."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return found if isinstance(found, int) else _Lenient(found)

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)
