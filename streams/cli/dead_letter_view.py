"""Dead letters on a terminal and as JSON. Their content is foreign, so none of it may control the terminal."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from streams.audit.dead_letters.retry import NotRetried, RetryResult
from streams.audit.dead_letters.table import LetterAction, LetterStatus
from streams.cli.console import out, print_json, table
from streams.core.harmless import hex_dump, one_line, readable_bytes
from streams.core.messages import DeadLetter

SHOWN_REFUSALS, DETAIL_CHARACTERS = 10, 80


def print_list(found: Sequence[LetterStatus], prefix: str, as_json: bool, *, more: bool) -> None:
    """Print a table, or one JSON document a line."""
    if as_json:
        for one in found:
            print_json(asdict(one))
        return
    columns = ["dead letter", "time", "topic", "reason", "detail", "state", "event ended as"]
    rows = [
        [
            one.dead_letter_id, one.event_time, one.topic.removeprefix(prefix), one.reason,
            one_line(one.detail, DETAIL_CHARACTERS), one.state, one.outcome,
        ]
        for one in found
    ]  # fmt: skip
    out.print(table(columns, rows) if rows else "There are none.")
    if more:
        out.print(f"There are more than {len(found)}: raise --limit, or narrow the selection.", style="yellow")


def print_letter(one: LetterStatus, letter: DeadLetter | None, value: bytes | None, as_json: bool) -> None:
    """Print one dead letter; `value` is None if the original bytes are gone."""
    if as_json:
        print_json(_document(one, letter, value))
        return
    facts: list[tuple[str, Any]] = [
        ("dead letter", one.dead_letter_id), ("event", one.event_id), ("event time", one.event_time),
        ("topic", one.topic), ("partition", one.partition), ("offset", one.offset),
        ("reason", one.reason), ("detail", one.detail), ("error class", one.error_class),
        ("state", one.state), ("event ended as", one.outcome), ("size", one.payload_size),
    ]  # fmt: skip
    if one.acted_at is not None:
        place = [] if one.state == "dropped" else [("retried as", f"{one.retried_partition}/{one.retried_offset}")]
        facts += [("at", one.acted_at), ("by", one.operator), ("why", one.why or None), *place]
    if letter is not None and not one.erased:
        facts += [("key", letter.key), *((f"header {item.key}", item.value) for item in letter.headers)]
    for name, fact in facts:
        text = fact.decode("utf-8", "backslashreplace") if isinstance(fact, bytes) else str(fact)
        shown = "–" if fact is None else one_line(text)
        out.print(f"{one_line(name):<15} {shown}", markup=False, highlight=False, soft_wrap=True)
    out.print()
    shown = (
        "The original bytes are gone: redacted, erased, or past their retention."
        if value is None
        else readable_bytes(value) or hex_dump(value)
    )
    out.print(shown, markup=False, highlight=False, soft_wrap=True)


def print_planned(refused: Sequence[NotRetried], wanted: Sequence[LetterStatus], as_json: bool) -> None:
    if as_json:
        for one in wanted:
            print_json({"dead_letter_id": one.dead_letter_id, "event_id": one.event_id, "would": "retry"})
        _print_refused_json(refused)
        return
    out.print(f"{len(wanted)} would be retried.")
    _print_refused(Counter(one.why for one in refused), refused)


def print_retried(refused: Sequence[NotRetried], results: Iterable[RetryResult], as_json: bool) -> None:
    """Print what a retry does, as it goes on."""
    first, kinds, retried = list(refused), Counter(one.why for one in refused), 0
    if as_json:
        _print_refused_json(refused)
    for one in results:
        if isinstance(one, NotRetried):
            kinds[one.why] += 1
            if len(first) < SHOWN_REFUSALS:
                first.append(one)
        retried += isinstance(one, LetterAction)
        if as_json:
            print_json(_result(one))
    if not as_json:
        out.print(f"{retried} retried: published again and confirmed by Kafka.")
        _print_refused(kinds, first)


def print_dropped(refused: Sequence[NotRetried], done: Sequence[LetterAction], as_json: bool) -> None:
    if as_json:
        for one in done:
            print_json(_result(one))
        _print_refused_json(refused)
        return
    out.print(f"{len(done)} dropped.")
    _print_refused(Counter(one.why for one in refused), refused)


def _result(one: RetryResult) -> dict[str, Any]:
    if isinstance(one, NotRetried):
        return {"dead_letter_id": one.dead_letter_id, "event_id": one.event_id, "left": one.why}
    return {"dead_letter_id": one.dead_letter_id, "event_id": one.event_id, "done": one.action} | (
        {"topic": one.topic, "partition": one.partition, "offset": one.offset} if one.topic else {"why": one.why}
    )


def _print_refused_json(refused: Iterable[NotRetried]) -> None:
    for one in refused:
        print_json(_result(one))


def _print_refused(kinds: Counter[str], first: Sequence[NotRetried]) -> None:
    if not kinds:
        return
    out.print(f"{kinds.total()} left unchanged:", style="yellow")
    for one in first[:SHOWN_REFUSALS]:
        out.print(f"  {one.dead_letter_id}  {one_line(one.why)}", markup=False, highlight=False, soft_wrap=True)
    if kinds.total() > SHOWN_REFUSALS:
        out.print(f"  and {kinds.total() - SHOWN_REFUSALS} more; --json lists them all.")


def _document(one: LetterStatus, letter: DeadLetter | None, value: bytes | None) -> dict[str, Any]:
    original = {} if letter is None or one.erased else {"key": letter.key, "headers": _headers(letter)}
    coded = None if value is None else base64.b64encode(value).decode()
    return asdict(one) | original | {"original_base64": coded}


def _headers(letter: DeadLetter) -> list[list[str]]:
    return [[item.key, item.value.decode("utf-8", "backslashreplace")] for item in letter.headers]
