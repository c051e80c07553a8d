"""escalon dead-letters list, show, retry, drop."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Annotated

import typer

from streams.app.operator_name import operator_name
from streams.app.settings import Settings
from streams.audit.dead_letters.handling import (
    MAX_LETTERS,
    checked_reason,
    drop_letters,
    letters_by_id,
    original_of,
    retry_letters,
    split_retryable,
)
from streams.audit.dead_letters.republish import EVENTS
from streams.audit.dead_letters.table import STATES, DeadLetterTable, LetterFilter
from streams.cli.audit_access import audit_database
from streams.cli.commands import new_app
from streams.cli.context import require_clickhouse, require_kafka, server_settings
from streams.cli.dead_letter_view import print_dropped, print_letter, print_list, print_planned, print_retried
from streams.cli.options import JsonLinesOption, SinceOption, UntilOption
from streams.cli.times import parse_time
from streams.core.errors import ConfigError

app = new_app("Look at messages that could not be processed, and retry or drop them.")
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID", help="Ids from `escalon dead-letters list`.")]
ReasonOption = Annotated[str | None, typer.Option(help="Only those with this reason, such as invalid_json.")]
TopicOption = Annotated[str | None, typer.Option(help="Only those from this topic, such as events.")]


@app.command("list", epilog="Example: escalon dead-letters list --reason invalid_json --since 7d")
def list_letters(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    state: Annotated[str | None, typer.Option(help=f"Only those in this state: {', '.join(STATES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LETTERS, help="The largest number to list.")] = 50,
    as_json: JsonLinesOption = False,
) -> None:
    """List dead letters, newest first, each with its present state."""
    settings = server_settings()
    if state is not None and state not in STATES:
        raise ConfigError(f"{state!r} is not a state.", f"Use one of {', '.join(STATES)}.", "state")
    selection = _filter(settings, reason, topic, since, until, (state,) if state else STATES, limit + 1)
    with audit_database() as database, closing(database.connect(readonly=True)) as client:
        found = DeadLetterTable(client).select(selection)
    print_list(found[:limit], settings.topic_prefix, as_json, more=len(found) > limit)


@app.command(epilog="Example: escalon dead-letters show 0123456789abcdef0123456789abcdef")
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="An id from `escalon dead-letters list`.")],
    as_json: JsonLinesOption = False,
) -> None:
    """Show one dead letter: its topic and offset, key, headers, reason and original bytes.

    Bytes that are not text are shown in hexadecimal; --json has them in full as Base64.
    """
    settings = server_settings()
    with audit_database() as database, closing(database.connect(readonly=True)) as client:
        letters = DeadLetterTable(client)
        (one,) = letters_by_id(letters, settings.run, [letter])
        found, value = original_of(settings, letters, one)
    print_letter(one, found, value, as_json)


@app.command(epilog="Example: escalon dead-letters retry --reason operator_error")
def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids from `escalon dead-letters list`.")] = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    every: Annotated[bool, typer.Option("--all", help="Retry all open ones.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Include those that were retried before.")] = False,
    source: Annotated[
        str | None, typer.Option("--from", metavar="events", help="Publish the event instead, through all tiers.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be retried; publish nothing.")] = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Publish the original bytes again to their topic, after a fix, with the same event id and time.

    Use --from events if that would only fail again, for example because a worker was renamed: it publishes the event
    instead. Events that have ended meanwhile are left alone. See docs/dead-letters.md, also about interruptions.
    """
    settings = server_settings()
    states = ("open", "retried") if again else ("open",)
    filtered = any(one is not None for one in (reason, topic, since, until))
    if bool(ids) + every + filtered != 1:
        remedy = "Give ids, or --reason, --topic, --since and --until, or --all."
        raise ConfigError("say which dead letters to retry.", remedy, "retry")
    if source not in (None, EVENTS):
        raise ConfigError(f"cannot retry from {source!r}.", "Write --from events, or leave it out.", "from")
    selection = _filter(settings, reason, topic, since, until, states, MAX_LETTERS)
    with closing(require_clickhouse(settings).connect()) as client:
        letters = DeadLetterTable(client)
        found = letters_by_id(letters, settings.run, ids) if ids else letters.select(selection)
        refused, wanted = split_retryable(found, settings.topic_prefix, states, source)
        if dry_run:
            print_planned(refused, wanted, as_json)
        else:
            require_kafka(settings)
            results = retry_letters(settings, letters, wanted, source, operator_name())
            print_retried(refused, results, as_json)


@app.command(epilog='Example: escalon dead-letters drop 0123456789abcdef0123456789abcdef --reason "a test message"')
def drop(
    ids: IdsArgument,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    as_json: JsonLinesOption = False,
) -> None:
    """Close dead letters for good, and record who did it and why.

    Their bytes stay as long as the topic and the audit keep them.
    """
    settings, why = server_settings(), checked_reason(reason)
    with closing(require_clickhouse(settings).connect()) as client:
        letters = DeadLetterTable(client)
        found = letters_by_id(letters, settings.run, ids)
        refused, done = drop_letters(settings, letters, found, why, operator_name())
    print_dropped(refused, done, as_json)


def _filter(
    settings: Settings,
    reason: str | None,
    topic: str | None,
    since: str | None,
    until: str | None,
    states: Sequence[str],
    limit: int,
) -> LetterFilter:
    return LetterFilter(
        run=settings.run,
        reason=reason,
        topic=None if topic is None else settings.topic_prefix + topic.removeprefix(settings.topic_prefix),
        since=_time(settings, since, "since"),
        until=_time(settings, until, "until"),
        states=tuple(states),
        limit=limit,
    )


def _time(settings: Settings, text: str | None, key: str) -> datetime | None:
    return None if text is None else parse_time(text, settings.now, key)
