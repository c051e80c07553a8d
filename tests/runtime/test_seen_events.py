"""Known events of LISTEN: redeliveries pass, another event under a known id does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streams.core.errors import UnreadableError
from streams.runtime.seen_events import KnownEvents
from streams.runtime.table import Table
from tests.builders import event
from tests.harness.handled_table import handled, open_table

FIRST = replace(event().origin, event_id="row-7", content_digest="a" * 32)
AGAIN, OTHER = replace(FIRST, offset=90), replace(FIRST, offset=91, content_digest="b" * 32)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return open_table(tmp_path)


def test_the_same_event_again_passes_and_another_one_is_refused_with_the_place_of_the_first(table: Table) -> None:
    with handled():
        known = KnownEvents(table)
        known.check(FIRST)
        known.check(AGAIN)
        with pytest.raises(UnreadableError, match=f"events {FIRST.partition}/{FIRST.offset}") as caught:
            known.check(OTHER)
        assert caught.value.reason == "id_conflict"
        known.check(AGAIN)


def test_a_replay_knows_nothing_of_live_events(table: Table) -> None:
    with handled():
        known = KnownEvents(table)
        known.check(FIRST)
        known.check(replace(OTHER, run="replay-1"))


@pytest.mark.parametrize("times", [1, 2])
def test_an_event_that_becomes_a_dead_letter_leaves_its_id_to_the_corrected_one(times: int, table: Table) -> None:
    with handled() as deliveries:
        known = KnownEvents(table)
        for _ in range(times):  # delivered again after a crash
            known.check(FIRST)
        deliveries.withdraw()
        known.check(OTHER)


def test_a_redelivery_that_becomes_a_dead_letter_does_not_take_the_id_from_the_first(table: Table) -> None:
    known = KnownEvents(table)
    with handled():
        known.check(FIRST)
    with handled() as deliveries:
        known.check(AGAIN)
        deliveries.withdraw()
        with pytest.raises(UnreadableError):
            known.check(OTHER)
