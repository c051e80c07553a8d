from __future__ import annotations

import io
from decimal import Decimal

from streams.audit.query import QueryResult
from streams.audit.result_text import write_csv


def test_csv_has_lines_as_unix_has_them_and_empty_cells_for_unknown_values() -> None:
    file = io.StringIO()
    write_csv(QueryResult(["name", "usd"], ["String", "Decimal"], [("a,b", None), ("c", Decimal("0.10"))]), file)
    assert file.getvalue() == 'name,usd\n"a,b",\nc,0.10\n'
