"""A reader of ClickHouse's compressed blocks."""

from __future__ import annotations

import struct

import lz4.block

from streams.embedded.clickhouse_blocks import cityhash128


def opened(blocks: bytes) -> list[bytes]:
    """Return the content of compressed blocks, after the checks that a client makes."""
    found = []
    while blocks:
        low, high, method, size, plain = struct.unpack_from("<QQBII", blocks)
        body, blocks = blocks[16 : 16 + size], blocks[16 + size :]
        assert (method, cityhash128(body)) == (0x82, (low, high))
        found.append(lz4.block.decompress(body[9:], uncompressed_size=plain))
    return found
