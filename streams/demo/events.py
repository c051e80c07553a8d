"""The demo's events as one run publishes them: with ids of their own, and with times up to now."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

APART = timedelta(seconds=35)
"""Time between two events; all of them lie within the last hour."""


def write_events(directory: Path, mark: str, now: datetime) -> Path:
    """Write the packaged events with `-mark` behind each id, the last one at `now`; return the file.

    A broker that remembers earlier runs has settled their ids, so that each run needs new ones.
    """
    rows = [json.loads(line) for line in (directory / "events.jsonl").read_text("utf-8").splitlines()]
    target = directory / "published.jsonl"
    with target.open("w", encoding="utf-8") as file:
        for place, row in enumerate(rows, 1 - len(rows)):
            own = row | {"id": f"{row['id']}-{mark}", "time": (now + place * APART).isoformat()}
            file.write(json.dumps(own, ensure_ascii=False) + "\n")
    return target


def mark_of(now: datetime) -> str:
    """Return the seconds since 1970 in six letters and digits: another one for each run."""
    seconds, text = int(now.astimezone(UTC).timestamp()), ""
    while seconds:
        seconds, digit = divmod(seconds, 36)
        text = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + text
    return text


def stem_of(event_id: str) -> str:
    """Return the id in the packaged files."""
    return event_id.rpartition("-")[0]
