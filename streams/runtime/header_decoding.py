"""What a fetch has brought, read whatever its headers are called.

Kafka takes any bytes for a header's name. The client takes UTF-8 only: it raises at a record with another one, and
again each time it comes back to that record, so that nothing behind it would ever be read.
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


def read_any_name() -> None:
    """Have every consumer of aiokafka in this process read what it fetches by `Records`."""
    fetcher.MemoryRecords = Records


class Records(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetch."""

    def next_batch(self) -> Any:
        """The next batch; None after the last."""
        data = self._next_slice
        batch = super().next_batch()
        return LenientBatch(data, batch) if isinstance(batch, DefaultRecordBatch) else batch


class LenientBatch:
    """A batch as the client reads it, and from a name that is no UTF-8 on as `_Lenient` lets it be read.

    Raises ServiceError where it is compressed and cannot be decompressed here.
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
        except (UnicodeDecodeError, CorruptRecordException):  # the second is what the client's reader in Python raises
            yield from islice(_leniently(self._data), read, None)
        except UnsupportedCodecError as error:
            what = f"What a producer has compressed cannot be read ({error})."
            remedy = "Install cramjam beside escalon."
            raise ServiceError(what, remedy) from error


def _leniently(data: Any) -> Iterator[Any]:
    batch = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()
    batch._buffer = _Lenient(batch._buffer)
    return iter(batch)


class _Lenient(bytearray):
    """Bytes whose pieces can all be decoded: what is no UTF-8 becomes `\\xff` and the like."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return found if isinstance(found, int) else _Lenient(found)

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)
