"""The audit's records of the answers that a panel's cases show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from streams.audit.query import Audit


@dataclass(frozen=True, slots=True)
class AnswerCall:
    """The call of an answer: its confidence, if it had one, its length in characters, and its event's intent."""

    confidence: float | None
    accepted: bool
    characters: int
    intent: str


def read_answer_calls(audit: Audit, panel: str) -> Mapping[str, AnswerCall]:
    """Return the answers of all cases of a panel by call id; calls that the audit no longer has are missing."""
    sql = files("streams.panels").joinpath("answer_calls.sql").read_text("utf-8")
    return {
        row["call_id"]: AnswerCall(
            row["confidence"], row["decision"] == "accepted", row["characters"], row["intent"] or ""
        )
        for row in audit.query(sql, {"panel": panel}).records()
    }
