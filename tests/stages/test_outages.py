"""A wrong account, key, model name or network ends no event; over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.core.messages import Verdict
from tests.builders import event
from tests.harness.fakes.messages_outcomes import Answer, DropConnection, DropStream, Failure, Outcome, Raw
from tests.harness.over_http import ALONE, DESK, house, with_options

NIGHT = 2 * 3600
ROUND = 300
HTML = "<html><body><h1>Please sign in</h1></body></html>"


def body(message: str, kind: str = "invalid_request_error") -> bytes:
    """An error of the Messages API."""
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


def broken(status: int, message: str, kind: str = "invalid_request_error") -> Raw:
    """An error response with the API's own words."""
    return Raw(body(message, kind), status, "application/json")


OUTAGES: dict[str, Outcome] = {
    "expired key": broken(401, "invalid x-api-key", "authentication_error"),
    "key without permission": broken(403, "Your API key does not have permission to use it.", "permission_error"),
    "no credit": broken(400, "Your credit balance is too low to access the Anthropic API. Go to Plans & Billing."),
    "own limit": broken(400, "You have reached your specified API usage limits. You will regain access on 2026-12-01."),
    "no payment": broken(402, "There is an issue with your payment.", "billing_error"),
    "disabled": broken(400, "This organization has been disabled."),
    "unknown model": broken(404, "model: claude-haiku-9", "not_found_error"),
    "unknown model at a gateway": broken(400, "Invalid model name passed in model=claude-haiku-9"),
    "tier's limit": Failure(429, "monthly limit", headers={"x-should-retry": "false"}),
    "overloaded": Failure(529),
    "down": Failure(503),
    "login page as an error": Raw(HTML.encode(), 403, "text/html"),
    "login page as an answer": Raw(HTML.encode(), 200, "text/html"),
    "redirect to a login page": Raw(b"", 302, "text/html", {"location": "/login"}),
    "proxy wants a login": Raw(HTML.encode(), 407, "text/html"),
    "wrong address": Raw(b"404 page not found", 404, "text/plain"),
    "proxy's limit of size": Raw(HTML.encode(), 413, "text/html"),
    "out of credit at a gateway": broken(400, "You're out of extra usage. Add more."),
    "rate limit as a bad request": broken(400, "Too many tokens per day, please wait before trying again."),
    "wall": broken(400, "Your request was blocked by the security gateway."),
    "not from this country": Raw(HTML.encode(), 451, "text/html"),
    "cut connection": DropConnection(),
    "cut stream": DropStream(3),
    "unknown reason": broken(400, "output_config.format.schema: not allowed today"),
}


def sound(request: Mapping[str, Any]) -> Answer:
    """An answer of each tier's shape."""
    thoughts = {"thoughts": "considered"} if "opus" in request["model"] else {}
    return Answer(json.dumps({"answer": {**thoughts, "reply": "from nine to five"}}))


@pytest.mark.parametrize("text", [DESK, ALONE], ids=["with a reasoner", "worker alone"])
@pytest.mark.parametrize("name", OUTAGES)
@pytest.mark.slow
async def test_after_an_outage_of_a_night_every_event_is_answered(tmp_path: Path, text: str, name: str) -> None:
    events = [event(f"e{number}", f"{'think about' if number % 2 else 'when is'} {number}") for number in range(4)]
    async with house(tmp_path, lambda _: OUTAGES[name], text) as here:
        await here.take(*events)
        while here.clock.timer() < NIGHT:
            assert here.results == {}
            assert len(here.waiting) == len(events)
            await here.later(ROUND)
        here.provider.server.answer = sound
        for _ in range(3):  # the breaker lets the first through as its trial
            await here.later(ROUND)
        assert here.states() == {one.origin.event_id: "answered" for one in events}
        assert not here.waiting
        assert len({call.call_id for call in here.calls}) == len(here.calls)


@pytest.mark.parametrize(
    ("message", "kind", "status"),
    [
        ("prompt is too long: 213462 tokens > 200000 maximum", "invalid_request_error", 400),
        ("input length and `max_tokens` exceed context limit: 199211 + 20000 > 200000", "invalid_request_error", 400),
        ("Request exceeds the maximum size", "request_too_large", 413),
        ("messages: text content blocks must be non-empty", "invalid_request_error", 400),
        ("messages.0.content.1.image.source.base64.data: image exceeds 5 MB maximum", "invalid_request_error", 400),
        ("messages.0.content: 'my API key and payment' is not allowed", "invalid_request_error", 400),
        ("Could not process image", "invalid_request_error", 400),
        ("Output blocked by content filtering policy", "invalid_request_error", 400),
    ],
)
async def test_what_is_wrong_with_this_event_ends_this_event_and_no_other(
    tmp_path: Path, message: str, kind: str, status: int
) -> None:
    def answer(request: Mapping[str, Any]) -> Outcome:
        return broken(status, message, kind) if "poison" in str(request["messages"]) else sound(request)

    async with house(tmp_path, answer) as here:
        await here.take(event("bad", "think about poison"), event("good", "think about bread"))
        assert here.states() == {"bad": "failed", "good": "answered"}
        assert here.provider.server.count == 2


