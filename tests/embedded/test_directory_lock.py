"""A lock of a data directory has one owner, and ends with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.core.errors import ServiceError
from streams.embedded.directory_lock import is_locked, locked


def test_a_second_owner_is_refused_with_the_first_ones_process(tmp_path: Path) -> None:
    with (
        locked(tmp_path, "one.lock"),
        pytest.raises(ServiceError, match=f"in use by process {os.getpid()}"),
        locked(tmp_path, "one.lock"),
    ):
        pass


def test_the_lock_is_seen_as_long_as_it_is_held(tmp_path: Path) -> None:
    assert not is_locked(tmp_path, "one.lock")
    with locked(tmp_path, "one.lock"):
        assert is_locked(tmp_path, "one.lock")
        assert not is_locked(tmp_path, "other.lock")
    assert not is_locked(tmp_path, "one.lock")
