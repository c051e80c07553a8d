"""Fetched records are read with any header names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.util import calc_crc32c

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ServiceError
from streams.runtime.app import ProcessConfig, faust_app
from streams.runtime.header_decoding import Records
from tests.harness.fakes.strange_headers import Headers, batch

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
CHECKSUM, ATTRIBUTES = 17, 21
"""Their offsets in a batch."""
HERE = TopicPartition("events", 0)
STRANGE: Headers = [("a", b"1"), (b"caf\xe9", b"2"), ("ä", b"3"), (b"", b"")]
READ = (("a", b"1"), ("caf\\xe9", b"2"), ("ä", b"3"), ("", b""))


def unpacked(data: bytes, at: int = 0) -> list[Any]:
    """The records as the client's fetcher gives them."""
    return list(fetcher.PartitionRecords(HERE, Records(data), [], at, None, None, True, fetcher.READ_UNCOMMITTED))


@pytest.mark.parametrize("compression", [0, GZIP, SNAPPY, LZ4, ZSTD])
@pytest.mark.parametrize("in_python", [False, True])
def test_a_header_may_have_any_name(compression: int, in_python: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if in_python:  # as where the client has no extensions
        for name in ("aiokafka.record.memory_records", "streams.runtime.header_decoding"):
            monkeypatch.setattr(f"{name}.DefaultRecordBatch", _DefaultRecordBatchPy)
    data = batch((b"0", [("a", b"1")]), (b"1", STRANGE), (None, STRANGE), (b"3", []), compression=compression)
    found = unpacked(data)
    assert [(record.offset, record.value) for record in found] == [(0, b"0"), (1, b"1"), (2, None), (3, b"3")]
    assert [record.headers for record in found] == [(("a", b"1"),), READ, READ, ()]
    assert [record.offset for record in unpacked(data, 2)] == [2, 3]


def test_batches_behind_a_strange_one_are_read_as_ever() -> None:
    assert [record.value for record in unpacked(batch((b"0", STRANGE)) + batch((b"0", []), (b"1", [])))] == [b"0", b"1"]


def test_a_batch_that_is_damaged_is_not_read() -> None:
    data = bytearray(batch((b"0", STRANGE)))
    data[-1] ^= 1
    with pytest.raises(CorruptRecordException, match="Invalid CRC"):
        unpacked(bytes(data))


def test_what_cannot_be_decompressed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiokafka.codec.cramjam", None)
    data = bytearray(batch((b"0", []), compression=GZIP))
    data[ATTRIBUTES + 1] = LZ4
    data[CHECKSUM : CHECKSUM + 4] = calc_crc32c(bytes(data[ATTRIBUTES:])).to_bytes(4, "big")
    with pytest.raises(ServiceError, match=r"compressed batch cannot be read \(.*lz4.*Install the package cramjam"):
        unpacked(bytes(data))


async def test_a_tiers_consumer_reads_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", None)

    async def start(_: Any) -> None:
        raise ConnectionError

    thread: Any = faust_app(
        "work", KafkaConfig(servers="127.0.0.1:1"), ProcessConfig(directory=tmp_path)
    ).consumer._thread
    monkeypatch.setattr("faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.on_start", start)
    with pytest.raises(ConnectionError):
        await thread.on_start()
    thread.thread_loop.close()
    assert fetcher.MemoryRecords is Records
