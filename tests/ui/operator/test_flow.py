"""The flow: the rows of its query as ways, in a picture and in a sentence."""

from __future__ import annotations

from typing import Any

from streams.ui.operator.flow import flow_counts, flow_diagrams, flow_sentence, way_of


def row(events: int, action: str, worker: str = "", reason: str = "", reasoner: str = "", state: str = "") -> Any:
    return {
        "events": events, "action": action, "worker": worker, "reason": reason, "reasoner": reasoner, "state": state,
    }  # fmt: skip


ROWS = [
    row(60, "work", "answer", state="answered"),
    row(20, "ignore", state="ignored"),
    row(8, "work", "answer", "unsure", "think", "answered"),
    row(5, "duplicate", state="duplicate"),
    row(4, "reason", "", "routed", "think", "answered"),
    row(2, "work", "answer", "refused"),
    row(1, "work", "answer", "failed", "think", "failed"),
]


def test_a_way_goes_through_every_column_until_it_ends() -> None:
    for one in ROWS:
        stops, events = way_of(one)
        assert events == one["events"]
        assert [stop.column for stop in stops] == list(range(len(stops)))
        assert all(stop.words for stop in stops)


def test_the_counts_cover_every_event_once() -> None:
    counts = flow_counts(ROWS)
    assert (counts.by_worker, counts.by_reasoner, counts.escalated, counts.waiting) == (60, 12, 15, 2)
    ended = counts.ignored + counts.duplicates + counts.by_worker + counts.by_reasoner + counts.failed
    assert ended + counts.waiting == counts.events == 100


def test_the_sentence_names_what_happened_and_nothing_else() -> None:
    assert flow_sentence(flow_counts(ROWS)).startswith("Of 100 events, 20 were irrelevant, 5 were")
    assert flow_sentence(flow_counts([ROWS[0]])) == "Of 60 events, 60 were answered by workers."
    assert flow_sentence(flow_counts([])) == "No event in this time."


def test_the_picture_says_what_it_shows_and_escapes_names() -> None:
    drawn = str(
        flow_diagrams([row(3, "work", "<b>", "refused", "think", "answered"), *ROWS], "Of 103 events, some.")[0]
    )
    assert 'role="img"' in drawn
    assert "Of 103 events, some." in drawn
    assert "<b>" not in drawn
    assert "&lt;b&gt;" in drawn


def test_the_picture_of_nothing_is_empty() -> None:
    assert not any("<rect" in one for one in flow_diagrams([], "No event in this time."))
