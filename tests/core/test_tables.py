"""The table of tables."""

from __future__ import annotations

from streams.core.tables import ANSWERS, KNOWN_EVENTS, SEEN_IMAGES, SETTLED, SPENT, WATCHES
from streams.core.topics import BY_NAME

TABLES = (KNOWN_EVENTS, SEEN_IMAGES, SETTLED, *ANSWERS.values(), *SPENT.values(), *WATCHES.values())


def test_no_two_tables_share_a_changelog() -> None:
    assert len({table.changelog("pre.") for table in TABLES}) == len(TABLES)


def test_a_table_is_written_by_the_messages_of_a_topic() -> None:
    assert {table.source for table in TABLES} <= set(BY_NAME)


def test_a_changelog_keeps_its_name_between_versions() -> None:
    assert SETTLED.changelog("pre.") == "escalon-pre.settle-settled-changelog"
