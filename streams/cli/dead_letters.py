"""The commands about what could not be read or done: dead-letters list, show, retry, drop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Annotated, Final

import typer

from streams.app.settings import Settings
from streams.audit.dead_letters.originals import GoneError
from streams.audit.dead_letters.republish import EVENTS, why_no_event
from streams.audit.dead_letters.retry import NotRetried, why_not
from streams.audit.dead_letters.table import STATES, DeadLetterTable, LetterAction, LetterFilter, LetterStatus, marked
from streams.cli.context import audit_database, clickhouse_of, located
from streams.cli.dead_letters_parts import originals_of, republish_of, retrier_of
from streams.cli.dead_letters_shown import show_letter, show_list, tell_dropped, tell_planned, tell_retried
from streams.cli.erase import operator
from streams.cli.events import JsonOption
from streams.cli.options import SinceOption
from streams.cli.times import moment
from streams.core.errors import ConfigError

AT_ONCE: Final = 100_000
"""Dead letters that one command takes on; the next one goes on with the rest."""
letters_app = typer.Typer(help="What could not be read or done: look at it, retry it, drop it.", no_args_is_help=True)
_ID: Final = re.compile(r"[0-9a-f]{32}")
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="As `escalon dead-letters list` shows them.")]
ReasonOption = Annotated[str | None, typer.Option(help="Only those with this reason, as invalid_json.")]
TopicOption = Annotated[str | None, typer.Option(help="Only those from this topic, as events.")]
UntilOption = Annotated[str | None, typer.Option(help="Only from before then, written as for --since.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    letters_app.command("list", epilog="Example: escalon dead-letters list --reason invalid_json --since 7d")(list_)
    letters_app.command(epilog="Example: escalon dead-letters show 0123456789abcdef0123456789abcdef")(show)
    letters_app.command(epilog="Example: escalon dead-letters retry --reason operator_error")(retry)
    letters_app.command(
        epilog='Example: escalon dead-letters drop 0123456789abcdef0123456789abcdef --reason "a test of ours"'
    )(drop)
    app.add_typer(letters_app, name="dead-letters")


def list_(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    state: Annotated[str | None, typer.Option(help=f"Only those that are {', '.join(STATES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=AT_ONCE, help="Show no more.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first, each with what became of it."""
    settings = located()
    if state is not None and state not in STATES:
        raise ConfigError(f"{state!r} is no state.", f"Use one of {', '.join(STATES)}.", "state")
    choice = _choice(settings, reason, topic, since, until, (state,) if state else STATES, limit + 1)
    with audit_database() as database, closing(database.connect(readonly=True)) as client:
        found = DeadLetterTable(client).chosen(choice)
    show_list(found[:limit], settings.topic_prefix, as_json, more=len(found) > limit)


def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="As `escalon dead-letters list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter whole: its place, key and headers, why it is one, and the original bytes.

    Bytes that are no text are shown in hexadecimal. With --json they are Base64, in full.
    """
    settings = located()
    with audit_database() as database, closing(database.connect(readonly=True)) as client:
        letters = DeadLetterTable(client)
        (one,) = _known(letters, settings, [letter])
        with originals_of(settings, letters) as originals:
            found = next(originals.find({letter}), None)
            try:
                value = None if found is None or one.erased else originals.whole(found)
            except GoneError:
                value = None
    show_letter(one, found, value, as_json)


def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Those to retry.")] = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    every: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also those that were retried before.")] = False,
    source: Annotated[
        str | None, typer.Option("--from", metavar="events", help="Send the event through all tiers again instead.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be retried, and publish nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish the original bytes again, after a fix, where they came from, under the same event id and time.

    Where that would make the same dead letter again, as after a worker was renamed, --from events publishes the event
    instead. An event that has ended meanwhile is left alone. docs/dead-letters.md says what holds when this is
    interrupted.
    """
    settings = located()
    states = ("open", "retried") if again else ("open",)
    chosen = [one is not None for one in (reason, topic, since, until)]
    if bool(ids) + every + any(chosen) != 1:
        remedy = "Give ids, or --reason, --topic, --since and --until, or --all."
        raise ConfigError("say which dead letters.", remedy, "retry")
    if source not in (None, EVENTS):
        raise ConfigError(f"retrying from {source!r} is not possible.", "Write --from events, or leave it out.", "from")
    with closing(clickhouse_of(settings).connect()) as client:
        letters = DeadLetterTable(client)
        choice = _choice(settings, reason, topic, since, until, states, AT_ONCE)
        found = _known(letters, settings, ids) if ids else letters.chosen(choice)
        refused, wanted = _sorted_out(found, settings.topic_prefix, states, source)
        if dry_run:
            tell_planned(refused, wanted, as_json)
            return
        with (
            originals_of(settings, letters, needs_kafka=True) as originals,
            republish_of(settings, originals, source) as of,
        ):
            retrier = retrier_of(settings, letters, originals, of)
            tell_retried([*refused], retrier.retry(one.dead_letter_id for one in wanted), as_json)


def drop(
    ids: IdsArgument,
    reason: Annotated[str, typer.Option(help="Why; it goes on the record.")],
    as_json: JsonOption = False,
) -> None:
    """End dead letters for good, on the record. Their bytes stay as long as the topic and the audit keep them."""
    settings = located()
    why = reason.strip()
    if not 0 < len(why) <= 1000:
        raise ConfigError("a reason has 1 to 1000 characters.", 'Write --reason "why".', "reason")
    with closing(clickhouse_of(settings).connect()) as client:
        letters = DeadLetterTable(client)
        found = _known(letters, settings, ids)
        refused = [
            NotRetried(one.dead_letter_id, one.event_id, f"it was {one.state} before") for one in found if _is_done(one)
        ]
        action = LetterAction(
            run=settings.run, acted_at=settings.now(), dead_letter_id="", event_id="",
            action="dropped", operator=operator(), why=why,
        )  # fmt: skip
        done = marked([one for one in found if not _is_done(one)], action)
        letters.record(done)
    tell_dropped(refused, done, as_json)


def _is_done(one: LetterStatus) -> bool:
    return one.state != "open"


def _choice(
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
    return None if text is None else moment(text, settings.now, key)


def _known(letters: DeadLetterTable, settings: Settings, ids: Sequence[str]) -> list[LetterStatus]:
    """The dead letters with these ids; raises ConfigError when one is not known."""
    wanted = tuple(dict.fromkeys(ids))
    wrong = [one for one in wanted if not _ID.fullmatch(one)]
    found = [] if wrong else letters.chosen(LetterFilter(run=settings.run, ids=wanted, limit=len(wanted)))
    missing = wrong or sorted(set(wanted) - {one.dead_letter_id for one in found})
    if missing:
        remedy = "See escalon dead-letters list; the audit is some seconds behind the topics."
        raise ConfigError(f"there is no dead letter {missing[0]!r}.", remedy, "ID")
    return found


def _sorted_out(
    found: Sequence[LetterStatus], prefix: str, states: Sequence[str], source: str | None
) -> tuple[list[NotRetried], list[LetterStatus]]:
    refused, wanted = [], []
    for one in found:
        why = why_not(one, prefix, states) or (why_no_event(one, prefix) if source else None)
        if why is None:
            wanted.append(one)
        else:
            refused.append(NotRetried(one.dead_letter_id, one.event_id, why))
    return refused, wanted
