"""RocksDB under a table: a failure here is never a message's fault, and a broken directory is rebuilt.

A failed write leaves a gap: the change is in the changelog but not in RocksDB. So after one failure nothing more is
written, least of all the table's offset. The process ends, and the next one reads the missing entries from the
changelog.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from faust.stores import rocksdb

from streams.core.errors import ProcessError
from streams.telemetry.metrics import TABLES_REBUILT

CORRUPT: Final = "corrupt"
"""A file in a table's directory that marks it as corrupt for the next process."""
ASIDE: Final = ".broken"
"""The suffix of a directory that was moved aside; at most one for each table and partition."""
CHECK: Final = "Check the free space on its disk, its permissions and the limit on file handles."
IN_USE: Final = "Another process has it open: stop that one, or give each its own ESCALON_INSTANCE."
_MISSING_PARTS: Final = ("MANIFEST", "CURRENT", ".sst")
R = TypeVar("R")
log = logging.getLogger("escalon.runtime")


class TableStore(rocksdb.Store):  # type: ignore[misc]
    """Faust's store on RocksDB. Any failure in it ends the process with ProcessError."""

    _fault: ProcessError | None = None

    # ---- Opening ----

    def _open_for_partition(self, partition: int) -> Any:
        """Return the database of a partition; a broken one is replaced by an empty one, which recovery fills."""
        path = Path(self.partition_path(partition))
        try:
            if (path / CORRUPT).exists():
                return self._open_empty(path, partition, "it could not be read")
            try:
                return super()._open_for_partition(partition)
            except Exception as error:  # rocksdict has no exception class of its own
                if not is_corrupt(str(error), path):
                    raise
                return self._open_empty(path, partition, str(error))
        except Exception as error:
            if _is_locked(str(error)):  # Faust waits for the lock
                raise
            raise self._failed("opened", error) from error

    def _open_empty(self, path: Path, partition: int, why: str) -> Any:
        aside = path.with_name(path.name + ASIDE)
        shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)
        log.error(
            "the table %s of partition %d is broken (%s). It is rebuilt from its changelog; the broken directory is "
            "kept as %s until the next one is moved there",
            self.table_name, partition, why, aside,
        )  # fmt: skip
        TABLES_REBUILT.labels(self.table_name).inc()
        return super()._open_for_partition(partition)

    async def _try_open_db_for_partition(self, *arguments: Any, **options: Any) -> Any:
        """Open a partition, waiting briefly for another process that has it open."""
        try:
            return await super()._try_open_db_for_partition(*arguments, **options)
        except ProcessError:
            raise
        except Exception as error:
            raise self._failed("opened", error) from error

    # ---- Reading and writing ----

    def persisted_offset(self, tp: Any) -> int | None:
        """Return the offset in its changelog that a partition has reached; None before the first entry."""
        found: int | None = self._guarded("read", super().persisted_offset, tp)
        return found

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """Store the offset that a partition has reached, unless a write has failed: it would hide the gap."""
        if self._fault is None:
            self._guarded("written", super().set_persisted_offset, tp, offset)

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Write entries that recovery has read."""
        self._guarded("written", super().apply_changelog_batch, batch, to_key, to_value)

    def _set(self, key: bytes, value: bytes | None) -> None:
        self._guarded("written", super()._set, key, value)

    def _del(self, key: bytes) -> None:
        self._guarded("written", super()._del, key)

    def _get(self, key: bytes) -> bytes | None:
        found: bytes | None = self._guarded("read", super()._get, key)
        return found

    def _contains(self, key: bytes) -> bool:
        found: bool = self._guarded("read", super()._contains, key)
        return found

    def _visible_items(self, db: Any) -> Iterator[tuple[bytes, bytes]]:
        """Yield all entries. rocksdict's own iterator mistakes a broken block for the end."""
        found = db.iter()
        self._guarded("read", found.seek_to_first)
        while found.valid():
            if (key := found.key()) != self.offset_key:
                yield key, found.value()
            self._guarded("read", found.next)
        self._guarded("read", found.status)

    def _guarded(self, done: str, call: Callable[..., R], *arguments: Any) -> R:
        if self._fault is not None:
            raise self._fault
        try:
            return call(*arguments)
        except ProcessError:
            raise
        except Exception as error:  # rocksdict has no exception class of its own
            raise self._failed(done, error) from error

    def _failed(self, done: str, error: Exception) -> ProcessError:
        """Remember the failure and end the process."""
        if self._fault is None:
            remedy = IN_USE if _is_locked(str(error)) else f"{CHECK} The table is in {self.path}."
            self._fault = ProcessError(f"The table {self.table_name} cannot be {done} ({error}).", remedy)
            if str(error).startswith("Corruption"):
                self._mark_corrupt(str(error))
            self.app.end(self._fault)
        return self._fault

    def _mark_corrupt(self, said: str) -> None:
        """Mark the partition that the error names as corrupt for the next process, else all that are open."""
        paths = [Path(self.partition_path(partition)) for partition in self._dbs]
        named = [path for path in paths if f"{path}/" in said]
        for path in named or paths:
            try:
                (path / CORRUPT).touch()
            except OSError:  # the next process finds the corruption too, and marks it then
                log.exception("%s is broken and cannot be marked as corrupt", path)


def is_corrupt(said: str, path: Path) -> bool:
    """True if RocksDB's error at opening `path` means broken contents: not a lock, a full disk or missing rights."""
    if said.startswith("Corruption"):
        return "No space left" not in said and "Too many open files" not in said and "Permission denied" not in said
    missing = "No such file or directory" in said and any(part in said for part in _MISSING_PARTS)
    return missing and (path / "CURRENT").exists()


def _is_locked(said: str) -> bool:
    return "While lock file" in said or "lock hold by current process" in said
