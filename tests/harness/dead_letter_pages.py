"""Dead letters of a real broker and audit, for tests of the pages that retry and drop them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx2

from streams.audit.query import Audit
from streams.core.errors import UnreadableError
from streams.core.messages import DeadLetter
from streams.ui.operator.frame import OperatorSite
from tests.harness.audit_world import World
from tests.harness.operator_pages import ORIGIN

BROKEN = b'{"text": "<b>\xff\x1b[2J'


def die(world: World, value: bytes = BROKEN, reason: str = "invalid_json") -> DeadLetter:
    """Publish a message that cannot be read, and record its dead letter."""
    before = sum(1 for _ in at(world, "events"))
    world.raw("events", value)
    letter = world.letters.letter(world.record("events", before), UnreadableError(reason, "no JSON <i>here"))
    world.write(letter)
    return letter


def at(world: World, topic: str) -> Iterator[Any]:
    """Yield the records of a topic."""
    with world.scan(world.kafka) as scan:
        yield from scan.read(world.prefix + topic, scan.marks(world.prefix + topic))


def actions(world: World) -> list[tuple[Any, ...]]:
    """Return the actions on dead letters, each with its operator and reason."""
    with closing(Audit(world.clickhouse)) as audit:
        asked = "SELECT action, operator, why FROM dead_letter_actions WHERE run = {run:String} ORDER BY acted_at"
        return [tuple(row) for row in audit.query(asked, {"run": world.run}).rows]


async def send(operator: httpx2.AsyncClient, site: OperatorSite, **form: str) -> str:
    """Send the form of the pages, and return the status and the page that follows, its white space as single blanks."""
    token = {"csrf": site.signer.form_token(site.signer.operator_token())}
    answer = await operator.post("/dead-letters", data=token | form, headers={"Origin": ORIGIN}, follow_redirects=True)
    return f"{answer.status_code} {' '.join(answer.text.split())}"
