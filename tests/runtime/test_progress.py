"""Nothing that is not done lies before what is committed, and nothing is delivered twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.progress import Progress


def delivered(progress: Progress[str], *offsets: int) -> None:
    """Messages that were fetched and delivered."""
    for offset in sorted(progress.fetched("p", offsets)):
        progress.delivered("p", offset)


def test_nothing_fetched_is_nothing_to_commit() -> None:
    assert Progress[str]().committable("p") is None


def test_a_message_still_in_flight_is_not_passed_over_even_alone_at_the_head() -> None:
    progress = Progress[str]()
    delivered(progress, 5, 6, 7)
    progress.done("p", 6)
    progress.done("p", 7)
    assert progress.committable("p") == 5
    progress.done("p", 5)
    assert progress.committable("p") == 8


def test_a_message_that_was_fetched_and_dropped_is_not_passed_over_and_is_named() -> None:
    progress = Progress[str]()
    assert progress.fetched("p", [5, 6, 7]) == {5, 6, 7}
    progress.delivered("p", 7)
    progress.done("p", 7)
    assert progress.committable("p") == 5
    assert progress.undelivered() == {"p": 5}


def test_what_is_fetched_again_is_delivered_once() -> None:
    progress = Progress[str]()
    delivered(progress, 5, 6)
    progress.done("p", 5)
    assert progress.fetched("p", [5, 6, 7]) == {7}
    assert progress.fetched("p", [5, 6, 7, 8]) == {7, 8}


def test_what_lies_before_the_first_message_was_never_fetched() -> None:
    progress = Progress[str]()
    delivered(progress, 8)
    progress.done("p", 8)
    assert progress.fetched("p", [5, 6]) == {5, 6}
    assert progress.committable("p") == 5
    assert progress.fetched("p", [7, 8]) == {7, 8}


def test_offsets_without_a_message_hold_nothing_up() -> None:
    progress = Progress[str]()
    delivered(progress, 5, 9)
    progress.done("p", 5)
    assert progress.committable("p") == 9
    progress.done("p", 9)
    assert progress.committable("p") == 10


def test_a_message_that_was_deleted_before_it_could_be_fetched_again_holds_nothing_up() -> None:
    progress = Progress[str]()
    progress.fetched("p", [5, 6, 7])
    assert progress.fetched("p", [7, 8]) == {7, 8}
    assert progress.undelivered() == {"p": 7}


def test_what_was_never_delivered_cannot_be_done() -> None:
    progress = Progress[str]()
    progress.done("p", 5)
    assert progress.committable("p") is None
    progress.fetched("p", [5])
    progress.done("p", 5)
    assert progress.committable("p") == 5


def test_what_reading_has_passed_without_a_message_holds_nothing_up() -> None:
    progress = Progress[str]()
    progress.passed("p", 3)
    assert progress.committable("p") == 3
    delivered(progress, 5)
    progress.passed("p", 9)
    assert (progress.committable("p"), progress.in_flight("p")) == (5, 1)
    progress.done("p", 5)
    assert progress.committable("p") == 9
    progress.passed("p", 4)  # as after going back to what is committed
    assert (progress.committable("p"), progress.fetched("p", [5, 9])) == (9, {9})


def test_a_partition_that_is_begun_again_has_its_offsets_once_more() -> None:
    progress = Progress[str]()
    delivered(progress, 0, 1)
    progress.forget("p")
    assert (progress.committable("p"), progress.in_flight("p")) == (None, 0)
    assert progress.fetched("p", [0, 1]) == {0, 1}


@given(st.sets(st.integers(0, 40), min_size=1), st.data())
def test_every_message_before_what_is_committed_is_done(offsets: set[int], data: st.DataObject) -> None:
    progress, done = Progress[str](), data.draw(st.sets(st.sampled_from(sorted(offsets))))
    delivered(progress, *sorted(offsets))
    for offset in data.draw(st.permutations(sorted(done))):
        progress.done("p", offset)
    committable = progress.committable("p")
    assert committable is not None
    assert {offset for offset in offsets if offset < committable} <= done
    assert committable in offsets - done or committable == max(offsets) + 1
