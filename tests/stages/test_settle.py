"""SETTLE: the first result of an event wins."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.codec import Codec
from streams.core.errors import UnreadableError
from streams.core.messages import Outcome, Result
from streams.stages.settle import Settled, check_same_event, settle, settles
from tests.harness.stages import START, event

RESULT = Result(
    origin=event().origin,
    state="answered",
    tier="reasoner",
    handler="resolve",
    intent="order",
    answer='"yes"',
    reasons=("refused: policy",),
    duplicate_of=None,
    call_id="c1",
    pipeline="p",
    decided_at=START,
)


def settled_by(deliveries: list[tuple[int, int]]) -> list[bytes]:
    """The outcomes that deliveries of results at these positions write, as the tier's loop does it."""
    prior: Settled | None = None
    written = []
    for number, (partition, offset) in enumerate(deliveries):
        if not settles(prior, partition, offset):
            continue
        result = dataclasses.replace(RESULT, answer=f'"{partition}/{offset}"')
        now = START + timedelta(seconds=number)
        outcome = prior.outcome if prior else Codec().encode(settle(result, now))
        prior = Settled(partition, offset, outcome)
        written.append(outcome)
    return written


def test_an_outcome_says_what_the_result_said() -> None:
    outcome = settle(RESULT, START + timedelta(seconds=1))
    fields = {field.name for field in dataclasses.fields(Outcome)} - {"settled_at"}
    assert {name: getattr(outcome, name) for name in fields} == {name: getattr(RESULT, name) for name in fields}
    assert outcome.settled_at == START + timedelta(seconds=1)


def test_the_first_result_wins_and_another_is_dropped() -> None:
    assert settles(None, 0, 5)
    assert not settles(Settled(0, 5, b""), 0, 6)
    assert not settles(Settled(0, 5, b""), 1, 5)


def test_the_winning_result_delivered_again_writes_the_same_bytes() -> None:
    first, again = settled_by([(0, 5), (0, 6), (0, 5)])
    assert first == again
    assert Codec().decode(Outcome, first).settled_at == START


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=10))
def test_an_event_has_one_outcome_however_its_results_are_delivered(deliveries: list[tuple[int, int]]) -> None:
    written = settled_by(deliveries)
    assert len(set(written)) == 1
    assert len(written) == deliveries.count(deliveries[0])


def about(content: str) -> Result:
    return dataclasses.replace(RESULT, origin=dataclasses.replace(RESULT.origin, content_digest=content))


def test_the_result_of_another_event_under_the_same_id_is_not_dropped_without_a_word() -> None:
    with pytest.raises(UnreadableError, match="says something else") as caught:
        check_same_event(about("b"), settle(about("a"), START))
    assert caught.value.reason == "id_conflict"


@pytest.mark.parametrize(("mine", "settled"), [("a", "a"), ("", "a"), ("a", ""), ("", "")])
def test_another_result_of_the_same_event_and_one_without_a_digest_do_not_conflict(mine: str, settled: str) -> None:
    check_same_event(about(mine), settle(about(settled), START))
    check_same_event(about(mine), None)