async def test_a_bad_request_of_unknown_cause_ends_an_event_only_while_others_are_answered(tmp_path: Path) -> None:
    def answer(request: Mapping[str, Any]) -> Outcome:
        return broken(400, "no") if "poison" in str(request["messages"]) else sound(request)

    async with house(tmp_path, answer) as here:
        await here.take(event("bad", "think about poison"))
        for _ in range(10):
            await here.later(ROUND)
        assert here.results == {}, "nothing shows that it is not the handler's settings"
        for number in range(4):
            await here.take(event(f"good-{number}", f"think about bread {number}"))
            await here.later(ROUND)
        assert here.states() == {"bad": "failed", **{f"good-{number}": "answered" for number in range(4)}}


@pytest.mark.parametrize("name", ["expired key", "no credit", "unknown model", "login page as an answer"])
async def test_meanwhile_the_fallback_model_answers(tmp_path: Path, name: str) -> None:
    def answer(request: Mapping[str, Any]) -> Outcome:
        return OUTAGES[name] if "opus" in request["model"] else sound(request)

    text = with_options(DESK, reasoners_resolve='fallback = "small"')
    async with house(tmp_path, lambda request: answer(request), text) as here:
        here.provider.server.answer = lambda request: answer(request) if "opus" in request["model"] else both(request)
        await here.take(event("e1", "think about it"))
        assert here.states() == {"e1": "answered"}
        assert [call.error_type is None for call in here.calls if call.tier == "reasoner"][-1]


def both(request: Mapping[str, Any]) -> Answer:
    """The small model in the reasoner's place."""
    return sound({**request, "model": "opus"})


async def test_the_breaker_opens_and_few_calls_are_made(tmp_path: Path) -> None:
    async with house(tmp_path, lambda _: OUTAGES["expired key"]) as here:
        await here.take(*(event(f"e{number}", f"think about {number}") for number in range(100)))
        assert here.providers.models.shared("large").limits.breaker.state == "open"
        assert here.clock.timer() / here.provider.server.count > 30, "seconds between two calls"
        assert len(here.waiting) == 100


async def test_an_event_does_not_outwait_its_deadline(tmp_path: Path) -> None:
    async with house(tmp_path, lambda _: OUTAGES["expired key"]) as here:
        await here.take(event("e1", "think", deadline=here.clock.at + timedelta(seconds=700)))
        await here.later(ROUND)
        await here.later(ROUND)
        assert here.states() == {"e1": "failed"}
        assert here.results["e1"].reasons[-1].startswith("deadline: ")
        assert "put off 2 times by an outage" in here.results["e1"].reasons


LISTENING = DESK.replace(
    """kind = "rules"
[listeners.words.rules]
open-ended = ["think"]
question = ["."]
""",
    """kind = "language-model"
model = "small"
labels = ["question", "open-ended"]
""",
).replace('unsure = "workers.answer"', 'unsure = "ignore"')


@pytest.mark.parametrize("name", ["expired key", "no credit", "unknown model", "overloaded"])
async def test_an_event_that_no_listener_could_look_at_is_not_ignored(tmp_path: Path, name: str) -> None:
    async with house(tmp_path, lambda _: OUTAGES[name], LISTENING) as here:
        await here.take(event("e1", "when do you open?"))
        for _ in range(5):
            await here.later(60)
        assert here.results == {}
        here.provider.server.answer = listened
        await here.later(60)
        assert here.states() == {"e1": "answered"}


async def test_a_listener_that_failed_does_not_hold_up_what_another_recognised(tmp_path: Path) -> None:
    text = LISTENING.replace(
        "[routes]", '[listeners.rule]\nkind = "rules"\n[listeners.rule.rules]\nquestion = ["open"]\n\n[routes]'
    )

    def answer(request: Mapping[str, Any]) -> Outcome:
        return OUTAGES["expired key"] if is_listener(request) else sound(request)

    async with house(tmp_path, answer, text) as here:
        await here.take(event("e1", "when do you open?"))
        assert here.states() == {"e1": "answered"}


def is_listener(request: Mapping[str, Any]) -> bool:
    """True if a listener asks: its answer is one of the labels."""
    return "open-ended" in json.dumps(request.get("output_config", {}))


def listened(request: Mapping[str, Any]) -> Answer:
    """An answer for the listener or the worker."""
    return Answer(json.dumps({"answer": "question"})) if is_listener(request) else sound(request)


async def test_a_verdict_is_not_made_twice(tmp_path: Path) -> None:
    async with house(tmp_path, lambda _: OUTAGES["expired key"], ALONE) as here:
        await here.take(event("e1", "when do you open?"))
        (waiting,) = here.waiting
        task = getattr(waiting, "task", None)
        assert isinstance(task, Verdict)
        assert (task.failures, task.outages) == ((), 1)
