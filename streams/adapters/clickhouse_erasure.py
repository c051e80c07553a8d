"""Erasure of content in ClickHouse, by mutations, which reach every part, also rows that were replaced.

Counts, costs, ids and times stay. A mutation rewrites the parts, and ClickHouse drops the old ones some minutes later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from streams.adapters.clickhouse_connection import ClickHouseClient

ERASED = "erased"
"""The value of the column `redaction` in an erased row."""
BATCH = 500
"""Event ids in one statement."""
# Reasons begin with one of our words; the rest may quote a person or a model.
_KIND = "extract({}, '^(?:routed|refused|unsure|invalid|failed|explored|reasoner (?:refused|invalid|failed))')"
_STAMP = f"redaction = '{ERASED}'"
# A verdict in one word is a grade, and stays, as does a choice of a panel's rubric; other words may name a person.
_WORD = "(panel != '' OR match(verdict, '^[A-Za-z0-9_.+-]{0,24}$'))"
BLANKS: dict[str, tuple[str, ...]] = {
    "labels_rows": ("label = ''",),
    "judgements_rows": ("comment = ''", f"verdict = if({_WORD}, verdict, '')"),
    "dead_letters_rows": (
        "key = NULL", "headers = []", "payload = ''", "payload_sha256 = ''", "reference = NULL", "detail = ''", _STAMP,
    ),
    "calls_rows": (
        "system_prompt = ''", "prompt = ''", "response = NULL", "refusal_reason = NULL", "error = NULL",
        f"decision_reason = {_KIND.format('decision_reason')}", "data_subject = NULL", _STAMP,
    ),
    "outcomes_rows": (
        "answer = NULL", f"reasons = arrayMap(one -> {_KIND.format('one')}, reasons)", "data_subject = NULL", _STAMP,
    ),
    "verdicts_rows": ("text = ''", "data = NULL", "image = NULL", "data_subject = NULL", _STAMP),
}  # fmt: skip
"""By table, the assignments that erase its columns. Tables by which a person's events are found come last, so that an
interrupted erasure still finds the rest."""
_HELD = {"labels_rows": "label != ''", "judgements_rows": f"(comment != '' OR NOT {_WORD})"}
# A dead letter may have no verdict, so an image's hash is searched for in its payload, whether JSON or Avro.
_BLOBS = """
SELECT DISTINCT blob FROM
(
    SELECT event_id, assumeNotNull(image) AS blob FROM verdicts_rows WHERE image IS NOT NULL
    UNION ALL SELECT event_id, assumeNotNull(reference) AS blob FROM dead_letters_rows WHERE reference IS NOT NULL
    UNION ALL SELECT event_id, arrayJoin(extractAll(payload, '[0-9a-f]{64}')) AS blob FROM dead_letters_rows
)
WHERE """
_SHOWN = f"{_BLOBS} event_id IN {{ids:Array(String)}}"
_USED = f"{_BLOBS} blob IN {{blobs:Array(String)}} AND event_id NOT IN {{ids:Array(String)}}"
_DISTRIBUTED = re.compile(r"Distributed\('(?P<cluster>[^']+)', '(?P<database>[^']*)', '(?P<table>[^']+)'")


def held(table: str) -> str:
    """Return the condition under which a row still has content."""
    return _HELD.get(table, f"(redaction IS NULL OR redaction != '{ERASED}')")


def blank(client: ClickHouseClient, table: str, event_ids: Iterable[str]) -> None:
    """Erase the content of all rows about some events; return when every part is rewritten."""
    target = place_of(client, table)
    for some in batched(sorted(set(event_ids)), BATCH):
        client.command(
            f"ALTER TABLE {target} UPDATE {', '.join(BLANKS[table])}"
            f" WHERE event_id IN {{ids:Array(String)}} AND {held(table)}",
            parameters={"ids": list(some)},
            settings={"mutations_sync": 2},
        )


def place_of(client: ClickHouseClient, table: str) -> str:
    """Return the table that ALTER must name: on a cluster, the local table behind the Distributed one."""
    engine = client.command(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
        parameters={"name": table},
    )
    return behind(table, str(engine))


def behind(table: str, engine: str) -> str:
    found = _DISTRIBUTED.match(engine)
    return f"{found['database']}.{found['table']} ON CLUSTER '{found['cluster']}'" if found else table


def own_blobs(client: ClickHouseClient, event_ids: Iterable[str]) -> tuple[str, ...]:
    """Return the images and large originals that no other event refers to."""
    ids = sorted(set(event_ids))
    found = {
        row[0]
        for some in batched(ids, BATCH)
        for row in client.query(_SHOWN, parameters={"ids": list(some)}).result_rows
    }
    if not found:
        return ()
    used = client.query(_USED, parameters={"blobs": sorted(found), "ids": ids}).result_rows
    return tuple(sorted(found - {row[0] for row in used}))


def sweep(client: ClickHouseClient, delete: Callable[[str], None]) -> dict[str, int]:
    """Erase content of erased events that has come back; return the number of events, by table.

    Their blobs are deleted first, because only the rows refer to them.
    """
    back: dict[str, list[str]] = {}
    for table in BLANKS:
        found = client.query(
            f"SELECT DISTINCT event_id FROM {table}"  # noqa: S608 - our own names
            f" WHERE event_id GLOBAL IN (SELECT event_id FROM erased_events_rows) AND {held(table)}"
        ).result_rows
        if found:
            back[table] = [row[0] for row in found]
    for blob in own_blobs(client, (one for ids in back.values() for one in ids)):
        delete(blob)
    for table, ids in back.items():
        blank(client, table, ids)
    return {table: len(ids) for table, ids in back.items()}


def batched(items: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    rest = iter(items)
    while some := tuple(islice(rest, size)):
        yield some
