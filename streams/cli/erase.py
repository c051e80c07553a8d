"""The command that erases what people said: erase."""

from __future__ import annotations

import getpass
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from streams.adapters.blobs import BlobStore
from streams.adapters.registry_config import codec_for
from streams.app.settings import Settings
from streams.audit.erasure import Eraser, ErasureScope
from streams.audit.erasure_tables import TierTables
from streams.cli.console import out, print_json, table
from streams.cli.context import clickhouse_of, kafka_of, located
from streams.cli.events import JsonOption
from streams.core.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog="Example: escalon erase --subject customer-77 --dry-run")(erase)


def erase(
    subject: Annotated[str | None, typer.Option(help="Whom the events are about, as producers name them.")] = None,
    event_id: Annotated[list[str] | None, typer.Option(help="An event; may be given several times.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase what was said in some events, in all runs: audit, tables of the tiers, blobs. Counts and costs stay.

    Topics cannot be edited: they keep what they hold as long as docs/privacy.md says.
    """
    named, ids = (subject or "").strip(), event_id or []
    if bool(named) == bool(ids) or not all(ids):
        raise ConfigError("say either whom or which events.", "Give --subject NAME, or --event-id ID.", "subject")
    settings = located()
    eraser = _eraser(settings)
    found = eraser.find(eraser.events_of(named), "subject") if named else eraser.find(ids, "events")
    if not (any(found.rows.values()) or found.entries):
        remedy = "Check how the producer names it, and that it has ended; see docs/privacy.md."
        raise ConfigError("nothing is known of such an event.", remedy, "subject" if named else "event-id")
    if dry_run or not as_json:
        _tell(found, as_json, "would be erased" if dry_run else "to erase")
    if dry_run:
        return
    _agreed(found, yes)
    at, who = settings.now(), operator()
    erasure_id = eraser.erase(found, who, at)
    if as_json:
        print_json({"erasure_id": erasure_id, "operator": who, "erased_at": at, **_counts(found)})
        return
    out.print(f"Erased by {who} at {at.isoformat(timespec='seconds')}; the audit has it as {erasure_id}.")
    _advise(settings, found)


def _eraser(settings: Settings) -> Eraser:
    tables = TierTables(
        kafka=kafka_of(settings), prefix=settings.topic_prefix, codec=codec_for(settings.schema_registry)
    )
    return Eraser(clickhouse=clickhouse_of(settings), tables=tables, blobs=BlobStore(settings.blobs))


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


def _tell(found: ErasureScope, as_json: bool, title: str) -> None:
    if as_json:
        print_json({"dry_run": True, **_counts(found)})
    else:
        out.print(table(["what", "how many"], list(_counts(found).items()), title))


def _agreed(found: ErasureScope, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked whether to erase.", "Give --yes, or --dry-run to look first.", "yes")
    typer.confirm(f"Erase what was said in {len(found.event_ids)} events? It cannot be undone.", abort=True)


def operator() -> str:
    """Who runs this command, as the machine knows."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # no such user, as in some containers
        return f"unknown@{socket.gethostname()}"


def _advise(settings: Settings, found: ErasureScope) -> None:
    """What is left to do, and what cannot be done."""
    if found.tiers:
        out.print(f"Restart {', '.join(found.tiers)}: running processes keep a copy of their tables until then.")
    replays = _replays(settings.data_dir / "replays")
    if replays:
        out.print(f"Replays keep copies of answers of their own; delete those done with, in {replays}.", soft_wrap=True)
    out.print("Topics keep what they hold until their retention ends. Backups are yours to look after.")


def _replays(directory: Path) -> Path | None:
    return directory if directory.is_dir() and any(directory.iterdir()) else None
