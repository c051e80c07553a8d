"""Things that must not be in the audit, drawn at random, and texts that hold them."""

from __future__ import annotations

import json
import string
from typing import Any

from hypothesis import strategies as st

from streams.core.messages import Call, DeadLetter, Event, Finding, Header, Judgement, Label, Outcome, Verdict
from streams.core.redaction.checksums import IBAN_LENGTHS, luhn
from streams.core.redaction.detectors import BUILT_IN
from streams.core.redaction.fields import CALL_TEXTS
from streams.core.redaction.policy import RedactionPolicy
from tests.builders import START, origin

POLICY = RedactionPolicy(id="all-1", detectors=tuple(BUILT_IN.values()))
LETTERS, DIGITS = string.ascii_lowercase, string.digits
WORD = st.text(LETTERS, min_size=1, max_size=8)


def _checked(digits: str) -> str:
    return next(digits + last for last in DIGITS if luhn(digits + last))


def _iban(country: str, body: str) -> str:
    body = body[: IBAN_LENGTHS[country] - 4]
    value = int("".join(str(int(one, 36)) for one in body + country + "00"))
    return f"{country}{98 - value % 97:02d}{body}"


def _in_fours(text: str, separator: str) -> str:
    return separator.join(text[at : at + 4] for at in range(0, len(text), 4))


EMAILS = st.builds(
    lambda local, host, end: f"{local}@{host}.{end}",
    st.text(LETTERS + DIGITS + "ü._%+-", min_size=1, max_size=12).filter(lambda one: one[0] in LETTERS + DIGITS),
    st.text(LETTERS + DIGITS, min_size=1, max_size=10),
    st.sampled_from(("org", "com", "co.uk", "example", "museum")),
)
CARDS = st.builds(
    lambda first, rest, separator: _in_fours(_checked(first + rest), separator),
    st.sampled_from("23456"),
    st.one_of([st.text(DIGITS, min_size=size, max_size=size) for size in (13, 14)]),
    st.sampled_from(("", " ", "-")),
)
IBANS = st.builds(
    lambda country, body, separator: _in_fours(_iban(country, body), separator),
    st.sampled_from(sorted(IBAN_LENGTHS)),
    st.text(string.ascii_uppercase + DIGITS, min_size=30, max_size=30),
    st.sampled_from(("", " ")),
)
PHONES = st.builds(
    lambda country, body, separator: f"+{country}{separator}{body[:3]}{separator}{body[3:]}",
    st.sampled_from(("1", "49", "44", "420")),
    st.text(DIGITS, min_size=7, max_size=10),
    st.sampled_from(("", " ", "-", " / ")),
)
_TOKEN = st.text(string.ascii_letters + DIGITS, min_size=24, max_size=40).map(lambda one: one + "7")
KEYS = st.one_of(
    _TOKEN.map(lambda one: f"sk-ant-api03-{one}"),
    st.text(string.ascii_uppercase + DIGITS, min_size=16, max_size=16).map(lambda one: f"AKIA{one}"),
    _TOKEN.map(lambda one: f"ghp_{one}"),
    _TOKEN.map(lambda one: f"eyJ{one}.{one}.{one}"),
    _TOKEN.map(lambda one: f"-----BEGIN PRIVATE KEY-----\n{one}\n-----END PRIVATE KEY-----"),
)
NUMBERS = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=4).map(lambda one: f"{one}"))
PLANTED = st.one_of(EMAILS, CARDS, IBANS, PHONES, KEYS, NUMBERS)
BEFORE = st.sampled_from(("", "Write to ", "äöü: ", '"', "(", "see\n", "<", "1, "))
AFTER = st.sampled_from(("", " please.", "\nthanks", '"', ")", ", or not", " ß", ">"))


@st.composite
def texts_with(draw: st.DrawFn, secret: str) -> str:
    """Draw a text around a secret: prose, or JSON of either spelling."""
    prose = f"{draw(BEFORE)}{secret}{draw(AFTER)}"
    match draw(st.integers(0, 3)):
        case 0:
            return prose
        case 1:
            return json.dumps({"n": 1.5, draw(WORD): prose}, ensure_ascii=draw(st.booleans()))
        case 2:
            return json.dumps([{"a": json.dumps({"b": prose})}])
        case _:
            return json.dumps({secret: prose}).replace("@", "\\u0040")


def said_in(text: str) -> str:
    """All that a text says, JSON in JSON undone."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text + "".join(map(said_in, _strings(value)))


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [one for pair in value.items() for item in pair for one in _strings(item)]
    if isinstance(value, list):
        return [one for item in value for one in _strings(item)]
    return [value] if isinstance(value, str) else []


ORIGIN = origin(data_subject="s")


def call(text: str = "", **more: Any) -> Call:
    usual: dict[str, Any] = {"decision": "accepted", "status": "answered", "started_at": START}
    usual |= dict.fromkeys(CALL_TEXTS, text)
    return Call(
        origin=ORIGIN, call_id="c" * 32, tier="worker", handler="answer", handler_version="v", pipeline="p",
        operation="chat", provider="m", request_model="m", **usual | more,
    )  # fmt: skip


def messages(text: str) -> list[Any]:
    """One message of each kind that becomes a row in the sink, with a text wherever a text can be."""
    finding = Finding(listener="intent", label=text, confidence=0.9, call_id="c" * 32)
    event = Event(origin=ORIGIN, kind="text", text=text, data=text)
    data = text.encode()
    return [
        Verdict(event=event, findings=(finding,), intents=(text,), confidence=0.9, action="work", handler="answer",
                fingerprint="f", pipeline="p", decided_at=START),
        Outcome(origin=ORIGIN, state="answered", tier="worker", handler="answer", intent=text, answer=text,
                reasons=(f"refused: {text}",), pipeline="p", settled_at=START),
        DeadLetter(dead_letter_id="d" * 32, run="live", topic="events", partition=0, offset=0, key=data,
                   headers=(Header(key="from", value=data),), payload=data, payload_size=9, payload_sha256="s",
                   reason="bad_event", detail=text, error_class="UnreadableError", event_id="e1", event_time=START),
        Label(event_id="e1", label=text, labelled_at=START),
        Judgement(event_id="e1", call_id="c", judge="ann", question="right?", verdict=text, comment=text,
                  judged_at=START),
    ]  # fmt: skip
