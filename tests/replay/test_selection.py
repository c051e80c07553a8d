"""The selection of events for a replay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import ConfigError
from streams.replay.selection import EventSelection, parse_offsets

AT = datetime(2026, 11, 1, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_without_conditions_every_event_is_taken() -> None:
    assert EventSelection().takes("a", AT)
    assert EventSelection().holds_position(3, 0)
    assert str(EventSelection()) == "all events"


def test_the_beginning_of_a_window_belongs_to_it_and_the_end_does_not() -> None:
    hour = EventSelection(since=AT, until=AT + timedelta(hours=1))
    times = [AT - SECOND, AT, AT + timedelta(hours=1) - SECOND, AT + timedelta(hours=1)]
    assert [hour.takes("a", time) for time in times] == [False, True, True, False]


def test_all_conditions_must_hold() -> None:
    both = EventSelection(since=AT, events=frozenset({"a"}))
    assert both.takes("a", AT)
    assert not both.takes("a", AT - SECOND)
    assert not both.takes("b", AT)
    assert not EventSelection(events=frozenset()).takes("a", AT)


def test_a_share_is_drawn_by_event_so_that_it_is_the_same_each_time() -> None:
    tenth = EventSelection(share=0.1)
    taken = {event_id for event_id in map(str, range(5000)) if tenth.takes(event_id, AT)}
    assert taken == {event_id for event_id in map(str, range(5000)) if tenth.takes(event_id, AT - SECOND)}
    assert 400 < len(taken) < 600
    assert not EventSelection(share=0.0).takes("a", AT)


def test_offsets_are_taken_from_the_first_up_to_but_without_the_last() -> None:
    some = EventSelection(offsets=parse_offsets(["0:5-7", "2:3-"]))
    assert [some.holds_position(0, offset) for offset in (4, 5, 6, 7)] == [False, True, True, False]
    assert some.holds_position(2, 10**12)
    assert not some.holds_position(2, 2)
    assert not some.holds_position(1, 5), "a partition that is not named is left out"


@pytest.mark.parametrize("text", ["", "0", "0:5", "a:1-2", "0:-1-2", "0:1-b", "0:1.5-2", "-1:0-1"])
def test_offsets_that_are_none_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="0:100-200"):
        parse_offsets([text])


def test_a_partition_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="once a partition"):
        parse_offsets(["0:1-2", "0:5-6"])


@given(
    st.builds(EventSelection, share=st.floats(0, 1), limit=st.none() | st.integers(1, 9), condition=st.text(max_size=5))
)
def test_a_selection_says_what_it_is(selection: EventSelection) -> None:
    assert str(selection)
    assert (f"the earliest {selection.limit}" in str(selection)) == (selection.limit is not None)
