"""Results of audit queries as text for programs: JSON values and CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from streams.audit.query import QueryResult

JSON_FIELDS: Final = frozenset({"answer", "data", "label"})
"""Fields of the audit whose text is JSON."""


def plain(value: Any) -> Any:
    """Convert a value for JSON: decimals to strings, times to ISO 8601, NaN and infinity to null.

    The text of one of JSON_FIELDS becomes the object or list that it holds.
    """
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
        return {text_of(name): _field(name, one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(one) for one in value]
    return str(value)


def _field(name: Any, value: Any) -> Any:
    if name in JSON_FIELDS and isinstance(value, str) and value.startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            return json.loads(value, parse_float=_finite, parse_constant=_finite)
    return plain(value)


def _finite(text: str) -> float:
    """Raise ValueError for a number that JSON cannot hold."""
    if math.isfinite(number := float(text)):
        return number
    raise ValueError(text)


def text_of(value: Any) -> str:
    """Return a value as text; a nested value as JSON."""
    simple = plain(value)
    return simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False)


def write_csv(answer: QueryResult, file: TextIO) -> None:
    """Write a header and one line a row; NULL is empty, a nested value is JSON."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows(["" if value is None else text_of(value) for value in row] for row in answer.rows)
