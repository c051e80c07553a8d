"""RocksDB under a table: what fails here is never a message's fault, and a broken directory is rebuilt.

A write that fails leaves a hole: the change is in the changelog and not in RocksDB. So after one failure nothing more
is written, above all not how far the table has come; the process ends, and its successor reads the hole's entries from
the changelog.
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
"""A file in a table's directory by which a process that read something broken tells its successor."""
ASIDE: Final = ".broken"
"""What the name of a directory that was moved aside ends with; there is one for each table and partition at most."""
CHECK: Final = "Check the room on its disk, its permissions and the limit on file handles."
IN_USE: Final = "Another process has it open: stop that one, or give each an ESCALON_INSTANCE of its own."
_MISSING_PARTS: Final = ("MANIFEST", "CURRENT", ".sst")
R = TypeVar("R")
log = logging.getLogger("escalon.runtime")


class TableStore(rocksdb.Store):  # type: ignore[misc]
    """Faust's store on RocksDB. Whatever fails in it ends the process with ProcessError."""

    _fault: ProcessError | None = None

    # ---- Opening ----

    def _open_for_partition(self, partition: int) -> Any:
        """The database of a partition; where it is broken, an empty one in its place, which recovery fills."""
        path = Path(self.partition_path(partition))
        try:
            if (path / CORRUPT).exists():
                return self._open_anew(path, partition, "it could not be read")
            try:
                return super()._open_for_partition(partition)
            except Exception as error:  # rocksdict has no kind of its own
                if not is_corrupt(str(error), path):
                    raise
                return self._open_anew(path, partition, str(error))
        except Exception as error:
            if _is_locked(str(error)):  # Faust waits for the lock
                raise
            raise self._failed("opened", error) from error

    def _open_anew(self, path: Path, partition: int, why: str) -> Any:
        aside = path.with_name(path.name + ASIDE)
        shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)
        log.error(
            "the table %s of partition %d is broken (%s). It is rebuilt from its changelog; the broken directory is "
            "kept as %s, until another one takes its place",
            self.table_name, partition, why, aside,
        )  # fmt: skip
        TABLES_REBUILT.labels(self.table_name).inc()
        return super()._open_for_partition(partition)

    async def _try_open_db_for_partition(self, *arguments: Any, **options: Any) -> Any:
        """Open a partition, waiting for a while for another process that has it open."""
        try:
            return await super()._try_open_db_for_partition(*arguments, **options)
        except ProcessError:
            raise
        except Exception as error:
            raise self._failed("opened", error) from error

    # ---- Reading and writing ----

    def persisted_offset(self, tp: Any) -> int | None:
        """How far into its changelog a partition has come; None before the first entry."""
        found: int | None = self._guarded("read", super().persisted_offset, tp)
        return found

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """Note how far a partition has come, unless a write has failed: it would be past the hole."""
        if self._fault is None:
            self._guarded("written", super().set_persisted_offset, tp, offset)

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Write what recovery has read."""
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
        """All entries. rocksdict's own iterator takes a broken block for the end."""
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
        except Exception as error:  # rocksdict has no kind of its own
            raise self._failed(done, error) from error

    def _failed(self, done: str, error: Exception) -> ProcessError:
        """Note that a call has failed, and end the process."""
        if self._fault is None:
            remedy = IN_USE if _is_locked(str(error)) else f"{CHECK} The table is in {self.path}."
            self._fault = ProcessError(f"The table {self.table_name} cannot be {done} ({error}).", remedy)
            if str(error).startswith("Corruption"):
                self._mark_corrupt(str(error))
            self.app.end(self._fault)
        return self._fault

    def _mark_corrupt(self, said: str) -> None:
        """Leave word for the next process: of the partition that the error names, else of all that are open."""
        paths = [Path(self.partition_path(partition)) for partition in self._dbs]
        named = [path for path in paths if f"{path}/" in said]
        for path in named or paths:
            try:
                (path / CORRUPT).touch()
            except OSError:  # the next process reads what is broken too, and marks it then
                log.exception("%s is broken and cannot be marked so", path)


def is_corrupt(said: str, path: Path) -> bool:
    """Whether RocksDB's words at opening `path` mean broken contents: not a lock, a full disk or a lack of rights."""
    if said.startswith("Corruption"):
        return "No space left" not in said and "Too many open files" not in said and "Permission denied" not in said
    missing = "No such file or directory" in said and any(part in said for part in _MISSING_PARTS)
    return missing and (path / "CURRENT").exists()


def _is_locked(said: str) -> bool:
    return "While lock file" in said or "lock hold by current process" in said
