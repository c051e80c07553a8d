"""Events, calls, labels and dead letters that hold markup, scripts, control characters, long texts and secrets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

from streams.core.harmless import harmless
from streams.core.messages import DeadLetter, Finding, Header, Judgement, Run
from tests.builders import START, WORKER_USD, call, event, label, outcome, verdict

SECRETS = {
    "ANTHROPIC_API_KEY": "sk-ant-planted-000111222333",
    "ESCALON_UI_KEY": "planted-key-of-the-pages-4455667788",
    "ESCALON_KAFKA_PASSWORD": "planted-kafka-password-99",
}
MARKUP = (
    "<plant-x>a</plant-x><script>planted()</script>",
    '"><img src=x onerror=planted()>',
    "' onfocus='planted()' autofocus='",
    "javascript:planted()",
    "</pre></textarea></title><plant-x>b",
    "{{ planted }}{% planted %}",
    "&lt;plant-x&gt;<!--",
    "]]></svg><plant-x>",
)
CONTROLS = "\x1b[2Jred\x00\x08 \u202egnirts\u202c \u2066x\u2069\u2028end \x7f\x9b"
PLANT = f"{' '.join(MARKUP)} {CONTROLS} {' '.join(SECRETS.values())}"
LONG = PLANT + "x" * 1_000_000
RUN = "planted<plant-x>"
EVENT_ID = 'mail/1?"><plant-x>#%2e\u202e'
NAME = "<plant-x>'\"name"


def planted() -> Iterator[Any]:
    """All rows, live and in the run RUN."""
    yield from _rows("live", PLANT, EVENT_ID)
    yield from _rows("live", LONG, "long")
    yield from _rows(RUN, PLANT, EVENT_ID)
    yield Run(
        run=RUN, base="live", pipeline="p", pipeline_name=PLANT, topic="events", selection=PLANT, state="done",
        events=1, paid_calls=1, reused_calls=0, cost_usd=WORKER_USD, started_at=START,
        updated_at=START,
    )  # fmt: skip
    yield from (_letter(f"{number:032x}", reason) for number, reason in enumerate(("invalid_utf8", "bad_event")))


def _rows(run: str, text: str, event_id: str) -> Iterator[Any]:
    one = event(event_id, text, run=run, data=json.dumps({text[:300]: [text]}))
    found = Finding(listener=NAME, label=NAME, confidence=0.7, call_id="c")
    heard = call(one, NAME, "listener", decision="found", response=text, decision_reason=text[:2000])
    asked = call(
        one, NAME, decision="escalated", decision_reason=text[:2000], status="answered", confidence=0.724,
        raw_confidence=0.7, threshold=0.75, prompt=text, system_prompt=text, response=json.dumps({"answer": text}),
        request_model=NAME, provider=NAME, parent_call_id=heard.call_id,
    )  # fmt: skip
    failed = replace(asked, call_id="f" * 32, status="failed", error=text, error_type=NAME, attempt=2)
    refused = replace(asked, call_id="e" * 32, status="refused", refusal_class="other", refusal_reason=text, attempt=3)
    yield from (verdict(one, NAME, findings=(found,), intents=(NAME,)), heard, asked, failed, refused)
    yield replace(outcome(one), answer=text, handler=NAME, reasons=(text,), intent=NAME)
    yield replace(label(one, text, source=NAME), label=text)
    yield Judgement(
        event_id=event_id, run=run, call_id=asked.call_id, judge=NAME, question=NAME, verdict=NAME, comment=text,
        judged_at=START + timedelta(hours=1),
    )  # fmt: skip


def _letter(name: str, reason: str) -> DeadLetter:
    payload = b"\xff\xfe\x00" + PLANT.encode()
    return DeadLetter(
        dead_letter_id=name, run="live", topic="events", partition=0, offset=3, key=PLANT.encode() + b"\xff",
        headers=(Header(key=NAME, value=PLANT.encode() + b"\xff"),), payload=payload, payload_size=len(payload),
        payload_sha256=hashlib.sha256(payload).hexdigest(), reason=reason, detail=PLANT, error_class="UnreadableError",
        event_id=f"broken{reason}{EVENT_ID}", event_time=START,
    )  # fmt: skip


class PageReader(HTMLParser):
    """Collects a page's links, and what a planted text must not become."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [value for name, value in attrs if name == "href" and value]
        if tag in ("plant-x", "img", "style", "iframe", "object", "base"):
            self.faults.append(f"<{tag}>")
        if tag == "script" and not (given.get("src") or "").startswith("/static/"):
            self.faults.append("an inline script")
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.faults.append(f"{name} of <{tag}>")
            if name in ("href", "src", "action") and not (value or "").startswith(("/", "#", "?")):
                self.faults.append(f"{name}={value}")


def read_page(page: str) -> PageReader:
    """Return the links of a page and its faults: markup, control characters and secrets that were planted."""
    reader = PageReader()
    reader.feed(page)
    reader.close()
    if harmless(page) != page:
        reader.faults.append("control characters")
    reader.faults += [f"the secret {name}" for name, value in SECRETS.items() if value in page]
    return reader
