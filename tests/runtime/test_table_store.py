"""Tables on RocksDB: what fails ends the process, and a broken directory is rebuilt."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.streams import _current_event
from faust.types import TP

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ProcessError
from streams.runtime.app import ProcessConfig, faust_app
from streams.runtime.table_store import ASIDE, CORRUPT, TableStore, is_corrupt
from streams.runtime.tables import table
from streams.telemetry.metrics import REGISTRY

HERE = TP("changelog", 0)
COUNT = 300


class Opened:
    """A table's store as a process has it, and why the process ended."""

    def __init__(self, directory: Path) -> None:
        app = faust_app("work", KafkaConfig(servers="127.0.0.1:1"), ProcessConfig(directory=directory))
        self.ended: list[ProcessError] = []
        app.end = self.ended.append  # type: ignore[method-assign, assignment]
        self.store: TableStore = table(app, "answers", "verdicts", 2, 3600).data
        self.path = Path(self.store.partition_path(0))

    def fill(self, count: int = COUNT) -> None:
        """Write entries as recovery does, of some MB in all."""
        for offset in range(count):
            message = SimpleNamespace(tp=HERE, partition=0, offset=offset, key=b"%d" % offset, value=os.urandom(10_000))
            self.store.apply_changelog_batch([SimpleNamespace(message=message)], None, None)

    def read_all(self) -> None:
        """Look up every entry, as stages do."""
        for number in range(COUNT):
            self.store._get(b"%d" % number)

    def close(self) -> None:
        """The process is gone."""
        for database in self.store._dbs.values():
            with contextlib.suppress(Exception):  # what compaction found broken
                database.close()
        self.store._dbs.clear()


@pytest.fixture
def handling() -> Iterator[None]:
    """A message of partition 0 is being handled."""
    token = _current_event.set(lambda: SimpleNamespace(message=SimpleNamespace(partition=0)))
    yield
    _current_event.reset(token)


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
    assert opened.store.persisted_offset(HERE) is None, "recovery reads the changelog from its beginning"
    aside = opened.path.with_name(opened.path.name + ASIDE)
    assert aside.is_dir()
    assert str(aside) in caplog.text
    assert rebuilt() == before + 1
    opened.fill(3)
    assert (opened.store.persisted_offset(HERE), opened.ended) == (2, [])


@pytest.mark.parametrize(
    "damage",
    [garble("OPTIONS-*"), remove("OPTIONS-*"), garble("LOG"), cut("IDENTITY", 0), cut("rocksdict-config.json", 0)],
    ids=["OPTIONS garbled", "OPTIONS missing", "LOG garbled", "IDENTITY empty", "config empty"],
)
def test_what_rocksdb_can_do_without_costs_nothing(damage: Callable[[Path], None], directory: Path) -> None:
    opened, before = Opened(directory), rebuilt()
    damage(opened.path)
    assert opened.store.persisted_offset(HERE) == COUNT - 1
    assert rebuilt() == before


def test_of_broken_directories_one_is_kept(directory: Path) -> None:
    for _ in range(3):
        opened = Opened(directory)
        opened.fill(1)
        opened.close()
        cut("CURRENT", 0)(opened.path)
    assert Opened(directory).store.persisted_offset(HERE) is None
    kept = sorted(path.name for path in opened.path.parent.glob("answers-0*"))
    assert kept == ["answers-0.db", f"answers-0.db{ASIDE}"]


def test_a_directory_that_another_process_holds_is_left_alone(directory: Path) -> None:
    first, second, before = Opened(directory), Opened(directory), rebuilt()
    assert first.store.persisted_offset(HERE) == COUNT - 1
    with pytest.raises(ProcessError, match="LOCK"):
        second.store.persisted_offset(HERE)
    assert rebuilt() == before
    with pytest.raises(Exception, match="lock"):  # Faust's word to wait for
        second.store._open_for_partition(0)


async def test_a_directory_that_another_process_keeps_is_waited_for_and_then_named(directory: Path) -> None:
    first, second = Opened(directory), Opened(directory)
    assert first.store.persisted_offset(HERE) == COUNT - 1
    with pytest.raises(ProcessError, match="ESCALON_INSTANCE"):
        await second.store._try_open_db_for_partition(0, max_retries=2, retry_delay=0.0)
    assert len(second.ended) == 1


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


@pytest.mark.usefixtures("handling")
def test_a_block_found_broken_at_a_read_ends_the_process_and_the_next_one_rebuilds(directory: Path) -> None:
    opened = Opened(directory)
    for file in opened.path.glob("*.sst"):
        data = bytearray(file.read_bytes())
        data[2000 : len(data) - 5000] = os.urandom(len(data) - 7000)
        file.write_bytes(data)
    with pytest.raises(ProcessError, match="answers cannot be read"):
        opened.read_all()
    assert len(opened.ended) == 1
    assert (opened.path / CORRUPT).exists()
    with pytest.raises(ProcessError):
        opened.store._set(b"new", b"value")
    opened.close()
    assert Opened(directory).store.persisted_offset(HERE) is None
    assert not (opened.path / CORRUPT).exists()


def test_a_broken_block_does_not_pass_for_the_end_of_a_table(directory: Path) -> None:
    opened = Opened(directory)
    opened.store.persisted_offset(HERE)
    assert len(list(opened.store._visible_items(opened.store._dbs[0]))) == COUNT
    opened.close()
    for file in opened.path.glob("*.sst"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 2000] = os.urandom(2000)
        file.write_bytes(data)
    with pytest.raises(ProcessError):
        list(opened.store._visible_items(opened.store._db_for_partition(0)))


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


@pytest.mark.usefixtures("handling")
def test_after_a_write_that_failed_nothing_is_written_and_no_offset_passes_over_the_hole(tmp_path: Path) -> None:
    opened, full = Opened(tmp_path), Full(refused=1)
    opened.store._dbs[0] = full
    with pytest.raises(ProcessError, match="No space left on device"):
        opened.store._set(b"1", b"lost")
    opened.store.set_persisted_offset(HERE, 7)
    with pytest.raises(ProcessError):
        opened.store._set(b"2", b"room again")
    assert full.written == []
    assert len(opened.ended) == 1
    assert not (opened.path / CORRUPT).exists()


@pytest.mark.usefixtures("handling")
def test_an_offset_that_cannot_be_written_ends_the_process(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    opened.store._dbs[0] = Full(refused=1)
    with pytest.raises(ProcessError):
        opened.store.set_persisted_offset(HERE, 7)
    assert len(opened.ended) == 1
