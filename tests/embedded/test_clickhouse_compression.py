from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
from backports import zstd

from streams.embedded.clickhouse_compression import PIECE_BYTES, Decoder, choose_encoder
from streams.embedded.clickhouse_protocol import QueryError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_body_of_several_frames_cut_anywhere_is_decoded_whole(encoding: str) -> None:
    body = COMPRESS[encoding](b"one" * 1000) + COMPRESS[encoding](b"two" * 1000)
    decoder = Decoder(encoding)
    plain = b"".join(piece for start in range(0, len(body), 7) for piece in decoder.feed(body[start : start + 7]))
    decoder.finish()
    assert plain == b"one" * 1000 + b"two" * 1000


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_small_body_that_claims_much_comes_in_bounded_pieces(encoding: str) -> None:
    pieces = list(Decoder(encoding).feed(COMPRESS[encoding](bytes(5 * PIECE_BYTES))))
    assert sum(map(len, pieces)) == 5 * PIECE_BYTES
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_truncated_body_is_an_error(encoding: str) -> None:
    decoder = Decoder(encoding)
    list(decoder.feed(COMPRESS[encoding](bytes(range(256)))[:-5]))
    with pytest.raises(QueryError, match="ends within a frame"):
        decoder.finish()


@pytest.mark.parametrize("encoding", COMPRESS)
def test_bytes_that_are_not_compressed_are_an_error(encoding: str) -> None:
    with pytest.raises(QueryError, match="Cannot decompress"):
        list(Decoder(encoding).feed(b"plain text, no frame at all"))


def test_an_unknown_encoding_is_an_error() -> None:
    with pytest.raises(QueryError, match="Unknown compression method br"):
        Decoder("br")


@pytest.mark.parametrize("encoding", COMPRESS)
def test_what_is_encoded_can_be_decoded(encoding: str) -> None:
    name, encoder = choose_encoder(f"br, {encoding};q=0.9")
    body = encoder.compress(b"one") + encoder.compress(b"two" * 9999) + encoder.flush()
    assert name == encoding
    assert b"".join(Decoder(encoding).feed(body)) == b"one" + b"two" * 9999


def test_nothing_known_is_accepted_means_plain() -> None:
    name, encoder = choose_encoder("br")
    assert (name, encoder.compress(b"x") + encoder.flush()) == (None, b"x")
