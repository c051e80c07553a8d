"""The answers of real servers: llama-server, and a LiteLLM proxy with mocked models or llama-server behind.

Each test asks over each provider that the server has an API for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jsonschema
import pytest

from streams.core.errors import ModelError
from streams.models.providers.claude import ClaudeModel
from streams.models.providers.openai_chat import OpenAIModel
from streams.models.providers.protocol import LanguageModel, ModelRequest
from streams.pipeline.dialects import Capabilities, Dialect
from tests.providers.peers import CONTEXT, MOCKED, Peer

pytestmark = pytest.mark.providers

SECONDS = 120.0
DIALECTS: dict[str, Dialect] = {"llama-server": "llama-server", "litellm": "litellm"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"open": {"type": "boolean"}},
    "required": ["open"],
    "additionalProperties": False,
}
MAKE: dict[str, Callable[[Peer, str], LanguageModel]] = {
    "claude": lambda peer, key: ClaudeModel(key, peer.url),
    "openai": lambda peer, key: OpenAIModel(key, f"{peer.url}/v1", dialect=DIALECTS[peer.name]),
}


@pytest.fixture(params=["claude", "openai"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["llama_server", "litellm"])
def peer(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def model(peer: Peer, provider: str) -> AsyncIterator[LanguageModel]:
    async with asked(peer, provider) as made:
        yield made


@asynccontextmanager
async def asked(peer: Peer, provider: str, key: str | None = None) -> AsyncIterator[LanguageModel]:
    made = MAKE[provider](peer, key or peer.key)
    try:
        yield made
    finally:
        await made.close()


def question(model: str, prompt: str = "When does the shop open?", **changes: Any) -> ModelRequest:
    return ModelRequest(**{"model": model, "system": "Be brief.", "prompt": prompt, "max_tokens": 12, **changes})


def test_at_least_one_server_was_to_be_had(llama_or_reason: Peer | str, litellm_or_reason: Peer | str) -> None:
    """Skips alone must not look like a success."""
    assert isinstance(llama_or_reason, Peer) or isinstance(litellm_or_reason, Peer)


async def test_an_answer_comes_with_its_counts_and_its_end(model: LanguageModel, peer: Peer) -> None:
    reply = await model.ask(question(peer.answers), SECONDS)
    assert reply.text.strip()
    assert reply.stop_reason in {"end_turn", "max_tokens"}
    assert reply.model
    assert reply.input_tokens
    assert reply.output_tokens
    assert reply.refusal is None
    assert reply.first_token_seconds is None or 0 < reply.first_token_seconds < SECONDS


async def test_the_answer_of_a_mocked_model_comes_whole(provider: str, litellm: Peer) -> None:
    async with asked(litellm, provider) as model:
        reply = await model.ask(question("mock"), SECONDS)
    assert (reply.text, reply.stop_reason, reply.model) == (MOCKED, "end_turn", "mock")


async def test_calls_that_follow_at_once_all_arrive(provider: str, llama_server: Peer) -> None:
    """llama-server closes a connection that it has said to keep."""
    async with asked(llama_server, provider) as model:
        for _ in range(12):
            await model.ask(question("small", max_tokens=2), SECONDS)


async def test_the_counts_are_those_of_the_server(provider: str, llama_server: Peer) -> None:
    """The same prompt gives the same count whether it is in the server's cache or not."""
    async with asked(llama_server, provider) as model:
        first, again = [await model.ask(question("small"), SECONDS) for _ in range(2)]
        longer = await model.ask(question("small", "When does the shop open? " * 2), SECONDS)
    assert first.input_tokens == again.input_tokens
    assert again.cache_read_tokens
    assert first.input_tokens is not None
    assert longer.input_tokens is not None
    assert first.input_tokens < longer.input_tokens < 2 * first.input_tokens
    assert first.output_tokens is not None
    assert first.output_tokens <= 12


async def test_an_answer_that_is_cut_off_says_so(provider: str, llama_server: Peer) -> None:
    async with asked(llama_server, provider) as model:
        reply = await model.ask(question("small", "Write a long story.", max_tokens=5), SECONDS)
    assert (reply.stop_reason, reply.output_tokens) == ("max_tokens", 5)


async def test_a_proxy_passes_on_what_the_server_behind_it_says(provider: str, litellm: Peer) -> None:
    if litellm.upstream is None:
        pytest.skip("NOT TESTED ON A REAL SERVER: there is no llama-server behind the proxy")
    async with asked(litellm, provider) as model:
        reply = await model.ask(question("small", "Write a long story.", max_tokens=5), SECONDS)
    assert (reply.stop_reason, reply.output_tokens) == ("max_tokens", 5)
    assert reply.input_tokens


async def test_llama_server_keeps_an_answer_to_its_schema(llama_server: Peer) -> None:
    async with asked(llama_server, "openai") as model:
        reply = await model.ask(in_json("small"), SECONDS)
    jsonschema.validate(json.loads(reply.text), SCHEMA)


