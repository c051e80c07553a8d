"""OpenAI's Batch API over HTTP: what is sent, what comes back, and how an unrecorded batch is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.core.errors import ModelError
from streams.models.providers.batches import BatchRequest, was_not_created
from streams.models.providers.openai_batches import OpenAIBatches
from streams.models.providers.protocol import ModelRequest
from streams.pipeline.dialects import CAPABILITIES
from tests.harness.fakes.chat_batches import ChatBatchesServer
from tests.harness.fakes.messages_outcomes import Answer, Failure, refusal
from tests.harness.fakes.messages_thread import MessagesThread

KEY = "sk-secret-key"
INTENT = "a" * 32


def answer(body: Mapping[str, Any]) -> Any:
    """By the prompt's first word."""
    word = body["messages"][-1]["content"].split()[0]
    return {"refuse": refusal("no"), "break": Failure(500, "it broke")}.get(
        word, Answer("yes", input_tokens=30, output_tokens=5, cache_read_tokens=70)
    )


@pytest.fixture
def server() -> Iterator[ChatBatchesServer]:
    with MessagesThread(answer, ChatBatchesServer) as thread:
        assert isinstance(thread.server, ChatBatchesServer)
        yield thread.server


@pytest.fixture
def batches(server: ChatBatchesServer) -> Iterator[OpenAIBatches]:
    with closing(OpenAIBatches(KEY, server.url, CAPABILITIES["openai"])) as one:
        yield one


def requests(*prompts: str) -> list[BatchRequest]:
    return [
        BatchRequest(f"{INTENT}-{number}", ModelRequest("gpt-x", "be brief", prompt, 50))
        for number, prompt in enumerate(prompts)
    ]


def test_a_batch_is_created_and_its_results_are_read(batches: OpenAIBatches, server: ChatBatchesServer) -> None:
    made = batches.create(INTENT, requests("hello", "refuse this", "break this"))
    assert batches.status(made.batch_id).ended_at is not None
    found = {item.custom_id[-1]: item for item in batches.results(made.batch_id)}
    reply, refused, broken = found["0"].reply, found["1"].reply, found["2"].error
    assert reply is not None
    assert (reply.text, reply.stop_reason, reply.first_token_seconds) == ("yes", "end_turn", None)
    assert (reply.input_tokens, reply.output_tokens, reply.cache_read_tokens) == (100, 5, 70)
    assert refused is not None
    assert refused.stop_reason == "refusal"
    assert broken is not None
    assert (broken.error_type, broken.unbilled, "it broke" in broken.what) == ("server_error", True, True)
    assert len(server.batch_books) == 2
    sent = server.files[server.batches[made.batch_id]["input_file_id"]].decode()
    assert "stream" not in sent


def test_a_batch_that_was_not_recorded_is_found_by_its_metadata(
    batches: OpenAIBatches, server: ChatBatchesServer
) -> None:
    server.seconds = 600
    made = batches.create(INTENT, requests("one"))
    batches.create("b" * 32, requests("one"))
    since = datetime.now(UTC) - timedelta(minutes=1)
    (found,) = batches.find(INTENT, since, since, 1)
    assert (found.batch_id, found.certain, found.ended_at) == (made.batch_id, True, None)


def test_a_cancelled_batch_ends_with_requests_that_were_not_processed(
    batches: OpenAIBatches, server: ChatBatchesServer
) -> None:
    server.seconds = 600
    made = batches.create(INTENT, requests("hello"))
    batches.cancel(made.batch_id)
    assert batches.status(made.batch_id).ended_at is not None
    (item,) = batches.results(made.batch_id)
    assert (item.reply, item.error) == (None, None)


def test_a_batch_that_its_provider_does_not_take_says_so(batches: OpenAIBatches, server: ChatBatchesServer) -> None:
    server.invalid = True
    made = batches.status(batches.create(INTENT, requests("hello")).batch_id)
    assert (made.refused, made.ended_at is not None) == (True, True)
    assert [*batches.results(made.batch_id)] == []


@pytest.mark.parametrize(("status", "kind", "proves"), [(401, "unauthorized", True), (500, "server_error", False)])
def test_only_a_refusal_proves_that_there_is_no_batch(
    batches: OpenAIBatches, server: ChatBatchesServer, status: int, kind: str, proves: bool
) -> None:
    server.refusals = [Failure(status, f"not with {KEY}")]
    with pytest.raises(ModelError) as raised:
        batches.create(INTENT, requests("hello"))
    assert (raised.value.error_type, was_not_created(raised.value)) == (kind, proves)
    assert KEY not in str(raised.value)
