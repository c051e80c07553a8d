"""Dead letters as the pages read and handle them. All of it blocks, so it runs in threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from streams.app.operator_name import operator_name
from streams.app.settings import Settings, require_clickhouse
from streams.audit.dead_letters.handling import (
    drop_letters,
    letters_by_id,
    original_of,
    retry_letters,
    split_retryable,
)
from streams.audit.dead_letters.republish import why_no_event
from streams.audit.dead_letters.retry import NotRetried, RetryResult, why_not
from streams.audit.dead_letters.table import DeadLetterTable, LetterAction, LetterFilter, LetterStatus
from streams.core.errors import MissingError, ServiceError
from streams.core.harmless import hex_dump, lines
from streams.core.messages import DeadLetter

RETRYABLE: Final = ("open",)
TEXT_BYTES: Final = 20_000
"""The bytes of an original that a page shows as text."""
HEX_BYTES: Final = 4096
"""The bytes of an original that a page shows in hexadecimal."""
MOST_RESULTS: Final = 100
"""The results of forms that are kept, the newest."""
ASKED_AT_ONCE: Final = 100
"""The ids of one query, which must fit into an address."""


@dataclass(frozen=True, slots=True)
class LetterPage:
    """One dead letter with its original bytes, and what may be done about it."""

    status: LetterStatus
    letter: DeadLetter | None
    value: bytes | None
    """The original bytes; None if they are gone."""
    why_not: str | None
    """The reason why it must not be retried; None if it may."""
    why_no_event: str | None
    """The reason why it cannot be retried by its event; None if it can."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The key and the headers, without those of an erased event."""
        if self.letter is None or self.status.erased:
            return []
        key = [] if self.letter.key is None else [("key", _text(self.letter.key))]
        return key + [(lines(one.key), _text(one.value)) for one in self.letter.headers]

    @property
    def text(self) -> str:
        """The beginning of the original as text; bytes that are not UTF-8 are escaped."""
        return _text((self.value or b"")[:TEXT_BYTES])

    @property
    def hex(self) -> str:
        """The beginning of the original in hexadecimal."""
        return hex_dump((self.value or b"")[:HEX_BYTES])

    @property
    def more_text(self) -> int:
        """The bytes that `text` leaves out."""
        return max(len(self.value or b"") - TEXT_BYTES, 0)

    @property
    def more_hex(self) -> int:
        """The bytes that `hex` leaves out."""
        return max(len(self.value or b"") - HEX_BYTES, 0)


@dataclass(frozen=True, slots=True)
class HandledLetters:
    """The result of a form: the number of letters that it retried or dropped, and why it left the others."""

    verb: str
    done: int
    left: Sequence[NotRetried]
    """The others, each with the reason why it was left as it is."""
    stopped: str = ""
    """The error that ended it early; empty if it came to its end."""

    @property
    def reasons(self) -> list[tuple[str, list[NotRetried]]]:
        """The letters that were left, by reason."""
        return by_reason(self.left)


@dataclass
class FormResults:
    """The results of the newest forms by number. Each has an address, so that a reload shows it and repeats nothing."""

    kept: OrderedDict[int, HandledLetters] = field(default_factory=OrderedDict)
    last: int = 0

    def add(self, handled: HandledLetters) -> int:
        """Keep a result, and return its number."""
        self.last += 1
        self.kept[self.last] = handled
        if len(self.kept) > MOST_RESULTS:
            self.kept.popitem(last=False)
        return self.last

    def get(self, number: int) -> HandledLetters:
        """Return a result. Raises MissingError if it is not kept."""
        if number not in self.kept:
            what = "the result of this form is not kept any longer."
            raise MissingError(what, "Each dead letter says what was done about it.")
        return self.kept[number]


def read_letters(settings: Settings, wanted: LetterFilter) -> list[LetterStatus]:
    """Return the dead letters that a filter selects, the newest events first."""
    with closing(require_clickhouse(settings).connect(readonly=True)) as client:
        return DeadLetterTable(client).select(wanted)


def read_page(settings: Settings, letter: str) -> LetterPage:
    """Return one dead letter. Raises MissingError if there is none of that id."""
    with closing(require_clickhouse(settings).connect(readonly=True)) as client:
        letters = DeadLetterTable(client)
        (status,) = letters_by_id(letters, settings.run, [letter])
        found, value = original_of(settings, letters, status)
    prefix = settings.topic_prefix
    return LetterPage(status, found, value, why_not(status, prefix, RETRYABLE), why_no_event(status, prefix))


def retry(settings: Settings, ids: Sequence[str], source: str | None) -> HandledLetters:
    """Retry those of the selected letters that may be, by their events if `source` is given.

    Raises ServiceError if Kafka or ClickHouse fails before any is retried.
    """
    stopped, results = "", list[RetryResult]()
    with closing(require_clickhouse(settings).connect()) as client:
        letters = DeadLetterTable(client)
        refused, wanted = split_retryable(_by_ids(settings, letters, ids), settings.topic_prefix, RETRYABLE, source)
        try:
            for result in retry_letters(settings, letters, wanted, source, operator_name()) if wanted else ():
                results.append(result)
        except ServiceError as error:
            if not results:
                raise
            stopped = str(error)
    known = {one.dead_letter_id for one in results}
    lost = [one for one in wanted if one.dead_letter_id not in known]
    unsure = [NotRetried(one.dead_letter_id, one.event_id, "it was not confirmed before the error") for one in lost]
    left = [*refused, *(one for one in results if isinstance(one, NotRetried)), *unsure]
    return HandledLetters("retried", sum(isinstance(one, LetterAction) for one in results), left, stopped)


def drop(settings: Settings, ids: Sequence[str], why: str) -> HandledLetters:
    """Drop those of the selected letters that are open."""
    with closing(require_clickhouse(settings).connect()) as client:
        letters = DeadLetterTable(client)
        left, done = drop_letters(settings, letters, _by_ids(settings, letters, ids), why, operator_name())
    return HandledLetters("dropped", len(done), left)


def read_selected(settings: Settings, ids: Sequence[str]) -> list[LetterStatus]:
    """Return the dead letters with these ids. Raises MissingError if one does not exist."""
    with closing(require_clickhouse(settings).connect(readonly=True)) as client:
        return _by_ids(settings, DeadLetterTable(client), ids)


def _by_ids(settings: Settings, letters: DeadLetterTable, ids: Sequence[str]) -> list[LetterStatus]:
    parts = (ids[start : start + ASKED_AT_ONCE] for start in range(0, len(ids), ASKED_AT_ONCE))
    return [one for part in parts for one in letters_by_id(letters, settings.run, part)]


def by_reason(left: Iterable[NotRetried]) -> list[tuple[str, list[NotRetried]]]:
    """Return letters by the reason why they are left as they are, the most frequent first."""
    found: dict[str, list[NotRetried]] = {}
    for one in left:
        found.setdefault(one.why, []).append(one)
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _text(value: bytes) -> str:
    return lines(value.decode("utf-8", "backslashreplace").replace("\r\n", "\n"))
