"""ClickHouse's compressed blocks, which a client requests with compress=1: LZ4 behind a CityHash128 checksum.

A block is: 16 bytes of checksum over the rest; 1 byte for the method; 4 bytes for the compressed size, which includes
these 9 bytes of header; 4 bytes for the plain size; the compressed bytes. The hash is Google's CityHash 1.0.2 of 2011,
the version that ClickHouse has frozen.
"""

from __future__ import annotations

import struct
from typing import Final

import lz4.block

BLOCK_BYTES: Final = 1 << 16
"""The most plain bytes in a block. Blocks are small, because a block can only be read whole."""
_LZ4: Final = 0x82
_HEADER: Final = struct.Struct("<BII")
_CHECKSUM: Final = struct.Struct("<QQ")
_MASK: Final = (1 << 64) - 1
_K0, _K1, _K2, _K3 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
_MULTIPLIER: Final = 0x9DDFEA08EB382D69
_TWO: Final = struct.Struct("<QQ")
_FOUR: Final = struct.Struct("<QQQQ")
Pair = tuple[int, int]


class BlockEncoder:
    def __init__(self) -> None:
        self._held = bytearray()

    def compress(self, data: bytes) -> bytes:
        """Add data, and return the blocks that are full."""
        self._held += data
        full = len(self._held) // BLOCK_BYTES * BLOCK_BYTES
        ready, self._held = bytes(self._held[:full]), self._held[full:]
        return b"".join(_block(ready[place : place + BLOCK_BYTES]) for place in range(0, full, BLOCK_BYTES))

    def flush(self) -> bytes:
        """Return the last block."""
        rest, self._held = bytes(self._held), bytearray()
        return _block(rest) if rest else b""


def _block(plain: bytes) -> bytes:
    packed: bytes = lz4.block.compress(plain, store_size=False)
    body = _HEADER.pack(_LZ4, _HEADER.size + len(packed), len(plain)) + packed
    return _CHECKSUM.pack(*cityhash128(body)) + body


def cityhash128(data: bytes) -> Pair:
    """Return the low and the high 64 bits of a hash."""
    if len(data) >= 16:
        low, high = _TWO.unpack_from(data)
        return _seeded(data[16:], (low ^ _K3, high))
    if len(data) >= 8:
        return _seeded(b"", (_u64(data, 0) ^ (len(data) * _K0 & _MASK), _u64(data, len(data) - 8) ^ _K1))
    return _seeded(data, (_K0, _K1))


def _seeded(data: bytes, seed: Pair) -> Pair:
    size = len(data)
    if size < 128:
        return _murmur(data, seed)
    x, y, z = seed[0], seed[1], size * _K1 & _MASK
    v = (_rotated(y ^ _K1, 49) * _K1 + _u64(data, 0)) & _MASK
    v0, v1 = v, (_rotated(v, 42) * _K1 + _u64(data, 8)) & _MASK
    w0, w1 = (_rotated(y + z, 35) * _K1 + x) & _MASK, _rotated(x + _u64(data, 88), 53) * _K1 & _MASK
    place = 0
    for _ in range(size // 128 * 2):
        x = _rotated(x + y + v0 + _u64(data, place + 16), 37) * _K1 & _MASK
        y = _rotated(y + v1 + _u64(data, place + 48), 42) * _K1 & _MASK
        x, y, z = x ^ w1, y ^ v0, _rotated(z ^ w0, 33)
        v0, v1 = _weak(data, place, v1 * _K1, x + w0)
        w0, w1 = _weak(data, place + 32, z + w1, y)
        x, z, place = z, x, place + 64
    return _tail(data, size % 128, (x, y, z), (v0, v1), (w0, w1))


def _tail(data: bytes, left: int, xyz: tuple[int, int, int], v: Pair, w: Pair) -> Pair:
    x, y, z = xyz
    y = (y + _rotated(w[0], 37) * _K0 + z) & _MASK
    x = (x + _rotated(v[0] + z, 49) * _K0) & _MASK
    w0, done = w[0], 0
    while done < left:
        done += 32
        y = (_rotated(y - x, 42) * _K0 + v[1]) & _MASK
        w0 = (w0 + _u64(data, len(data) - done + 16)) & _MASK
        x = (_rotated(x, 49) * _K0 + w0) & _MASK
        w0 = (w0 + v[0]) & _MASK
        v = _weak(data, len(data) - done, v[0], v[1])
    x, y = _hash16(x, v[0]), _hash16(y, w0)
    return (_hash16(x + v[1], w[1]) + y) & _MASK, _hash16(x + w[1], y + v[1])


def _murmur(data: bytes, seed: Pair) -> Pair:
    (a, b), size = seed, len(data)
    if size <= 16:
        a = _mixed(a * _K1) * _K1 & _MASK
        c = (b * _K1 + _hash_short(data)) & _MASK
        d = _mixed(a + (_u64(data, 0) if size >= 8 else c))
    else:
        c = _hash16(_u64(data, size - 8) + _K1, a)
        d = _hash16(b + size, c + _u64(data, size - 16))
        a = (a + d) & _MASK
        for place in range(0, size - 16, 16):
            a = (a ^ _mixed(_u64(data, place) * _K1) * _K1) * _K1 & _MASK
            b ^= a
            c = (c ^ _mixed(_u64(data, place + 8) * _K1) * _K1) * _K1 & _MASK
            d ^= c
    a, b = _hash16(a, c), _hash16(d, b)
    return a ^ b, _hash16(b, a)


def _hash_short(data: bytes) -> int:
    size = len(data)
    if size > 8:
        a, b = _u64(data, 0), _u64(data, size - 8)
        return _hash16(a, _rotated(b + size, size)) ^ b
    if size >= 4:
        first, last = (int.from_bytes(data[place : place + 4], "little") for place in (0, size - 4))
        return _hash16(size + (first << 3), last)
    if size:
        y, z = data[0] + (data[size >> 1] << 8), size + (data[-1] << 2)
        return _mixed(y * _K2 ^ z * _K3) * _K2 & _MASK
    return _K2


def _weak(data: bytes, place: int, a: int, b: int) -> Pair:
    w, x, y, z = _FOUR.unpack_from(data, place)
    a += w
    c = a
    a += x + y
    return (a + z) & _MASK, (_rotated(b + c + z, 21) + _rotated(a, 44) + c) & _MASK


def _hash16(low: int, high: int) -> int:
    high &= _MASK
    a = ((low & _MASK) ^ high) * _MULTIPLIER & _MASK
    b = (high ^ a ^ (a >> 47)) * _MULTIPLIER & _MASK
    return (b ^ (b >> 47)) * _MULTIPLIER & _MASK


def _mixed(value: int) -> int:
    value &= _MASK
    return value ^ (value >> 47)


def _rotated(value: int, bits: int) -> int:
    value &= _MASK
    return (value >> bits | value << (64 - bits)) & _MASK


def _u64(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 8], "little")
