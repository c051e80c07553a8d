"""The checks before a tier starts."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.app.startup_checks import ROOM_BYTES, await_room, check_partitions
from streams.core.errors import ConfigError, ProcessError
from streams.telemetry.health import HEALTH


def tables(name: str, source: str) -> Any:
    """The tables of an app with one."""
    return [SimpleNamespace(changelog=f"escalon-pre.x-{name}-changelog", source=source)]


def test_a_topic_and_the_changelog_of_its_table_have_as_many_partitions() -> None:
    there = {"pre.results": 4, "pre.images": 1, "escalon-pre.x-settled-changelog": 4}
    check_partitions(tables("settled", "pre.results"), "pre.", there)


def test_a_missing_changelog_is_created_to_fit() -> None:
    check_partitions(tables("settled", "pre.results"), "pre.", {"pre.results": 4})


@pytest.mark.parametrize(
    ("changelog", "remedy"),
    [
        (2, "--alter --topic escalon-pre.x-settled-changelog --partitions 4"),
        (6, "--alter --topic pre.results --partitions 6"),
    ],
)
def test_where_they_differ_the_tier_does_not_start_and_says_what_to_do(changelog: int, remedy: str) -> None:
    there = {"pre.results": 4, "escalon-pre.x-settled-changelog": changelog}
    with pytest.raises(ConfigError, match=f"pre.results has 4 partitions.* has {changelog}") as caught:
        check_partitions(tables("settled", "pre.results"), "pre.", there)
    assert remedy in caught.value.remedy


def test_a_topic_that_must_have_one_partition_and_has_more_is_refused() -> None:
    with pytest.raises(ConfigError, match="images has 4 partitions and must have 1"):
        check_partitions(tables("images-seen", "pre.images"), "pre.", {"pre.images": 4})
    check_partitions(tables("settled", "pre.results"), "pre.", {"pre.results": 4, "pre.images": 4})


def test_a_tier_waits_while_its_disk_is_full_and_is_not_well_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    troubles, write, full = list[str | None](), Path.write_bytes, [errno.ENOSPC, errno.EDQUOT]

    def write_bytes(path: Path, data: Any) -> int:
        if full:
            raise OSError(full.pop(0), "no room")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    await_room(tmp_path / "tables", lambda _: troubles.append(HEALTH.trouble))
    assert len(troubles) == 2
    assert all(troubles)
    assert HEALTH.trouble is None
    assert "Free space on its disk. The tier waits for that." in caplog.text
    assert list((tmp_path / "tables").iterdir()) == []
    assert ROOM_BYTES > 0


def test_what_waiting_does_not_help_against_ends_it(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("a file", "utf-8")
    with pytest.raises(ProcessError, match="Check ESCALON_DATA"):
        await_room(tmp_path / "tables")
