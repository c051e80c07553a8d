"""Tables on RocksDB: what fails ends the process, and a broken directory is rebuilt."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.core.errors import ProcessError
from streams.runtime import table_store
from streams.runtime.table_store import ASIDE, CORRUPT, TableStore, is_corrupt
from streams.telemetry.metrics import REGISTRY

HERE = 0
COUNT = 300


class Opened:
    """A table's store as a process has it, and why the process ended."""

    def __init__(self, directory: Path) -> None:
        self.ended: list[ProcessError] = []
        self.store = TableStore("answers", directory, 3600, self.ended.append)
        self.path = self.store.path(HERE)

    def offset(self) -> int | None:
        """Open the partition; return how far it is."""
        self.store.open(HERE)
        return self.store.offset(HERE)

    def fill(self, count: int = COUNT) -> None:
        """Write entries as recovery does, of some MB in all."""
        self.store.open(HERE)
        for offset in range(count):
            self.store.apply(HERE, [(b"%d" % offset, os.urandom(10_000))])
            self.store.set_offset(HERE, offset + 1)

    def read_all(self) -> None:
        """Look up every entry, as stages do."""
        for number in range(COUNT):
            self.store.get(HERE, b"%d" % number)

    def close(self) -> None:
        """The process is gone."""
        database = self.store._open.get(HERE)
        with contextlib.suppress(ProcessError):  # what compaction found broken
            self.store.close([HERE])
        if database is not None:
            with contextlib.suppress(Exception):  # it ends with its process
                database.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a table that is whole, and closed."""
    directory = tmp_path_factory.mktemp("whole")
    opened = Opened(directory)
    opened.fill()
    opened.close()
    return directory


@pytest.fixture
def directory(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def cut(pattern: str, share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        file = sorted(path.glob(pattern))[0]
        os.truncate(file, int(file.stat().st_size * share))

    return damage


def garble(pattern: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        file = sorted(path.glob(pattern))[0]
        file.write_bytes(os.urandom(file.stat().st_size))

    return damage


def remove(pattern: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        sorted(path.glob(pattern))[0].unlink()

    return damage


def rebuilt() -> float:
    return REGISTRY.get_sample_value("escalon_tables_rebuilt_total", {"table": "answers"}) or 0.0


@pytest.mark.parametrize(
    "damage",
    [
        cut("CURRENT", 0),
        garble("CURRENT"),
        remove("MANIFEST-*"),
        cut("MANIFEST-*", 0),
        garble("MANIFEST-*"),
        cut("*.sst", 0.5),
        cut("*.sst", 0),
        garble("*.sst"),
        remove("*.sst"),
    ],
    ids=[
        "CURRENT empty", "CURRENT garbled", "MANIFEST missing", "MANIFEST empty", "MANIFEST garbled", "sst cut",
        "sst empty", "sst garbled", "sst missing",
    ],
)  # fmt: skip
def test_a_broken_directory_is_moved_aside_and_rebuilt(
    damage: Callable[[Path], None], directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened, before = Opened(directory), rebuilt()
    damage(opened.path)
    assert opened.offset() is None, "recovery reads the changelog from its beginning"
    aside = opened.path.with_name(opened.path.name + ASIDE)
    assert aside.is_dir()
    assert str(aside) in caplog.text
    assert rebuilt() == before + 1
    opened.fill(3)
    assert (opened.offset(), opened.ended) == (3, [])


@pytest.mark.parametrize(
    "damage",
    [garble("OPTIONS-*"), remove("OPTIONS-*"), garble("LOG"), cut("IDENTITY", 0), cut("rocksdict-config.json", 0)],
    ids=["OPTIONS garbled", "OPTIONS missing", "LOG garbled", "IDENTITY empty", "config empty"],
)
def test_what_rocksdb_can_do_without_costs_nothing(damage: Callable[[Path], None], directory: Path) -> None:
    opened, before = Opened(directory), rebuilt()
    damage(opened.path)
    assert opened.offset() == COUNT
    assert rebuilt() == before


def test_of_broken_directories_one_is_kept(directory: Path) -> None:
    for _ in range(3):
        opened = Opened(directory)
        opened.fill(1)
        opened.close()
        cut("CURRENT", 0)(opened.path)
    assert Opened(directory).offset() is None
    kept = sorted(path.name for path in opened.path.parent.glob("answers-0*"))
    assert kept == ["answers-0.db", f"answers-0.db{ASIDE}"]


def test_a_directory_that_another_process_keeps_is_waited_for_then_named_and_left_alone(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_store, "LOCK_SECONDS", 0.3)
    first, second, before = Opened(directory), Opened(directory), rebuilt()
    assert first.offset() == COUNT
    with pytest.raises(ProcessError, match="ESCALON_INSTANCE"):
        second.store.open(HERE)
    assert (rebuilt(), len(second.ended)) == (before, 1)
    monkeypatch.undo()
    third = Opened(directory)
    threading.Timer(0.1, first.close).start()
    assert third.offset() == COUNT


def test_a_table_that_is_closed_while_it_is_compacted_loses_nothing(tmp_path: Path) -> None:
    for number in range(10):
        directory = tmp_path / str(number)
        opened = Opened(directory)
        opened.fill()
        opened.close()
        opened = Opened(directory)
        opened.store.open(HERE)  # RocksDB begins to compact
        opened.close()
        opened = Opened(directory)
        assert (opened.offset(), len(list(opened.store.items()))) == (COUNT, COUNT)
        opened.close()


@pytest.mark.parametrize(
    "said",
    [
        "IO error: No space left on device: While appending to file: /t/CURRENT",
        "IO error: While open a file for random read: /t/000018.sst: Too many open files",
        "IO error: While opening a file for sequentially reading: /t/MANIFEST-000005: Permission denied",
        "IO error: While lock file: /t/LOCK: Resource temporarily unavailable",
        "IO error: While pread offset 0 len 4096: /t/000018.sst: Input/output error",
        "Corruption: IO error: While open a file for random read: /t/000018.sst: Too many open files",
    ],
)
def test_a_full_disk_a_lack_of_rights_or_handles_and_a_lock_are_not_corruption(said: str, directory: Path) -> None:
    assert not is_corrupt(said, Opened(directory).path)


def test_a_block_found_broken_at_a_read_ends_the_process_and_the_next_one_rebuilds(directory: Path) -> None:
    opened = Opened(directory)
    for file in opened.path.glob("*.sst"):
        data = bytearray(file.read_bytes())
        data[2000 : len(data) - 5000] = os.urandom(len(data) - 7000)
        file.write_bytes(data)
    opened.store.open(HERE)
    with pytest.raises(ProcessError, match="answers cannot be read"):
        opened.read_all()
    assert len(opened.ended) == 1
    assert (opened.path / CORRUPT).exists()
    with pytest.raises(ProcessError):
        opened.store.put(HERE, b"new", b"value")
    opened.close()
    assert Opened(directory).offset() is None
    assert not (opened.path / CORRUPT).exists()


def test_a_broken_block_does_not_pass_for_the_end_of_a_table(directory: Path) -> None:
    opened = Opened(directory)
    opened.store.open(HERE)
    assert len(list(opened.store.items())) == COUNT
    opened.close()
    for file in opened.path.glob("*.sst"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 2000] = os.urandom(2000)
        file.write_bytes(data)
    opened.store.open(HERE)
    with pytest.raises(ProcessError):
        list(opened.store.items())


class Full:
    """A database on a disk that is full for some writes."""

    def __init__(self, refused: int) -> None:
        self.refused, self.written = refused, list[bytes]()

    def put(self, key: bytes, _: Any) -> None:
        """Write, or not."""
        if self.refused:
            self.refused -= 1
            raise Exception("IO error: No space left on device: While appending to file: /t/000031.log")
        self.written.append(key)


def test_after_a_write_that_failed_nothing_is_written_and_no_offset_passes_over_the_hole(tmp_path: Path) -> None:
    opened, full = Opened(tmp_path), Full(refused=1)
    opened.store._open[HERE] = full
    with pytest.raises(ProcessError, match="No space left on device"):
        opened.store.put(HERE, b"1", b"lost")
    opened.store.set_offset(HERE, 7)
    with pytest.raises(ProcessError):
        opened.store.put(HERE, b"2", b"room again")
    assert full.written == []
    assert len(opened.ended) == 1
    assert not (opened.path / CORRUPT).exists()


def test_an_offset_that_cannot_be_written_ends_the_process(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    opened.store._open[HERE] = Full(refused=1)
    with pytest.raises(ProcessError):
        opened.store.set_offset(HERE, 7)
    assert len(opened.ended) == 1
