"""A small audit whose every figure can be worked out by hand: three live events, one dead letter, and a replay.

live (`known`): e1 is answered by the worker from two tries; e2 is refused, goes to the reasoner; e3 is ignored; e4 is
answered by the worker from the store, and explored; e5's worker call has no price. Everything is delivered twice.
`again` replays e1 and e2 with reused answers. `live` holds other events, so that leaks between runs show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from streams.core.messages import Call, DeadLetter, Event, Finding, Judgement, Outcome, Run
from tests.builders import START, call, event, label, reply, verdict

RUN, AGAIN = "known", "again"
LISTENER_USD = Decimal("0.0001")


def of(number: int, run: str = RUN, hour: float | None = None) -> Event:
    """An event of the data set; e1 to e3 are of the first day, e4 and e5 of the second."""
    hours = {1: 1.0, 2: 2.0, 3: 3.0, 4: 25.0, 5: 26.0}
    return event(f"e{number}", f"text {number}", run=run, hour=hours[number] if hour is None else hour)


def heard(one: Event, intent: str | None = "order") -> Call:
    """A listener's call: 0.1 s of waiting, 0.01 s of work."""
    return call(
        one, "rules", "listener", decision="found", cost_usd=LISTENER_USD, provider="rules", request_model="rules",
        queue_seconds=0.1, duration_seconds=0.01, response=intent, started_at=one.origin.event_time,
    )  # fmt: skip


def worked(one: Event, **more: Any) -> Call:
    """A worker's call: 1 s of waiting, 2 s of work, 100 tokens in and 10 out."""
    usual: dict[str, Any] = {
        "queue_seconds": 1.0, "duration_seconds": 2.0, "input_tokens": 100, "output_tokens": 10, "threshold": 0.8,
        "parent_call_id": heard(one).call_id, "request_model": "small",
    }  # fmt: skip
    return call(one, **usual | more)


def reasoned(one: Event, parent: Call, answer: str = "7", **more: Any) -> Call:
    """The reasoner's call: 3 s of waiting, 8 s of work, 500 tokens in and 50 out."""
    usual: dict[str, Any] = {
        "response": reply(answer), "queue_seconds": 3.0, "duration_seconds": 8.0, "input_tokens": 500,
        "output_tokens": 50, "parent_call_id": parent.call_id, "request_model": "large",
    }  # fmt: skip
    return call(one, "think", "reasoner", **usual | more)


def settled(one: Event, **more: Any) -> Outcome:
    """An outcome, 20 s after the event."""
    usual: dict[str, Any] = {"state": "answered", "tier": "worker", "handler": "answer", "answer": '"7"'}
    return Outcome(
        origin=one.origin, intent="order", pipeline="p",
        settled_at=one.origin.event_time + timedelta(seconds=20), **usual | more,
    )  # fmt: skip


def routed(one: Event, handler: str = "answer", **more: Any) -> Any:
    """A verdict with what the listener found."""
    found = Finding(listener="rules", label="order", confidence=0.75, call_id=heard(one).call_id)
    return verdict(one, handler, **{"findings": (found,), "confidence": 0.75} | more)


def first_try(one: Event) -> Call:
    """The failed try of e1."""
    return worked(
        one, status="failed", decision="retried", error_type="overloaded", error="busy", cost_usd=None, threshold=None
    )


def refusal(one: Event, **more: Any) -> Call:
    """The worker's refusal of e2."""
    return worked(
        one, **{"status": "refused", "refusal_class": "policy", "refusal_reason": "about a neighbour",
                "decision": "escalated", "decision_reason": "refused: policy: about a neighbour", **more}
    )  # fmt: skip


