"""No field of any record or row of the audit holds what a policy hides."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters.clickhouse import TABLES, row_of
from streams.core.redaction.fields import CALL_TEXTS, LATE_TEXTS, ROW_TEXTS, STAMPED, redacted, redacted_row
from tests.harness.sensitive_texts import EMAILS, PLANTED, POLICY, call, messages, said_in, texts_with


def everything(row: dict[str, Any]) -> str:
    return "".join(said_in(text) for value in row.values() for text in flat(value))


def flat(value: Any) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in flat(item)]
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)]


@settings(max_examples=50)
@given(st.data(), PLANTED)
def test_nothing_planted_survives_in_any_column_of_any_row(data: st.DataObject, secret: str) -> None:
    for message in messages(data.draw(texts_with(secret))):
        table = TABLES[type(message)]
        row = row_of(message)
        assert secret in everything(row)
        assert secret not in everything(redacted_row(table, row, POLICY))


@given(st.data(), PLANTED)
def test_nothing_planted_survives_in_the_record_of_a_call(data: st.DataObject, secret: str) -> None:
    record = redacted(call(data.draw(texts_with(secret))), POLICY)
    assert secret not in everything(row_of(record))
    assert record.redaction == POLICY.id


def test_every_row_a_sink_writes_is_known_here() -> None:
    assert {TABLES[type(message)] for message in messages("")} == set(ROW_TEXTS)


@pytest.mark.parametrize("message", messages("Nothing to hide."), ids=lambda one: type(one).__name__)
def test_a_row_without_anything_to_hide_is_only_stamped(message: Any) -> None:
    table, row = TABLES[type(message)], row_of(message)
    assert redacted_row(table, row, POLICY) == row | ({"redaction": POLICY.id} if table in STAMPED else {})


def test_a_payload_that_is_not_text_is_read_byte_by_byte() -> None:
    row = {"payload": b"\xc3\x01\xff\x00\x20jo@x.org\x00\xfe"}
    assert redacted_row("dead_letters_rows", row, POLICY)["payload"] == b"\xc3\x01\xff\x00\x20[email]\x00\xfe"


def test_a_record_that_was_redacted_has_only_its_late_texts_looked_at_again() -> None:
    once = redacted(call("jo@x.org"), POLICY)
    stamped = dataclasses.replace(once, error="to jo@x.org", decision_reason="refused: jo@x.org", prompt="ann@x.org")
    again = redacted(stamped, POLICY)
    assert (again.error, again.decision_reason, again.prompt) == ("to [email]", "refused: [email]", "ann@x.org")
    assert set(LATE_TEXTS) < set(CALL_TEXTS)


@given(EMAILS)
def test_a_record_of_another_policy_is_redacted_again(email: str) -> None:
    record = redacted(call(email, redaction="older-1"), POLICY)
    assert (record.prompt, record.redaction) == ("[email]", POLICY.id)


def test_missing_texts_stay_unknown() -> None:
    record = redacted(dataclasses.replace(call(), response=None, error=None), POLICY)
    assert (record.response, record.error, record.prompt) == (None, None, "")
