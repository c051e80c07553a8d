"""The page of one event as plain data: each call with its facts and texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from streams.adapters.clickhouse_erasure import ERASED
from streams.audit.trace import Trace
from streams.core.harmless import lines
from streams.ui.operator.event_words import escalation_of, exploration_of
from streams.ui.operator.wording import UNKNOWN, count, moment, seconds, usd

Row = Mapping[str, Any]
SHORT_TEXT: Final = 600
"""Characters up to which a text is shown unfolded."""
MAX_TEXT: Final = 20_000
"""Characters of one text that the page shows."""


@dataclass(frozen=True, slots=True)
class ShownText:
    """A foreign text as the page shows it: JSON indented, control characters escaped, cut to MAX_TEXT."""

    name: str
    text: str
    left_out: int = 0
    known: bool = False
    """True if the page has shown it before."""

    @property
    def folded(self) -> bool:
        """True if the text is too long to be shown at once, or known."""
        return self.known or len(self.text) > SHORT_TEXT


@dataclass(frozen=True, slots=True)
class CallView:
    """One call in words."""

    call_id: str
    tier: str
    handler: str
    state: str
    why: str
    facts: tuple[tuple[str, str], ...]
    texts: tuple[ShownText, ...]
    remark: str
    """The reason why its texts are not whole; empty if they are."""


def shown_text(name: str, text: str | None, *, as_json: bool = False) -> ShownText | None:
    """Return a text for the page; None without one."""
    if not text:
        return None
    pretty = indented(text) if as_json and len(text) <= MAX_TEXT else text
    cut = pretty[:MAX_TEXT]
    return ShownText(name, lines(cut.replace("\r\n", "\n")), len(pretty) - len(cut))


def indented(text: str) -> str:
    """Return a JSON object or list with a line for each value; any other text as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else text


def event_texts(trace: Trace) -> tuple[ShownText, ...]:
    """Return what the event says."""
    verdict = trace.verdict or {}
    found = [shown_text("Text", verdict.get("text")), shown_text("Data", verdict.get("data"), as_json=True)]
    found.append(shown_text("Image, by its key in the blob store", verdict.get("image")))
    return tuple(one for one in found if one is not None)


def redaction_remark(row: Row | None) -> str:
    """Return the reason why the texts of a row are not whole; empty if they are."""
    redaction = row.get("redaction") if row is not None else None
    if redaction == ERASED:
        return "The texts were erased, as the person they concern may demand. Figures and decisions are kept."
    return "" if redaction is None else "Personal data in these texts were replaced by markers such as [email]."


def call_views(calls: Sequence[Row], findings: Mapping[str, Row], event_text: str = "") -> tuple[CallView, ...]:
    """Return calls in words; `findings` has what each listener found, `event_text` what the page shows already."""
    return tuple(_call(call, findings.get(call["handler"]), event_text.strip()) for call in calls)


def _call(call: Row, finding: Row | None, event_text: str) -> CallView:
    prompt = shown_text("Prompt", call["prompt"], as_json=True)
    if prompt is not None and event_text and event_text in call["prompt"]:
        prompt = replace(prompt, known=True)
    texts = [
        shown_text("Instructions to the model", call["system_prompt"]),
        prompt,
        shown_text("Answer", call["response"], as_json=True),
        shown_text("Error", call["error"]),
    ]
    listener = call["tier"] == "listener"
    return CallView(
        call_id=call["call_id"],
        tier=call["tier"],
        handler=call["handler"],
        state=call["status"] if listener or call["tier"] == "judge" else f"{call['status']}, {call['decision']}",
        why=_found(finding) if listener and finding is not None else _why(call),
        facts=tuple(_facts(call)),
        texts=tuple(one for one in texts if one is not None),
        remark=redaction_remark(call),
    )


def _why(call: Row) -> str:
    if call["decision"] == "escalated":
        return escalation_of(call)
    if call["explored"]:
        return exploration_of(call)
    reason: str = lines(call["decision_reason"])
    return reason[:1].upper() + reason[1:]


def _found(finding: Row) -> str:
    if finding.get("label") is None:
        return "Found nothing."
    sure = f" with confidence {finding['confidence']:.3f}" if finding.get("confidence") is not None else ""
    same = f", a duplicate of {finding['duplicate_of']}" if finding.get("duplicate_of") else ""
    return f"Found {finding['label']}{sure}{same}."


def _facts(call: Row) -> Iterator[tuple[str, str]]:
    yield "Model", f"{call['model']} ({call['provider']})"
    yield "Cost", usd(call["cost_usd"]) + (f", {usd(call['saved_usd'])} saved" if call["saved_usd"] else "")
    if call["input_tokens"] is not None:
        yield "Tokens", f"{count(call['input_tokens'])} in, {count(call['output_tokens'])} out"
    if call["cache_hit"]:
        run = call["reused_from"]
        yield "Stored answer", "from the cache" if run is None else f"reused from the run {run}"
    else:
        yield "Time", f"waited {seconds(call['queue_seconds'])}, took {seconds(call['duration_seconds'])}"
    yield "Began", f"{moment(call['started_at'])} UTC"
    if call["attempt"] > 1 or call["decision"] == "retried":
        yield "Attempt", str(call["attempt"])
    if call["sample"] or call["decision"] == "sampled":
        yield "Sample", str(call["sample"])
    if call["tier"] != "listener":
        yield from _scores(call)


def _scores(call: Row) -> Iterator[tuple[str, str]]:
    if call["confidence"] is not None or call["threshold"] is not None:
        yield "Confidence", f"{_score(call['confidence'])}, threshold {_score(call['threshold'])}"
    if call["raw_confidence"] is not None and call["raw_confidence"] != call["confidence"]:
        sources = ", ".join(f"{name} {_score(value)}" for name, value in call["sources"].items())
        yield "Before calibration", f"{_score(call['raw_confidence'])} ({sources})"


def _score(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"
