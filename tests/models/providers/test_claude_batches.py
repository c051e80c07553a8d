"""Anthropic's Message Batches over HTTP: what is sent, what comes back, and which errors prove what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.core.errors import ModelError
from streams.models.providers.batches import BatchRequest, was_not_created
from streams.models.providers.claude_batches import ClaudeBatches
from streams.models.providers.protocol import ModelRequest
from tests.harness.fakes.messages_batches import BatchesServer
from tests.harness.fakes.messages_outcomes import Answer, Failure, refusal
from tests.harness.fakes.messages_thread import MessagesThread

KEY = "sk-secret-key"
SCHEMA = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}


def answer(body: Mapping[str, Any]) -> Any:
    """By the prompt's first word."""
    word = body["messages"][0]["content"].split()[0]
    usage: dict[str, Any] = {"input_tokens": 30, "output_tokens": 5, "cache_read_tokens": 70, "cache_write_tokens": 9}
    return {
        "refuse": refusal("no"),
        "break": Failure(500, "it broke"),
        "think": Answer('{"yes": true}', thinking="hm", **usage),
    }.get(word, Answer('{"yes": true}', **usage))


@pytest.fixture
def server() -> Iterator[BatchesServer]:
    with MessagesThread(answer, BatchesServer) as thread:
        assert isinstance(thread.server, BatchesServer)
        yield thread.server


@pytest.fixture
def batches(server: BatchesServer) -> Iterator[ClaudeBatches]:
    with closing(ClaudeBatches(KEY, server.url)) as one:
        yield one


def requests(*prompts: str, **more: Any) -> list[BatchRequest]:
    return [
        BatchRequest(f"{'a' * 32}-{number}", ModelRequest("claude-haiku-4-5", "be brief", prompt, 50, **more))
        for number, prompt in enumerate(prompts)
    ]


def test_a_batch_is_created_and_its_results_are_read(batches: ClaudeBatches, server: BatchesServer) -> None:
    made = batches.create("a" * 32, requests("hello", "refuse this", "break this", schema=SCHEMA))
    status = batches.status(made.batch_id)
    assert status.ended_at is not None
    found = {item.custom_id[-1]: item for item in batches.results(made.batch_id)}
    reply = found["0"].reply
    assert reply is not None
    assert (reply.text, reply.stop_reason, reply.first_token_seconds) == ('{"yes": true}', "end_turn", None)
    assert (reply.input_tokens, reply.output_tokens) == (109, 5)
    assert (reply.cache_read_tokens, reply.cache_write_tokens) == (70, 9)
    refused, broken = found["1"].reply, found["2"].error
    assert refused is not None
    assert (refused.stop_reason, refused.unbilled, refused.refusal) == ("refusal", True, "no")
    assert broken is not None
    assert (broken.error_type, broken.unbilled, "it broke" in broken.what) == ("server_error", True, True)
    params = server.batches[made.batch_id].requests[0]["params"]
    assert "stream" not in params
    assert params["output_config"]["format"]["schema"]["properties"] == SCHEMA["properties"]


def test_a_batch_that_was_not_recorded_is_found_by_its_time_and_its_size(
    batches: ClaudeBatches, server: BatchesServer
) -> None:
    server.seconds = 600
    made = batches.create("a" * 32, requests("one", "two"))
    batches.create("b" * 32, requests("one"))
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    assert [one.batch_id for one in batches.find("a" * 32, now - minute, now + minute, 2)] == [made.batch_id]
    assert batches.find("a" * 32, now + minute, now + 2 * minute, 2) == []


def test_a_cancelled_batch_ends_with_requests_that_were_not_processed(
    batches: ClaudeBatches, server: BatchesServer
) -> None:
    server.seconds = 600
    made = batches.create("a" * 32, requests("hello"))
    assert batches.status(made.batch_id).ended_at is None
    batches.cancel(made.batch_id)
    (item,) = batches.results(made.batch_id)
    assert (item.reply, item.error) == (None, None)
    assert server.batch_books == []


@pytest.mark.parametrize(
    ("status", "kind", "proves"),
    [
        (401, "unauthorized", True),
        (429, "rate_limited", True),
        (400, "bad_request", True),
        (500, "server_error", False),
    ],
)
def test_only_a_refusal_proves_that_there_is_no_batch(
    batches: ClaudeBatches, server: BatchesServer, status: int, kind: str, proves: bool
) -> None:
    server.refusals = [Failure(status, f"not with {KEY}" if status == 500 else "no")]
    with pytest.raises(ModelError) as raised:
        batches.create("a" * 32, requests("hello"))
    assert (raised.value.error_type, was_not_created(raised.value)) == (kind, proves)
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None


def test_an_unreachable_server_is_an_error_of_the_model() -> None:
    with closing(ClaudeBatches(KEY, "http://127.0.0.1:9")) as nowhere:
        with pytest.raises(ModelError) as raised:
            nowhere.create("a" * 32, requests("hello"))
        assert raised.value.error_type == "unreachable"
        with pytest.raises(ModelError):
            nowhere.status("msgbatch_1")


def test_a_batch_that_is_gone_says_so(batches: ClaudeBatches) -> None:
    with pytest.raises(ModelError) as raised:
        batches.status("msgbatch_none")
    assert raised.value.error_type == "not_found"
