"""A day's money is kept to by several processes, and what it did not reach for goes on the next day."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from streams.adapters.codec import Codec
from streams.adapters.topic_reader import TopicReader
from streams.core.budget import day_of, share
from streams.core.messages import Call, Deferred, Escalation, Outcome
from streams.embedded.local_pipeline import RunningPipeline
from streams.pipeline.load import Pipeline, load_pipeline
from tests.harness.fakes.messages_outcomes import Answer, Slow
from tests.harness.journey import Journey, running_journey

pytestmark = pytest.mark.embedded

PIPELINES = Path(__file__).parent / "budget"
PRICE = Decimal("0.02")
"""Of each call: 1,000 tokens at 10 dollars a million, and 100 at 100 dollars."""
PARTITIONS, EVENTS = 8, 60
WAIT_SECONDS = 60.0
DAY_SECONDS = 86_400
REASONER = "claude-opus-5-5"
CODEC = Codec()
M = TypeVar("M")


def answer(body: Mapping[str, Any]) -> Slow:
    """Every model's answer takes a while, so that calls overlap, and has a known price."""
    said: dict[str, Any] = {"answer": {"thoughts": "all considered", "reply": "settled"}}
    if body["model"] != REASONER:
        said = {"answer": {"reply": "perhaps"}, "confidence": 0.3}
    tokens: dict[str, Any] = {
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
    }
    return Slow(0.1, replace(Answer(json.dumps(said)), **tokens))


@contextmanager
def running(file: str, broker_home: Path | None, data: Path, partitions: int) -> Iterator[tuple[Journey, Pipeline]]:
    """A pipeline of this test's folder, with models at a known price."""
    path = PIPELINES / file
    with running_journey(path, data, broker_home, answer, {"ESCALON_PARTITIONS": str(partitions)}) as journey:
        yield journey, load_pipeline(path)


def turn_to_day(number: int, of: RunningPipeline) -> None:
    """Start both reason processes and the resume process again, their clocks that many days ahead."""
    old = [of.processes[name] for name in ("resume", "reason", "reason-1")]
    of.supervisor.stop(*old)
    assert [child.process.returncode for child in old] == [0, 0, 0], "they stop in good order"
    later = {"ESCALON_CLOCK_OFFSET": str(number * DAY_SECONDS)}
    for instance in (None, "1"):
        of.wait_ready(of.start("reason", instance, later), "reason", instance)
    of.start("resume", environment=later)  # last, for what a rebalance does to calls in flight is another question


def read(of: RunningPipeline, topic: str, kind: type[M]) -> list[tuple[int, M]]:
    """Every message there is now on a topic, with its partition."""
    tail = TopicReader(of.kafka, [topic])
    try:
        return [(record.partition, CODEC.decode(kind, record.value or b"")) for record in tail.to_end()]
    finally:
        tail.close()


def once(of: RunningPipeline, there: Callable[[], bool]) -> None:
    """Return as soon as `there` says yes."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not there():
        of.supervisor.check()
        assert time.monotonic() < deadline, f"it did not come to that within {WAIT_SECONDS:g} s"
        time.sleep(0.2)


def outcomes_and_waiting(of: RunningPipeline, day: int) -> tuple[list[Outcome], list[Deferred]]:
    """The outcomes so far, and what was deferred on a day, once every event is in one of the two."""
    settled, waiting = list[Outcome](), list[Deferred]()

    def all_there() -> bool:
        waiting[:] = [one for _, one in read(of, "deferred-budget", Deferred) if one.task.budget_deferrals == day]
        settled[:] = [one for _, one in read(of, "outcomes", Outcome)]
        return len(settled) + len(waiting) >= EVENTS

    once(of, all_there)
    return settled, waiting


def spent(of: RunningPipeline, asked: int) -> dict[tuple[str, int], Decimal]:
    """The cost of all calls by day and partition, once there are as many as the model was asked."""
    calls: dict[str, Call] = {}

    def all_there() -> bool:
        calls.update(reasoned(read(of, "calls", Call)))
        return len(calls) >= asked

    once(of, all_there)
    partition = {task.event.origin.event_id: number for number, task in read(of, "escalations", Escalation)}
    money: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for call in calls.values():
        assert call.cost_usd == PRICE
        money[day_of(call.started_at), partition[call.origin.event_id]] += call.cost_usd
    return money


def reasoned(records: list[tuple[int, Call]]) -> dict[str, Call]:
    """The reasoner's calls by id; one that is delivered twice is one call."""
    return {call.call_id: call for _, call in records if call.tier == "reasoner" and not call.cache_hit}


def test_two_processes_keep_to_each_days_money_and_what_waits_goes_on_the_next_day(
    kafka_home: Path, tmp_path: Path
) -> None:
    """On Apache Kafka, for the in-memory broker may not let two members of a group back in at once."""
    with running("defer.toml", kafka_home, tmp_path, PARTITIONS) as (journey, pipeline):
        here, reasoner = journey.running, pipeline.reasoners["resolve"]
        here.wait_ready(here.start("reason", "1"), "reason", "1")
        with journey.publisher() as publisher:
            for number in range(EVENTS):
                publisher.publish(f"please think about case {number}", id=f"case-{number}")
        settled, waiting = outcomes_and_waiting(here, 1)
        assert waiting, "the money was meant to run out"
        day = 1
        while waiting:
            assert {one.task.event.origin.event_id for one in waiting}.isdisjoint(
                one.origin.event_id for one in settled
            )
            turn_to_day(day, here)
            day += 1
            before, (settled, waiting) = len(settled), outcomes_and_waiting(here, day)
            assert len(settled) > before
        assert Counter(one.origin.event_id for one in settled) == {f"case-{number}": 1 for number in range(EVENTS)}
        assert {(one.state, one.tier) for one in settled} == {("answered", "reasoner")}
        money = spent(here, journey.claude.asked(REASONER))
        part = share(pipeline.spec.budgets["reasoner"].usd_per_day, PARTITIONS)
        # A partition belongs to one process, which has at most `concurrency` calls in flight when its share runs out.
        limit = part + reasoner.spec.concurrency * PRICE
        assert all(0 < usd < limit for usd in money.values()), money
        assert any(usd >= part for usd in money.values())
        assert sum(money.values()) == journey.claude.asked(REASONER) * PRICE
        assert len({which for which, _ in money}) == day
        assert list((tmp_path / "tables").glob("*/reason-1/**/*escalations-spent*"))


def test_without_money_a_workers_answer_is_accepted_or_its_task_fails_as_the_pipeline_says(tmp_path: Path) -> None:
    with running("stop.toml", None, tmp_path, 1) as (journey, _):
        ends = []
        for number in range(3):
            with journey.publisher() as publisher:
                publisher.publish(f"What about case {number}?", id=f"case-{number}")
            (outcome,) = journey.outcomes({f"case-{number}"})[f"case-{number}"]
            ends.append((outcome.state, outcome.tier, outcome.answer))
            assert number == 0 or "is spent" in " ".join(outcome.reasons)
        asked = {model: journey.claude.asked(model) for model in ("claude-haiku-5-5", REASONER)}
    assert [(state, tier) for state, tier, _ in ends] == [
        ("answered", "reasoner"),
        ("answered", "worker"),
        ("failed", "worker"),
    ]
    assert json.loads(ends[1][2] or "") == {"reply": "perhaps"}
    assert asked == {"claude-haiku-5-5": 2, REASONER: 1}
