"""Results of audit queries as text for programs: JSON values and CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from streams.audit.query import QueryResult


def plain(value: Any) -> Any:
    """Convert a value for JSON: decimals to strings, times to ISO 8601, NaN and infinity to null."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {text_of(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(one) for one in value]
    return str(value)


def text_of(value: Any) -> str:
    """Return a value as text; a nested value as JSON."""
    simple = plain(value)
    return simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False)


def write_csv(answer: QueryResult, file: TextIO) -> None:
    """Write a header and one line a row; NULL is empty, a nested value is JSON."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows(["" if value is None else text_of(value) for value in row] for row in answer.rows)
