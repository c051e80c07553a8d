"""A message is done when Kafka has its changes of a table; RocksDB notes how far the changelog is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streams.core.errors import ProcessError, UnreadableError
from streams.runtime.deliveries import Deliveries
from streams.runtime.partition import Partition
from tests.harness.handled_table import HeldChangelog, handled, open_table


def settled(deliveries: Deliveries) -> list[UnreadableError | None]:
    """A list that gets the message's end."""
    ends: list[UnreadableError | None] = []
    deliveries.when_settled(ends.append)
    return ends


def test_a_message_is_done_only_when_kafka_has_its_changes_and_they_do_not_wait_for_each_other(tmp_path: Path) -> None:
    changelog = HeldChangelog()
    table = open_table(tmp_path, changelog)
    with handled() as message:
        table[b"a"] = b"1"
        table.delete(b"b")
    assert [(one.partition, one.key, one.value) for one in changelog.changes] == [(0, b"a", b"1"), (0, b"b", None)]
    ends = settled(message)
    changelog.changes[1].confirm()
    assert ends == []
    changelog.changes[0].confirm()
    assert ends == [None]


def test_entries_belong_to_the_partition_of_the_message_that_wrote_them(tmp_path: Path) -> None:
    table = open_table(tmp_path, None, 0, 1)
    with handled(0):
        table[b"a"] = b"here"
    with handled(1):
        assert table.get(b"a") is None
        table[b"a"] = b"there"
        table[b"b"] = b"2"
        table.delete(b"b")
        assert (table.get(b"a"), table.get(b"b")) == (b"there", None)
    with handled(0):
        assert table.get(b"a") == b"here"
    assert sorted(table.items()) == [(b"a", b"here"), (b"a", b"there")]


def test_a_message_that_was_not_done_in_time_changes_the_changelog_only(tmp_path: Path) -> None:
    changelog = HeldChangelog()
    table = open_table(tmp_path, changelog)
    table.store.close([0])
    with handled():
        table[b"a"] = b"late"
        assert table.get(b"a") is None
    assert [one.value for one in changelog.changes] == [b"late"]


def test_a_change_is_superseded_by_a_later_one_of_its_key_and_partition(tmp_path: Path) -> None:
    changelog = HeldChangelog()
    table = open_table(tmp_path, changelog, 0, 1)
    with handled(0):
        table[b"a"] = b"old"
        table[b"a"] = b"new"
    with handled(1):
        table[b"a"] = b"elsewhere"
    assert [one.superseded() for one in changelog.changes] == [True, False, False]
    for one in changelog.changes:
        one.confirm()
    assert table._latest == {}, "nothing is kept of what Kafka has"


def test_how_far_a_changelog_is_known_is_noted_with_the_next_commit(tmp_path: Path) -> None:
    changelog = HeldChangelog()
    table, partition = open_table(tmp_path, changelog), Partition("verdicts", 0, 0)
    with handled(partition):
        table[b"a"] = b"1"
        table[b"b"] = b"2"
    changelog.changes[0].confirm(7)
    assert table.store.offset(0) is None
    table.save_offsets()
    assert table.store.offset(0) == 8


def test_a_change_confirmed_after_a_rebalance_does_not_say_how_far_the_table_is(tmp_path: Path) -> None:
    """Another process may have written between the two, and a recovery would leave out what it wrote."""
    changelog = HeldChangelog()
    table, before = open_table(tmp_path, changelog), Partition("verdicts", 0, 0)
    with handled(before):
        table[b"a"] = b"1"
        table[b"b"] = b"2"
    changelog.changes[0].confirm(7)
    before.owned = False
    changelog.changes[1].confirm(9)
    table.save_offsets()
    assert table.store.offset(0) is None


def test_a_lost_partition_is_recovered_from_the_beginning_of_its_changelog(tmp_path: Path) -> None:
    """Another process may have written before the last change that this one noted."""
    store = open_table(tmp_path, None, 0, 1).store
    for number in (0, 1):
        store.put(number, b"a", b"1")
        store.set_offset(number, 5)
    store.close([0, 7], lost=True)
    store.close([1])
    for number in (0, 1):
        store.open(number)
    assert (store.offset(0), store.offset(1), store.get(0, b"a")) == (None, 5, b"1")


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
def test_a_change_over_its_changelogs_limit_holds_nothing_up_and_is_logged(
    later: bool, at_once: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changelog = HeldChangelog(limit=10 if at_once else 1_000_000)
    table = open_table(tmp_path, changelog)
    with handled() as message:
        table[b"a"] = b"1" * 5000
        if later:
            table[b"a"] = b"2"
        assert table.get(b"a") == (b"2" if later else b"1" * 5000)
    ends = settled(message)
    if not at_once:
        changelog.changes[0].refuse()
    if later:
        assert ends == []
        changelog.changes[-1].confirm()
    assert (ends, table._latest) == ([None], {})
    assert "raise its max.message.bytes" in caplog.text


def test_what_is_derived_from_a_table_is_forgotten_when_partitions_come_or_go(tmp_path: Path) -> None:
    table, forgotten = open_table(tmp_path), list[str]()
    calls: list[Callable[[], None]] = [lambda: forgotten.append("one"), lambda: forgotten.append("other")]
    for call in calls:
        table.on_recover(call)
    table.recovered()
    assert forgotten == ["one", "other"]


def test_a_change_reaches_the_changelog_although_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changelog = HeldChangelog()
    table = open_table(tmp_path, changelog)

    def full(*_: object) -> None:
        raise ProcessError("The table answers cannot be written (No space left on device).")

    monkeypatch.setattr(table.store, "put", full)
    with handled(), pytest.raises(ProcessError):
        table[b"paid"] = b"answer"
    assert [(one.key, one.value) for one in changelog.changes] == [(b"paid", b"answer")]
