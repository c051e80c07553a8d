"""Labels and judgements, decoded from Avro or JSON and checked."""

from __future__ import annotations

import difflib
import json
import math
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from streams.adapters.codec import Codec
from streams.adapters.event_reader import MAX_ID
from streams.adapters.kafka_record import KafkaRecord
from streams.core.errors import UnreadableError
from streams.core.exact_json import once
from streams.core.messages import Judgement, Label
from streams.core.time_range import YEARS

T = TypeVar("T", Label, Judgement)

TRUTHS: Final[Mapping[type, str]] = {Label: "labelled_at", Judgement: "judged_at"}
"""The messages that are read here, and the field of each with its time."""
SKEW: Final = timedelta(minutes=5)
"""The tolerated lead of a producer's clock over the one that stamps the record."""
_CHOICES: Final[Mapping[type, Mapping[str, tuple[str, ...]]]] = {
    kind: {name: get_args(hint) for name, hint in get_type_hints(kind).items() if get_origin(hint) is Literal}
    for kind in TRUTHS
}
_TIME_REMEDY: Final = "Use ISO 8601 with an offset, for example 2026-01-31T12:00:00Z."


def read_ground_truth(kind: type[T], record: KafkaRecord, codec: Codec) -> T:
    """Return the label or judgement in a record. Raises UnreadableError with the reason.

    JSON without a time gets the time at which the record first came. A later time is refused: a label from the future
    would override every other until then.
    """
    value = record.value or b""
    if not value:
        _unreadable("empty", "The record has no bytes.", "Publish JSON or Avro as docs/messages.md says.")
    if value.removeprefix(BOM_UTF8).lstrip()[:1] == b"{":
        return from_json(kind, value, record.came_at)
    return checked(codec.decode(kind, value), record.came_at)


def from_json(kind: type[T], value: bytes, said_at: datetime) -> T:
    """Return the label or judgement in a JSON object in UTF-8; `said_at` is the time if it has none.

    Raises UnreadableError with the reason.
    """
    try:
        text = value.decode("utf-8-sig")
        found = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=once)
    except UnicodeDecodeError as error:
        what = f"The JSON is not UTF-8 (byte {error.start}: {error.reason})."
        _unreadable("invalid_utf8", what, "Publish UTF-8.")
    except (ValueError, RecursionError) as error:
        said = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else error
        _unreadable("invalid_json", f"This is not JSON ({said}).", "Publish one JSON object a record.")
    if not isinstance(found, dict):
        _unreadable("invalid_json", "This is not a JSON object.", "Publish one JSON object a record.")
    when = TRUTHS[kind]
    _check_keys(kind, found, when)
    values: dict[str, Any] = {key: _field(key, value) for key, value in found.items() if key != when}
    values[when] = _time(found[when], when) if when in found else said_at
    return checked(kind(**values), said_at)


def label_text(value: Any) -> str:
    """Return a label as text; any value but a string becomes JSON text. Raises UnreadableError."""
    if isinstance(value, str):
        return value
    if value is None:
        _unreadable("bad_fields", "label is null.", "Write the correct answer, or leave out an event without one.")
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        _unreadable("bad_fields", f"label cannot be written as JSON ({error}).", "Give text or a JSON value.")


def checked(truth: T, came_at: datetime | None = None) -> T:
    """Return the message with its time in UTC.

    Raises UnreadableError for values that the audit cannot hold, and for a time after the record came.
    """
    for item in fields(truth):
        value = getattr(truth, item.name)
        if isinstance(value, str) and _is_broken(value):
            _unreadable("invalid_unicode", f"{item.name} holds half a surrogate pair.", "Publish valid Unicode.")
    if not 0 < len(truth.event_id) <= MAX_ID:
        what = f"event_id has {len(truth.event_id)} characters."
        _unreadable("bad_id", what, f"Give the id of the event, of 1 to {MAX_ID} characters.")
    for name, known in _CHOICES[type(truth)].items():
        if getattr(truth, name) not in known:
            _unreadable("bad_fields", f"{name} is {getattr(truth, name)!r}.", f"Use one of {', '.join(known)}.")
    when = TRUTHS[type(truth)]
    said_at = _checked_time(getattr(truth, when), when)
    if came_at is not None and said_at > came_at + SKEW:
        what = f"{when} is {said_at:%Y-%m-%d %H:%M:%S}Z, later than it came ({came_at:%Y-%m-%d %H:%M:%S}Z)."
        _unreadable("bad_time", what, f"Publish it again with the right time, or without {when}.")
    time: dict[str, Any] = {when: said_at}
    return replace(truth, **time)


def _check_keys(kind: type, found: Mapping[str, Any], when: str) -> None:
    known = {item.name: item.default is MISSING and item.name != when for item in fields(kind)}
    remedy = f"A {kind.__name__.lower()} has the keys {', '.join(known)}."
    if unknown := found.keys() - known.keys():
        odd = min(unknown)
        near = difflib.get_close_matches(odd, known, n=1)
        _unreadable("bad_fields", f"There is no key {odd!r}{f'; is it {near[0]!r}?' if near else '.'}", remedy)
    if missing := [name for name, required in known.items() if required and name not in found]:
        _unreadable("bad_fields", f"The key {missing[0]!r} is missing.", remedy)


def _field(key: str, value: Any) -> str | float | None:
    if key == "label":
        return label_text(value)
    if key == "seconds":
        return _seconds(value)
    if key == "event_id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # as in the event itself
    if not isinstance(value, str):
        _unreadable("bad_fields", f"{key} must be a string.", "Write it in quotes.")
    return value


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        _unreadable("bad_fields", f"seconds is {value!r}.", "Give the number of seconds, or leave it out.")
    return float(value)


def _time(value: Any, key: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        _unreadable("bad_time", f"{key} cannot be read ({error}).", _TIME_REMEDY)


def _checked_time(time: datetime, key: str) -> datetime:
    if time.tzinfo is None:
        _unreadable("bad_time", f"{key} names no offset from UTC.", _TIME_REMEDY)
    for year in (time.year, time.astimezone(UTC).year if time.year in YEARS else 0):
        if year not in YEARS:
            remedy = f"Give a time from {YEARS.start} to {YEARS.stop - 1}."
            _unreadable("bad_time", f"{key} is in the year {year}.", remedy)
    return time.astimezone(UTC)


def _is_broken(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unreadable(reason: str, what: str, remedy: str) -> NoReturn:
    raise UnreadableError(reason, what, remedy)