def live() -> Iterator[Any]:
    """The rows of the run `known`."""
    e1, e2, e3, e4, e5 = (of(number) for number in range(1, 6))
    yield from (heard(one) for one in (e1, e2, e3, e4, e5))
    yield from (routed(one) for one in (e1, e2, e4, e5))
    yield routed(e3, "", action="ignore", intents=("nothing",))
    yield first_try(e1)
    yield worked(e1, attempt=2, response=reply("7"), confidence=0.9, raw_confidence=0.9)
    yield refusal(e2)
    yield reasoned(e2, refusal(e2))
    stored = worked(
        e4, response=reply("7"), confidence=0.95, raw_confidence=0.95, cache_hit=True, cost_usd=Decimal(0),
        saved_usd=Decimal("0.001"), input_tokens=0, output_tokens=0, duration_seconds=0.0, propensity=0.1,
        explored=True,
    )  # fmt: skip
    yield stored
    yield reasoned(e4, stored, "8", decision="explored")
    yield worked(e5, response=reply("9"), confidence=0.55, raw_confidence=0.55, cost_usd=None)
    yield from (settled(one) for one in (e1, e4, e5))
    yield settled(
        e2, tier="reasoner", handler="think", reasons=("refused: policy",), call_id=reasoned(e2, refusal(e2)).call_id
    )
    yield settled(e3, state="ignored", tier="listener", handler="rules", answer=None)
    yield label(e1, "7", source="desk")
    yield replace(label(e5, "9", source="desk"), label='"8"')
    yield label(e5, "9", source="desk", hours=2)  # corrected
    yield label(event("e7", run=RUN, hour=2.0), "7", source="desk")  # there is no such event
    yield label(event("e7", run=RUN, hour=3.0), "8", source="desk")
    judged: dict[str, Any] = {
        "event_id": "e2",
        "run": RUN,
        "call_id": reasoned(e2, refusal(e2)).call_id,
        "judge": "ann",
    }
    yield Judgement(**judged, question="right?", verdict="no", judged_at=START + timedelta(hours=4))
    yield Judgement(**judged, question="right?", verdict="yes", judged_at=START + timedelta(hours=5))
    yield letter()


def letter() -> DeadLetter:
    """The dead letter of an unreadable event."""
    return DeadLetter(
        dead_letter_id="d" * 32, run=RUN, topic="events", partition=0, offset=9, payload=b"\xff", payload_size=1,
        payload_sha256="0" * 64, reason="invalid_utf8", detail="byte 0", error_class="UnreadableError",
        event_id="broken", event_time=START,
    )  # fmt: skip


def replayed() -> Iterator[Any]:
    """The rows of the run `again`: the answers of e1 and e2 as they were, for nothing; e2's reasoner is asked again."""
    e1, e2 = of(1, AGAIN), of(2, AGAIN)
    reused: dict[str, Any] = {
        "cache_hit": True, "reused_from": RUN, "cost_usd": Decimal(0), "saved_usd": Decimal("0.001"),
    }  # fmt: skip
    yield from (heard(one) for one in (e1, e2))
    yield from (routed(one) for one in (e1, e2))
    yield worked(e1, response=reply("7"), confidence=0.9, raw_confidence=0.9, **reused)
    yield refusal(e2, **reused)
    yield reasoned(e2, refusal(e2), cost_usd=Decimal("0.03"))
    yield settled(e1)
    yield settled(e2, tier="reasoner", handler="think")
    yield Run(
        run=AGAIN, base=RUN, pipeline="q", pipeline_name="candidate", topic="events", selection="all", state="done",
        events=2, paid_calls=1, reused_calls=2, cost_usd=Decimal("0.03"), started_at=START, updated_at=START,
    )  # fmt: skip


def others() -> Iterator[Any]:
    """Rows of another run under the same event ids, all of them dear, slow and refused."""
    for number in range(1, 6):
        one = of(number, "live", hour=5.0)
        yield routed(one, "other")
        yield refusal(one, handler="other", cost_usd=Decimal(100), duration_seconds=1000.0)
        yield settled(one, state="failed", handler="other", answer=None)


def everything() -> list[Any]:
    """All rows, those of the two runs under test delivered twice."""
    rows = [*live(), *replayed()]
    return [*rows, *others(), *rows]