async def test_llama_server_ignores_the_schema_of_a_message(llama_server: Peer) -> None:
    """Why docs/providers.md asks for `json_schema = false` there."""
    async with asked(llama_server, "claude") as model:
        reply = await model.ask(in_json("small"), SECONDS)
    with pytest.raises((ValueError, jsonschema.ValidationError)):
        jsonschema.validate(json.loads(reply.text), SCHEMA)


async def test_a_proxy_takes_a_schema_along(litellm: Peer) -> None:
    """The owner of a proxy declares the abilities of the model behind it."""
    if litellm.upstream is None:
        pytest.skip("NOT TESTED ON A REAL SERVER: there is no llama-server behind the proxy")
    model = OpenAIModel(litellm.key, f"{litellm.url}/v1", capabilities=Capabilities(json_schema=True))
    reply = await model.ask(in_json("small"), SECONDS)
    await model.close()
    jsonschema.validate(json.loads(reply.text), SCHEMA)


async def test_a_mocked_structured_answer_comes_through(litellm: Peer) -> None:
    async with asked(litellm, "claude") as model:
        reply = await model.ask(in_json("mock-json"), SECONDS)
    jsonschema.validate(json.loads(reply.text), SCHEMA)


def in_json(model: str) -> ModelRequest:
    return question(model, "Is the shop open? Say in one word.", schema=SCHEMA, max_tokens=60)


async def test_a_wrong_key_is_refused_and_not_quoted(peer: Peer, provider: str) -> None:
    async with asked(peer, provider, "sk-wrong-9876543210") as model:
        with pytest.raises(ModelError) as caught:
            await model.ask(question(peer.answers), SECONDS)
    assert (caught.value.error_type, caught.value.retryable) == ("unauthorized", False)
    assert "9876543210" not in str(caught.value)


async def test_a_model_that_the_server_lacks_is_not_found(provider: str, litellm: Peer) -> None:
    """llama-server has one model, and answers under any name."""
    async with asked(litellm, provider) as model:
        with pytest.raises(ModelError) as caught:
            await model.ask(question("absent"), SECONDS)
    assert (caught.value.error_type, caught.value.retryable) == ("not_found", False)


async def test_a_prompt_over_the_models_context_is_too_large(provider: str, llama_server: Peer) -> None:
    async with asked(llama_server, provider) as model:
        with pytest.raises(ModelError) as caught:
            await model.ask(question("small", "word " * 2 * CONTEXT), SECONDS)
    assert (caught.value.error_type, caught.value.retryable) == ("too_large", False)


@pytest.mark.parametrize(
    ("named", "expected"),
    [("mock-RateLimitError", ("rate_limited", True)), ("mock-ContextWindowExceededError", ("too_large", False))],
)
async def test_an_error_of_the_proxy_has_its_class(
    provider: str, litellm: Peer, named: str, expected: tuple[str, bool]
) -> None:
    async with asked(litellm, provider) as model:
        with pytest.raises(ModelError) as caught:
            await model.ask(question(named), SECONDS)
    assert (caught.value.error_type, caught.value.retryable) == expected


@pytest.mark.parametrize("through", ["llama_server", "litellm"])
async def test_a_call_that_is_broken_off_ends_at_the_server(
    provider: str, llama_server: Peer, through: str, request: pytest.FixtureRequest
) -> None:
    """A caller that no longer waits pays for no further tokens."""
    peer: Peer = request.getfixturevalue(through)
    async with asked(peer, provider) as model:
        call = asyncio.create_task(model.ask(long_question(provider, through), SECONDS))
        await eventually(lambda: llama_server.busy() or call.done())
        assert not call.done()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: not llama_server.busy())
        assert (await model.ask(question("small"), SECONDS)).text


async def test_a_call_that_takes_too_long_is_a_timeout(provider: str, llama_server: Peer) -> None:
    async with asked(llama_server, provider) as model:
        with pytest.raises(ModelError) as caught:
            await model.ask(long_question(provider, "timeout"), 0.2)
        assert (caught.value.error_type, caught.value.retryable) == ("timeout", True)
        await eventually(lambda: not llama_server.busy())


async def test_log_probabilities_come_for_each_token(llama_server: Peer) -> None:
    async with asked(llama_server, "openai") as model:
        reply = await model.ask(question("small", parameters={"logprobs": True}), SECONDS)
    assert len(reply.tokens) == reply.output_tokens
    assert all(token.logprob <= 0 for token in reply.tokens)
    assert "".join(token.text for token in reply.tokens).startswith(reply.text)


def long_question(*words: str) -> ModelRequest:
    """A prompt that takes seconds to read, and is not in the server's cache."""
    return question("small", f"{' '.join(words)} " + "word " * (CONTEXT // 2), max_tokens=100)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.05)
