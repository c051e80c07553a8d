"""RocksDB under a table: a failure here is never a message's fault, and a broken directory is rebuilt.

Each partition of a table is a database of its own, which also holds the offset in the changelog up to which it is
complete. A failed write leaves a gap: the change is in the changelog but not in RocksDB. So after one failure nothing
more is written, least of all that offset. The process ends, and the next one reads the missing entries from the
changelog.
"""

from __future__ import annotations

import logging
import shutil
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from rocksdict import AccessType, BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch

from streams.core.errors import ProcessError
from streams.telemetry.metrics import TABLES_REBUILT

CORRUPT: Final = "corrupt"
"""A file in a table's directory that marks it as corrupt for the next process."""
ASIDE: Final = ".broken"
"""The suffix of a directory that was moved aside; at most one for each table and partition."""
CHECK: Final = "Check the free space on its disk, its permissions and the limit on file handles."
IN_USE: Final = "Another process has it open: stop that one, or give each its own ESCALON_INSTANCE."
LOCK_SECONDS: Final = 20.0
"""The time for another process that still has the table open, such as one that is being replaced."""
REST_SECONDS: Final = 10.0
"""The time for compactions to end before a table is closed; after that it is rebuilt the next time."""
MIB: Final = 1024 * 1024
CACHE_BYTES, BUFFER_BYTES, FILE_BYTES = 1 * MIB, 1 * MIB, 16 * MIB
"""RocksDB's memory for each table and partition of a process: a cache of read blocks, and at most three write buffers.
They are small because there are many of them; the kernel's page cache holds the rest."""
BLOOM_BITS: Final = 10
OPEN_FILES: Final = 256
_OFFSET_KEY: Final = b"\0escalon changelog offset"
_OFFSET: Final = struct.Struct(">q")
_MISSING_PARTS: Final = ("MANIFEST", "CURRENT", ".sst")
log = logging.getLogger("escalon.runtime")
R = TypeVar("R")


