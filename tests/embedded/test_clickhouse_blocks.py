"""ClickHouse's own compressed blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.embedded.clickhouse_blocks import BLOCK_BYTES, BlockEncoder, cityhash128
from tests.harness.clickhouse_blocks import opened

BYTES = bytes(range(256))


@pytest.mark.parametrize(
    ("data", "low", "high"),
    # By the hash that ClickHouse's clients check with (clickhouse-cityhash 1.0.2), for each branch by length.
    [
        (b"", 4463240938071824939, 4374473821787594281),
        (b"abc", 10380781289832139006, 1416689273191665022),
        (b"0123456789", 14515581804035899301, 2781397614462516649),
        (b"0123456789abcdef0123", 126563106039622276, 8364636477700803793),
        (2 * BYTES, 12237149439960590539, 13138609023408454577),
    ],
)
def test_the_hash_is_the_one_that_clients_check(data: bytes, low: int, high: int) -> None:
    assert cityhash128(data) == (low, high)


@given(st.lists(st.binary(max_size=300).map(lambda some: some * 997), max_size=5))
def test_all_that_was_written_is_in_the_blocks(pieces: list[bytes]) -> None:
    encoder = BlockEncoder()
    sent = b"".join(encoder.compress(piece) for piece in pieces) + encoder.flush()
    found = opened(sent)
    assert b"".join(found) == b"".join(pieces)
    assert all(0 < len(one) <= BLOCK_BYTES for one in found)
    assert encoder.flush() == b""
