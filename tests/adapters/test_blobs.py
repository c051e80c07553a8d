"""Content by its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.blobs import BlobStore
from streams.core.errors import ServiceError, UnreadableError


@given(st.binary())
def test_what_is_put_is_got_back_under_its_hash(data: bytes) -> None:
    store = BlobStore("memory://blobs")
    sha = store.put(data)
    assert sha == hashlib.sha256(data).hexdigest()
    assert store.get(sha) == data


def test_what_is_put_twice_is_there_once_and_nothing_is_left_over(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path))
    assert store.put(b"x") == store.put(b"x") == BlobStore(tmp_path.as_uri()).put(b"x")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [hashlib.sha256(b"x").hexdigest()]


def test_missing_bytes_are_the_producers_to_publish(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError) as caught:
        BlobStore(str(tmp_path)).get("0" * 64)
    assert caught.value.reason == "missing_image"


def test_a_store_that_cannot_be_opened_written_or_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="ESCALON_BLOBS"):
        BlobStore("nowhere://x")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ServiceError, match="cannot be written"):
        BlobStore(str(tmp_path / "file")).put(b"x")
    sha = hashlib.sha256(b"x").hexdigest()
    (tmp_path / sha[:2] / sha).mkdir(parents=True)
    with pytest.raises(ServiceError, match="cannot be read"):
        BlobStore(str(tmp_path)).get(sha)


@pytest.mark.parametrize("what", ["put", "get", "delete"])
def test_any_error_of_a_driver_means_an_unavailable_store(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class ClientError(Exception):
        """An error class of a driver's own."""

    def fail(*_: object, **__: object) -> None:
        raise ClientError("SlowDown")

    store = BlobStore("memory://away")
    for name in ("exists", "cat_file"):
        monkeypatch.setattr(store._files, name, fail)
    with pytest.raises(ServiceError, match=r"The blob store memory://away cannot be .* \(SlowDown\)"):
        getattr(store, what)(b"x" if what == "put" else "0" * 64)


def test_any_error_of_a_driver_while_opening_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise KeyError("no login")

    monkeypatch.setattr("fsspec.core.url_to_fs", fail)
    with pytest.raises(ServiceError, match="cannot be opened"):
        BlobStore("memory://away")
