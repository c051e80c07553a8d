"""The identity of a message: the few fields that `escalon verify` compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastavro import parse_schema

from streams.adapters import schemas
from streams.adapters.codec import Codec
from streams.adapters.ground_truth import read_ground_truth
from streams.adapters.registered_formats import read_record
from streams.adapters.topic_reader import record_of
from streams.core.messages import Call, DeadLetter, Judgement, Label, Outcome, Panel, PanelCase, Verdict

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ORIGIN: Final[Mapping[str, Any]] = dict.fromkeys(
    ("event_id", "run", "topic", "partition", "offset", "content_digest", "event_time")
)
_NEEDED: Final[Mapping[type, Mapping[str, Any]]] = {
    Outcome: {"origin": _ORIGIN, "call_id": None},
    Call: {"origin": _ORIGIN, "call_id": None},
    Verdict: {"event": {"origin": _ORIGIN}},
    Panel: dict.fromkeys(("panel", "run", "updated_at")),
    PanelCase: dict.fromkeys(("panel", "case_id", "event_id", "run", "created_at")),
    DeadLetter: dict.fromkeys(
        ("dead_letter_id", "run", "topic", "partition", "offset", "reason", "event_id", "content_digest", "event_time")
    ),
}
"""The fields that are read of each message; the decoder skips the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageIdentity:
    """The subject of a message. `key` are the parts of its id, in the order of its table's key."""

    key: tuple[str, ...]
    run: str
    event_id: str = ""
    source: tuple[str, int, int] | None = None
    call_id: str | None = None
    reason: str = ""
    content_digest: str = ""
    """Hash of its event's content; empty if unknown."""
    event_time: datetime = _EPOCH
    """The time by which its row expires: the event's own, or that of the label, judgement, panel or case."""


class IdentityReader:
    """Decodes the identity of messages and nothing else. Raises UnreadableError."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._readers = {kind: _only(schemas.current()[kind].parsed, keep) for kind, keep in _NEEDED.items()}

    def __call__(self, kind: type, message: Any) -> MessageIdentity:
        if kind is Label:
            label = read_ground_truth(Label, record_of(message), self._codec)
            parts = (label.run, label.event_id, label.aspect, label.source, _micros(label.labelled_at))
            return MessageIdentity(key=parts, run=label.run, event_id=label.event_id, event_time=label.labelled_at)
        if kind is Judgement:
            one = read_ground_truth(Judgement, record_of(message), self._codec)
            place = (one.panel, one.case_id, one.judge, one.question, one.option)
            key = (one.run, one.event_id, one.call_id, *place, _micros(one.judged_at))
            return MessageIdentity(key=key, run=one.run, event_id=one.event_id, event_time=one.judged_at)
        writer, body = self._codec.writer_schema(message.value() or b"")
        return _identity(kind, read_record(writer, body, self._readers[kind]))


def _identity(kind: type, record: Mapping[str, Any]) -> MessageIdentity:
    if kind is DeadLetter:
        return MessageIdentity(
            key=(record["dead_letter_id"],),
            run=record["run"],
            event_id=record["event_id"],
            source=(record["topic"], record["partition"], record["offset"]),
            reason=record["reason"],
            content_digest=record["content_digest"],
            event_time=record["event_time"],
        )
    if kind is Panel:
        key = (record["panel"], _micros(record["updated_at"]))
        return MessageIdentity(key=key, run=record["run"], event_time=record["updated_at"])
    if kind is PanelCase:
        key, event_id = (record["panel"], record["case_id"]), record["event_id"]
        return MessageIdentity(key=key, run=record["run"], event_id=event_id, event_time=record["created_at"])
    origin = record["event"]["origin"] if kind is Verdict else record["origin"]
    run, event_id = origin["run"], origin["event_id"]
    return MessageIdentity(
        key=(record["call_id"],) if kind is Call else (run, event_id),
        run=run,
        event_id=event_id,
        source=(origin["topic"], origin["partition"], origin["offset"]),
        call_id=record.get("call_id"),
        content_digest=origin["content_digest"],
        event_time=origin["event_time"],
    )


def _only(schema: Any, keep: Mapping[str, Any]) -> Any:
    """Return a reader schema for some fields of a record."""
    return parse_schema(_narrowed(schema, keep))


def _narrowed(schema: Any, keep: Mapping[str, Any]) -> Any:
    fields = []
    for field_ in (one for one in schema["fields"] if one["name"] in keep):
        inner = keep[field_["name"]]
        fields.append(field_ | ({"type": _narrowed(field_["type"], inner)} if inner else {}))
    return {"type": "record", "name": schema["name"], "fields": fields}


def _micros(time: datetime) -> str:
    """Return microseconds since 1970, exact, equal to ClickHouse's toUnixTimestamp64Micro."""
    return str((time - _EPOCH) // timedelta(microseconds=1))
