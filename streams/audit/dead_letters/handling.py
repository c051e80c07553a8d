"""Select dead letters, and retry or drop them: the same checks for the commands and for the pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from streams.app.settings import Settings
from streams.audit.dead_letters.originals import GoneError
from streams.audit.dead_letters.republish import why_no_event
from streams.audit.dead_letters.retry import NotRetried, RetryResult, why_not
from streams.audit.dead_letters.services import originals_of, republish_of, retrier_of
from streams.audit.dead_letters.table import DeadLetterTable, LetterAction, LetterFilter, LetterStatus, actions_for
from streams.core.errors import ConfigError, MissingError
from streams.core.messages import DeadLetter

MAX_LETTERS: Final = 100_000
"""The most dead letters that one command handles; the next command handles the rest."""
REASON_CHARACTERS: Final = 1000
"""The longest reason of a drop."""
_ID: Final = re.compile(r"[0-9a-f]{32}")


def letters_by_id(letters: DeadLetterTable, run: str, ids: Sequence[str]) -> list[LetterStatus]:
    """Return the dead letters with these ids. Raises MissingError if one does not exist."""
    wanted = tuple(dict.fromkeys(ids))
    wrong = [one for one in wanted if not _ID.fullmatch(one)]
    found = [] if wrong else letters.select(LetterFilter(run=run, ids=wanted, limit=len(wanted)))
    missing = wrong or sorted(set(wanted) - {one.dead_letter_id for one in found})
    if missing:
        remedy = "See `escalon dead-letters list`; the audit is a few seconds behind the topics."
        raise MissingError(f"there is no dead letter {missing[0]!r}.", remedy, "ID")
    return found


def original_of(
    settings: Settings, letters: DeadLetterTable, one: LetterStatus
) -> tuple[DeadLetter | None, bytes | None]:
    """Return a dead letter with its key and headers, and its original bytes; None for what no longer exists."""
    with originals_of(settings, letters) as originals:
        found = next(originals.find({one.dead_letter_id}), None)
        try:
            return found, None if found is None or one.erased else originals.whole(found)
        except GoneError:
            return found, None


def split_retryable(
    found: Sequence[LetterStatus], prefix: str, states: Sequence[str], source: str | None
) -> tuple[list[NotRetried], list[LetterStatus]]:
    """Return those that must not be retried, each with the reason, and those that may."""
    refused, wanted = [], []
    for one in found:
        why = why_not(one, prefix, states) or (why_no_event(one, prefix) if source else None)
        if why is None:
            wanted.append(one)
        else:
            refused.append(NotRetried(one.dead_letter_id, one.event_id, why))
    return refused, wanted


def retry_letters(
    settings: Settings, letters: DeadLetterTable, wanted: Sequence[LetterStatus], source: str | None, operator: str
) -> Iterator[RetryResult]:
    """Yield the result for each letter, published again and recorded, by its event if `source` is given.

    Raises ServiceError when Kafka or ClickHouse fails; the results yielded before are final.
    """
    with (
        originals_of(settings, letters, needs_kafka=True) as originals,
        republish_of(settings, originals, source) as republish,
    ):
        retrier = retrier_of(settings, letters, originals, republish, operator)
        yield from retrier.retry(one.dead_letter_id for one in wanted)


def checked_reason(text: str) -> str:
    """Return the reason of a drop. Raises ConfigError without one, or for one that is too long."""
    if not 0 < len(why := text.strip()) <= REASON_CHARACTERS:
        what = f"a reason must have 1 to {REASON_CHARACTERS} characters."
        raise ConfigError(what, 'Write --reason "why".', "reason")
    return why


def split_open(found: Sequence[LetterStatus]) -> tuple[list[NotRetried], list[LetterStatus]]:
    """Return those that must not be dropped, each with the reason, and those that may."""
    closed = [
        NotRetried(one.dead_letter_id, one.event_id, f"it was already {one.state}")
        for one in found
        if one.state != "open"
    ]
    return closed, [one for one in found if one.state == "open"]


def drop_letters(
    settings: Settings, letters: DeadLetterTable, found: Sequence[LetterStatus], why: str, operator: str
) -> tuple[list[NotRetried], list[LetterAction]]:
    """Drop the open ones. Return those that were left as they are, and the actions."""
    closed, wanted = split_open(found)
    action = LetterAction(
        run=settings.run, acted_at=settings.now(), dead_letter_id="", event_id="",
        action="dropped", operator=operator, why=why,
    )  # fmt: skip
    done = actions_for(wanted, action)
    letters.record(done)
    return closed, done
