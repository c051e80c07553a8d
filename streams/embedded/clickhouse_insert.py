"""Rows into the engine, through a file without a name.

The engine's own streaming insert reports what it cannot parse, and keeps silent about what it then cannot store: a
full disk, a violated constraint, too many parts. Of a file it says both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streams.embedded.clickhouse_protocol import Insert, QueryError


def insert_rows(handle: Any, insert: Insert, pieces: Iterable[bytes], directory: Path) -> Any:
    """Insert a body and give the engine's result. `directory` holds the body meanwhile.

    Raises RuntimeError when the engine does not take all of it, QueryError when the disk does not hold the body.
    """
    with tempfile.TemporaryFile(dir=directory) as file:
        try:
            file.writelines(pieces)
            file.flush()
        except OSError as error:
            what = f"The rows cannot be kept while they are read ({error.strerror})."
            raise QueryError(243, what, "NOT_ENOUGH_SPACE") from error
        file.seek(0)
        return handle.query(insert.from_file(f"/dev/fd/{file.fileno()}"))
