"""The texts of call records and audit rows that are redacted. Ids, names of handlers and numbers are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from streams.core.messages import Call
from streams.core.redaction.policy import RedactionPolicy

CALL_TEXTS = ("system_prompt", "prompt", "response", "refusal_reason", "error", "decision_reason")
LATE_TEXTS = ("error", "decision_reason")
"""The texts that a record gets when the call's attempt has been judged."""
ROW_TEXTS: dict[str, tuple[str, ...]] = {
    "outcomes_rows": ("answer", "reasons", "intent"),
    "verdicts_rows": ("text", "data", "findings", "intents"),
    "dead_letters_rows": ("key", "headers", "payload", "detail"),
    "labels_rows": ("label",),
    "judgements_rows": ("verdict", "comment"),
}
"""By table, the columns with words of people or models. Calls were redacted before they were sent."""
STAMPED = ("outcomes_rows", "verdicts_rows", "dead_letters_rows")
"""The tables with a column for the policy's id."""


def redacted(call: Call, policy: RedactionPolicy) -> Call:
    """Redact a call's record; if the policy redacted it before, only its late texts."""
    names = LATE_TEXTS if call.redaction == policy.id else CALL_TEXTS
    texts = {name: _value(getattr(call, name), policy) for name in names}
    return dataclasses.replace(call, **texts, redaction=policy.id)


def redacted_row(table: str, row: Mapping[str, Any], policy: RedactionPolicy) -> dict[str, Any]:
    texts = {name: _value(row[name], policy) for name in ROW_TEXTS.get(table, ()) if name in row}
    return {**row, **texts, **({"redaction": policy.id} if table in STAMPED else {})}


def _value(value: Any, policy: RedactionPolicy) -> Any:
    if isinstance(value, str):
        return policy.text(value)
    if isinstance(value, bytes):
        return _bytes(value, policy)
    if isinstance(value, (list, tuple)):
        return [_value(item, policy) for item in value]
    return value


def _bytes(value: bytes, policy: RedactionPolicy) -> bytes:
    """Redact bytes. Those that are not UTF-8 are read as Latin-1, so that ASCII in them is still found."""
    try:
        return policy.text(value.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        return policy.text(value.decode("latin-1")).encode("latin-1", "backslashreplace")
