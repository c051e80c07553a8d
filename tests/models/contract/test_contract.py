"""The contract of every provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import jsonschema
import pytest

from streams.core.errors import PROVIDER_FAULTS, ModelError
from streams.core.reply_contract import GOOD_ENDS, Contract
from streams.models.providers.protocol import ModelRequest
from tests.harness.fakes.messages_outcomes import (
    Answer,
    DropConnection,
    DropStream,
    Failure,
    Slow,
    StreamError,
    refusal,
)
from tests.models.contract.peers import PEERS, Peer, Provider, ask_for, ids

SCHEMA = Contract(
    {
        "type": "object",
        "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer"}, "note": {"type": "string"}},
        "required": ["sku", "quantity"],
        "additionalProperties": False,
    }
)


@pytest.fixture(params=PEERS, ids=ids)
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
async def peer(provider: Provider, tmp_path: Path) -> AsyncIterator[Peer]:
    async with provider.build(tmp_path) as made:
        yield made


async def failure_of(peer: Peer, request: ModelRequest | None = None, seconds: float = 10) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await peer.model.ask(request or ask_for(), seconds)
    return caught.value


async def test_an_answer_comes_back_whole(peer: Peer) -> None:
    peer.script(Answer("It left today. " * 9))
    reply = await peer.model.ask(ask_for(), 10)
    assert (reply.text, reply.stop_reason, reply.model) == ("It left today. " * 9, "end_turn", "m")
    assert reply.refusal is None
    assert reply.response_id
    assert reply.first_token_seconds is not None


async def test_a_structured_answer_is_read_by_the_contract(provider: Provider, peer: Peer) -> None:
    reply = await peer.model.ask(ask_for(schema=SCHEMA.wire_schema), 10)
    reading = SCHEMA.read(_as_read(provider, reply.text), reply.stop_reason, reply.refusal)
    assert reading.status == "answered"
    assert reading.answer is not None
    jsonschema.validate(json.loads(reading.answer), SCHEMA.schema)


def _as_read(provider: Provider, text: str) -> str:
    from streams.models.providers.openai_schema import nulls_absent

    return nulls_absent(text, SCHEMA.schema) if provider.name == "openai" else text


async def test_the_tokens_are_those_that_are_billed(peer: Peer) -> None:
    peer.script(Answer("a", input_tokens=5, cache_read_tokens=11, cache_write_tokens=0, output_tokens=3), Answer("b"))
    for _ in range(2):
        reply = await peer.model.ask(ask_for(), 10)
        billed = peer.books[-1]
        read, written = billed.cache_read_tokens, billed.cache_write_tokens
        assert reply.input_tokens == billed.input_tokens + read + written
        assert (reply.output_tokens, reply.cache_read_tokens or 0, reply.cache_write_tokens or 0) == (
            billed.output_tokens,
            read,
            written,
        )
        assert not reply.unbilled


async def test_a_reply_at_the_end_of_its_tokens_is_not_an_answer(peer: Peer) -> None:
    peer.script(Answer('{"answer": {"sku": "A', stop_reason="max_tokens"))
    reply = await peer.model.ask(ask_for(schema=SCHEMA.wire_schema), 10)
    assert reply.stop_reason == "max_tokens"
    assert SCHEMA.read(reply.text, reply.stop_reason, None).error_type == "truncated"


@pytest.mark.parametrize("provider", [one for one in PEERS if one.refuses], ids=ids)
@pytest.mark.parametrize("text", ["", "I was going to"])
async def test_a_refusal_is_a_value_with_the_providers_words(peer: Peer, text: str) -> None:
    peer.script(refusal("That could do harm.", text=text))
    reply = await peer.model.ask(ask_for(), 10)
    assert (reply.stop_reason, reply.refusal, reply.text) == ("refusal", "That could do harm.", text)
    reading = Contract().read(reply.text, reply.stop_reason, reply.refusal)
    assert (reading.status, reading.refusal_class) == ("refused", "unsafe")


@pytest.mark.parametrize("provider", [one for one in PEERS if one.refuses], ids=ids)
async def test_a_stop_reason_that_is_not_known_is_not_a_good_end(peer: Peer) -> None:
    peer.script(Answer("cut", stop_reason="a reason of next year"))
    reply = await peer.model.ask(ask_for(), 10)
    assert reply.stop_reason not in GOOD_ENDS


@pytest.mark.parametrize(
    ("provider", "error_type"),
    [pytest.param(one, name, id=f"{one.name}-{name}") for one in PEERS for name in one.fails],
)
async def test_an_error_is_asked_once_and_named(provider: Provider, peer: Peer, error_type: str) -> None:
    peer.script(provider.fails[error_type], Answer("fine"))
    error = await failure_of(peer)
    assert error.error_type == error_type
    assert error.retryable == (error_type in PROVIDER_FAULTS - {"unauthorized", "not_found"})
    assert "what went wrong" in error.what
    assert error.remedy or provider.name == "local"
    assert not peer.books, "nothing was billed"
    assert (await peer.model.ask(ask_for(), 10)).text == "fine"


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
async def test_a_stream_that_breaks_off_is_never_an_answer(peer: Peer, kept: int) -> None:
    peer.script(DropStream(kept), DropStream(kept, politely=True), Answer("fine"))
    for _ in range(2):
        error = await failure_of(peer)
        assert error.error_type in ("unreachable", "bad_reply")
        assert (error.retryable, error.unbilled) == (True, False)
    assert (await peer.model.ask(ask_for(), 10)).text == "fine"


async def test_an_error_inside_a_stream_is_billed_and_may_pass(peer: Peer) -> None:
    peer.script(StreamError("an error of next year"))
    error = await failure_of(peer)
    assert (error.error_type, error.retryable, error.unbilled) == ("server_error", True, False)


async def test_a_slow_answer_is_a_timeout(peer: Peer) -> None:
    peer.script(Slow(30))
    error = await failure_of(peer, seconds=0.2)
    assert (error.error_type, error.retryable, error.unbilled) == ("timeout", True, False)
    assert (await peer.model.ask(ask_for(), 10)).text


async def test_a_call_that_is_cancelled_ends_and_the_next_one_is_answered(peer: Peer) -> None:
    peer.script(Slow(30))
    call = asyncio.create_task(peer.model.ask(ask_for(), 30))
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await peer.model.ask(ask_for(), 10)).text


async def test_many_calls_go_at_once(peer: Peer) -> None:
    peer.script(*(Answer(f"call {n}") for n in range(30)))
    replies = await asyncio.gather(*(peer.model.ask(ask_for(f"question {n}"), 20) for n in range(30)))
    assert {reply.text for reply in replies} == {f"call {n}" for n in range(30)}


@pytest.mark.parametrize("provider", [one for one in PEERS if one.name != "local"], ids=ids)
@pytest.mark.parametrize("outcome", [Failure(500, "no"), DropConnection(), DropStream(2)], ids=["500", "cut", "broken"])
async def test_a_foreign_error_is_not_chained(peer: Peer, outcome: Failure | DropConnection | DropStream) -> None:
    peer.script(outcome)
    error = await failure_of(peer)
    assert (error.__cause__, error.__context__) == (None, None)
