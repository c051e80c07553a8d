"""Insert rows into the engine through an unnamed file.

The engine's own streaming insert reports rows that it cannot parse, but not rows that it cannot store: a full disk, a
violated constraint, too many parts. For a file it reports both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streams.embedded.clickhouse_protocol import Insert, QueryError


def insert_rows(handle: Any, insert: Insert, pieces: Iterable[bytes], directory: Path) -> Any:
    """Insert a body, buffered in `directory`, and return the engine's result.

    Raises RuntimeError if the engine does not accept all rows, QueryError if the disk cannot hold the body.
    """
    with tempfile.TemporaryFile(dir=directory) as file:
        try:
            file.writelines(pieces)
            file.flush()
        except OSError as error:
            what = f"The rows cannot be buffered on disk ({error.strerror})."
            raise QueryError(243, what, "NOT_ENOUGH_SPACE") from error
        file.seek(0)
        return handle.query(insert.from_file(f"/dev/fd/{file.fileno()}"))