class TableStore:
    """The databases of a table's partitions, in `directory`. `fail` receives the failure that ends this process."""

    def __init__(self, name: str, directory: Path, ttl_seconds: float, fail: Callable[[ProcessError], None]) -> None:
        self.name, self.directory = name, directory
        self._ttl, self._fail = int(ttl_seconds), fail
        self._open: dict[int, Rdict] = {}
        self._fault: ProcessError | None = None

    def path(self, partition: int) -> Path:
        return self.directory / f"{self.name}-{partition}.db"

    # ---- Opening ----

    def open(self, partition: int) -> None:
        """Open a partition; a broken one is replaced by an empty one, which recovery fills. Raises ProcessError."""
        if partition in self._open:
            return
        path, until = self.path(partition), time.monotonic() + LOCK_SECONDS
        while True:
            try:
                self._open[partition] = self._opened(path, partition)
                return
            except Exception as error:  # rocksdict has no exception class of its own
                if not _is_locked(str(error)) or time.monotonic() > until:
                    raise self._failed("opened", error) from error
            time.sleep(0.2)

    def _opened(self, path: Path, partition: int) -> Rdict:
        if (path / CORRUPT).exists():
            return self._emptied(path, partition, "it could not be read")
        try:
            return self._database(path)
        except Exception as error:
            if not is_corrupt(str(error), path):
                raise
            return self._emptied(path, partition, str(error))

    def _emptied(self, path: Path, partition: int, why: str) -> Rdict:
        aside = path.with_name(path.name + ASIDE)
        shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)
        log.error(
            "the table %s of partition %d is broken (%s). It is rebuilt from its changelog; the broken directory is "
            "kept as %s until the next one is moved there",
            self.name, partition, why, aside,
        )  # fmt: skip
        TABLES_REBUILT.labels(self.name).inc()
        return self._database(path)

    def _database(self, path: Path) -> Rdict:
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = BlockBasedOptions()
        blocks.set_block_cache(Cache(CACHE_BYTES))
        blocks.set_bloom_filter(BLOOM_BITS, block_based=False)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_max_open_files(OPEN_FILES)
        options.set_write_buffer_size(BUFFER_BYTES)
        options.set_max_write_buffer_number(3)
        options.set_target_file_size_base(FILE_BYTES)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_block_based_table_factory(blocks)
        return Rdict(str(path), options=options, access_type=AccessType.with_ttl(self._ttl))

    def close(self, partitions: Iterable[int], *, lost: bool = False) -> None:
        """Close partitions. Raises ProcessError.

        Into the changelogs of `lost` ones another process may have written before some change that this one noted as
        the last: they are read from their beginnings next time.
        """
        for partition in partitions:
            if (database := self._open.pop(partition, None)) is not None:
                if lost:
                    self._guarded("written", database.delete, _OFFSET_KEY)
                if not self._guarded("closed", _is_at_rest, database):
                    self._mark_corrupt(f"{self.path(partition)}/")
                self._guarded("closed", database.close)

    def holds(self, partition: int) -> bool:
        """True if a partition is open."""
        return partition in self._open

    # ---- Reading and writing ----

    def offset(self, partition: int) -> int | None:
        """Return the offset in the changelog up to which a partition is complete, exclusive; None for an empty one."""
        found = self.get(partition, _OFFSET_KEY)
        return None if found is None else int(_OFFSET.unpack(found)[0])

    def set_offset(self, partition: int, offset: int) -> None:
        """Note that a partition is complete up to an offset, unless a write has failed: it would hide the gap."""
        if self._fault is None:
            self.put(partition, _OFFSET_KEY, _OFFSET.pack(offset))

    def get(self, partition: int, key: bytes) -> bytes | None:
        found: bytes | None = self._guarded("read", self._open[partition].get, key)
        return found

    def put(self, partition: int, key: bytes, value: bytes) -> None:
        self._guarded("written", self._open[partition].put, key, value)

    def delete(self, partition: int, key: bytes) -> None:
        self._guarded("written", self._open[partition].delete, key)

    def apply(self, partition: int, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write changes that recovery has read, in their order; None deletes a key."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self._guarded("written", self._open[partition].write, batch)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all entries. rocksdict's own iterator mistakes a broken block for the end."""
        for database in self._open.values():
            found: Any = database.iter()
            self._guarded("read", found.seek_to_first)
            while found.valid():
                if (key := found.key()) != _OFFSET_KEY:
                    yield key, found.value()
                self._guarded("read", found.next)
            self._guarded("read", found.status)

    def _guarded(self, done: str, call: Callable[..., R], *arguments: Any) -> R:
        if self._fault is not None:
            raise self._fault
        try:
            return call(*arguments)
        except Exception as error:  # rocksdict has no exception class of its own
            raise self._failed(done, error) from error

    def _failed(self, done: str, error: Exception) -> ProcessError:
        """Remember the failure and end the process."""
        if self._fault is None:
            remedy = IN_USE if _is_locked(str(error)) else f"{CHECK} The table is in {self.directory}."
            self._fault = ProcessError(f"The table {self.name} cannot be {done} ({error}).", remedy)
            if str(error).startswith("Corruption"):
                self._mark_corrupt(str(error))
            self._fail(self._fault)
        return self._fault

    def _mark_corrupt(self, said: str) -> None:
        """Mark the partition that the error names as corrupt for the next process, else all that are open."""
        paths = [self.path(partition) for partition in self._open]
        named = [path for path in paths if f"{path}/" in said]
        for path in named or paths:
            try:
                (path / CORRUPT).touch()
            except OSError:  # the next process finds the corruption too, and marks it then
                log.exception("%s is broken and cannot be marked as corrupt", path)


def _is_at_rest(database: Rdict) -> bool:
    """Write what is in memory and wait for compactions; False if one takes too long.

    RocksDB may cut a compaction off when it closes and keep the half that was done as if it were all: entries are lost
    (seen with rocksdict 0.3.29 in one of some twenty closings right after an opening).
    """
    database.flush()
    database.set_options({"disable_auto_compactions": "true"})
    until = time.monotonic() + REST_SECONDS
    while database.property_int_value("rocksdb.num-running-compactions"):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def is_corrupt(said: str, path: Path) -> bool:
    """True if RocksDB's error at opening `path` means broken contents: not a lock, a full disk or missing rights."""
    if said.startswith("Corruption"):
        return "No space left" not in said and "Too many open files" not in said and "Permission denied" not in said
    missing = "No such file or directory" in said and any(part in said for part in _MISSING_PARTS)
    return missing and (path / "CURRENT").exists()


def _is_locked(said: str) -> bool:
    return "While lock file" in said or "lock hold by current process" in said
