from __future__ import annotations

import io
from decimal import Decimal

import pytest

from streams.audit.query import QueryResult
from streams.audit.result_text import plain, write_csv


def test_csv_has_lines_as_unix_has_them_and_empty_cells_for_unknown_values() -> None:
    file = io.StringIO()
    write_csv(QueryResult(["name", "usd"], ["String", "Decimal"], [("a,b", None), ("c", Decimal("0.10"))]), file)
    assert file.getvalue() == 'name,usd\n"a,b",\nc,0.10\n'


def test_json_that_the_audit_holds_as_text_is_given_to_programs_as_json() -> None:
    row = {"answer": '{"a": [1, "x"]}', "label": '["order"]', "text": '{"a": 1}', "data": None}
    assert plain(row) == {"answer": {"a": [1, "x"]}, "label": ["order"], "text": '{"a": 1}', "data": None}


@pytest.mark.parametrize("text", ["a word", "{cut off", '{"a": NaN}', '{"a": 1e999}', "[" * 100_000, "7"])
def test_text_that_is_not_an_object_or_list_stays_text(text: str) -> None:
    assert plain({"answer": text}) == {"answer": text}
