"""Which texts of a call's record and of the audit's rows are redacted. Ids, names of handlers and numbers are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from streams.core.messages import Call
from streams.core.redaction.policy import RedactionPolicy

CALL_TEXTS = ("system_prompt", "prompt", "response", "refusal_reason", "error", "decision_reason")
LATE_TEXTS = ("error", "decision_reason")
"""What is stamped on a record once more when the call's attempt has been judged."""
ROW_TEXTS: dict[str, tuple[str, ...]] = {
    "outcomes_rows": ("answer", "reasons", "intent"),
    "verdicts_rows": ("text", "data", "findings", "intents"),
    "dead_letters_rows": ("key", "headers", "payload", "detail"),
    "labels_rows": ("label",),
    "judgements_rows": ("verdict", "comment"),
}
"""By table, the columns that hold what people or models said. Calls were redacted before they were sent."""
STAMPED = ("outcomes_rows", "verdicts_rows", "dead_letters_rows")
"""The tables with a column for the policy."""


def redacted(call: Call, policy: RedactionPolicy) -> Call:
    """A call's record as the policy has it; of one that it had before, only the late texts are looked at."""
    names = LATE_TEXTS if call.redaction == policy.id else CALL_TEXTS
    texts = {name: _value(getattr(call, name), policy) for name in names}
    return dataclasses.replace(call, **texts, redaction=policy.id)


def redacted_row(table: str, row: Mapping[str, Any], policy: RedactionPolicy) -> dict[str, Any]:
    """A row of the audit as the policy has it."""
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
    """Bytes that are no UTF-8 are read byte by byte, so that what is ASCII in them is found as well."""
    try:
        return policy.text(value.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        return policy.text(value.decode("latin-1")).encode("latin-1", "backslashreplace")
