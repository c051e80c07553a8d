"""escalon erase."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from streams.adapters.blobs import BlobStore
from streams.adapters.codec_factory import codec_for
from streams.app.operator_name import operator_name
from streams.app.settings import Settings
from streams.audit.erasure import Eraser, ErasureScope
from streams.audit.erasure_tables import TierTables
from streams.cli.commands import new_app
from streams.cli.console import out, print_json, table
from streams.cli.context import require_clickhouse, require_kafka, server_settings
from streams.cli.options import JsonOption
from streams.core.errors import ConfigError

app = new_app()


@app.command(epilog="Example: escalon erase --subject customer-77 --dry-run")
def erase(
    subject: Annotated[
        str | None, typer.Option(help="The person the events are about, as producers name them.")
    ] = None,
    event_id: Annotated[list[str] | None, typer.Option(help="The event with this id; may be repeated.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be erased; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase the contents of events in all runs: in the audit, the tables of the tiers and the blobs.

    Counts and costs stay. Topics cannot be edited; docs/privacy.md says how long they keep the contents.
    """
    named, ids = (subject or "").strip(), event_id or []
    if bool(named) == bool(ids) or not all(ids):
        raise ConfigError("say which events.", "Give either --subject NAME or --event-id ID.", "subject")
    settings = server_settings()
    eraser = _eraser(settings)
    found = eraser.find(eraser.events_of(named), "subject") if named else eraser.find(ids, "events")
    if not (any(found.rows.values()) or found.entries):
        remedy = "Check how the producer names it, and that the event has ended; see docs/privacy.md."
        raise ConfigError("there is no such event.", remedy, "subject" if named else "event-id")
    if dry_run or not as_json:
        _print_counts(found, as_json, "would be erased" if dry_run else "to erase")
    if dry_run:
        return
    _confirm(found, yes)
    at, who = settings.now(), operator_name()
    erasure_id = eraser.erase(found, who, at)
    if as_json:
        print_json({"erasure_id": erasure_id, "operator": who, "erased_at": at, **_counts(found)})
        return
    out.print(f"Erased by {who} at {at.isoformat(timespec='seconds')}; erasure id {erasure_id}.")
    _advise(settings, found)


def _eraser(settings: Settings) -> Eraser:
    tables = TierTables(
        kafka=require_kafka(settings), prefix=settings.topic_prefix, codec=codec_for(settings.schema_registry)
    )
    return Eraser(clickhouse=require_clickhouse(settings), tables=tables, blobs=BlobStore(settings.blobs))


def _counts(found: ErasureScope) -> dict[str, int]:
    rows = {name.removesuffix("_rows"): count for name, count in found.bodies.items()}
    return {
        "events": len(found.event_ids),
        **rows,
        "answers": found.entries_in("answers"),
        "settled": found.entries_in("settled"),
        "images": found.entries_in("images-seen"),
        "blobs": len(found.blobs),
    }


def _print_counts(found: ErasureScope, as_json: bool, title: str) -> None:
    if as_json:
        print_json({"dry_run": True, **_counts(found)})
    else:
        out.print(table(["what", "how many"], list(_counts(found).items()), title))


def _confirm(found: ErasureScope, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        what = "standard input is not a terminal, so erasing cannot be confirmed."
        raise ConfigError(what, "Give --yes, or --dry-run to look first.", "yes")
    typer.confirm(f"Erase the contents of {len(found.event_ids)} events? This cannot be undone.", abort=True)


def _advise(settings: Settings, found: ErasureScope) -> None:
    """Print what is left to do."""
    if found.tiers:
        out.print(f"Restart {', '.join(found.tiers)}: running processes keep a copy of their tables.")
    replays = settings.data_dir / "replays"
    if replays.is_dir() and any(replays.iterdir()):
        out.print(f"Replays keep their own copies of answers; delete finished replays in {replays}.", soft_wrap=True)
    out.print("Topics keep the contents until their retention ends. Backups are yours to erase.")
