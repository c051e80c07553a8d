"""Images and other large content by their SHA-256, in a directory or in object storage (any fsspec URL)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import fsspec

from streams.core.address import hide_logins, without_login
from streams.core.errors import ServiceError, UnreadableError


class BlobStore:
    """A content-addressed store: the same bytes are stored once and never change.

    Any error of a driver counts as an unavailable store, since drivers have error classes of their own.
    """

    def __init__(self, url: str) -> None:
        self._shown = without_login(url)
        with self._reporting("opened"):
            self._files, self._root = fsspec.core.url_to_fs(url)

    def put(self, data: bytes) -> str:
        """Store bytes; return their SHA-256 in 64 hexadecimal digits."""
        sha = hashlib.sha256(data).hexdigest()
        path = self._path(sha)
        with self._reporting("written"):
            if not self._files.exists(path):
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                part = f"{path}.{secrets.token_hex(8)}.part"  # of this writer alone
                self._files.pipe_file(part, data)
                self._files.mv(part, path)
        return sha

    def get(self, sha: str, most: int | None = None) -> bytes:
        """Return the first `most` bytes under a SHA-256. Raises UnreadableError if there are none."""
        with self._reporting("read"):
            try:
                return bytes(self._files.cat_file(self._path(sha), end=most))
            except FileNotFoundError as error:
                what = f"The blob store has nothing under {sha}."
                raise UnreadableError("missing_image", what, "Publish images with `escalon publish`.") from error

    def delete(self, sha: str) -> None:
        with self._reporting("written"), suppress(FileNotFoundError):
            if self._files.exists(self._path(sha)):
                self._files.rm_file(self._path(sha))

    @contextmanager
    def _reporting(self, done: str) -> Iterator[None]:
        try:
            yield
        except UnreadableError:
            raise
        except Exception as error:
            what = f"The blob store {self._shown} cannot be {done} ({hide_logins(str(error))})."
            raise ServiceError(what, "Check ESCALON_BLOBS.") from error

    def _path(self, sha: str) -> str:
        return f"{self._root}/{sha[:2]}/{sha}"
