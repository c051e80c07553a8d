"""The contract of every provider over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import logging
import resource
import socket
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest

from streams.core.errors import ConfigError, ModelError, ProcessError
from streams.models.providers.openai_chat import MOST_BYTES
from streams.models.providers.protocol import LanguageModel
from streams.models.providers.response_bounds import MAX_ERROR_BODY
from tests.harness.fakes.messages_outcomes import Answer, DropConnection, DropStream, Failure, Outcome, Raw, StreamError
from tests.harness.fakes.messages_server import MessagesServer, Slow
from tests.models.contract.peers import KEY, PEERS, TEXT, Provider, ask_for, ids

HTTP = [one for one in PEERS if one.make is not None]


@pytest.fixture(params=HTTP, ids=ids)
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
async def server(provider: Provider, tmp_path: Path) -> AsyncIterator[MessagesServer]:
    async with provider.build(tmp_path) as peer:
        assert peer.server is not None
        yield peer.server


@pytest.fixture
def make(provider: Provider) -> Callable[..., LanguageModel]:
    assert provider.make is not None
    return provider.make


@pytest.fixture
async def model(server: MessagesServer, make: Callable[..., LanguageModel]) -> AsyncIterator[LanguageModel]:
    made = make(server.url)
    yield made
    await made.close()


async def failure_of(model: LanguageModel, prompt: str = "Where is it?", seconds: float = 10) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.ask(ask_for(prompt), seconds)
    return caught.value


# ---- Replies ----


@pytest.mark.parametrize(
    ("provider", "form"), [pytest.param(one, form, id=f"{one.name}-{form}") for one in HTTP for form in one.streams]
)
async def test_an_odd_but_legal_stream_is_the_same_reply(
    provider: Provider, model: LanguageModel, server: MessagesServer, form: str
) -> None:
    for content_type in ("text/event-stream", "application/json"):
        server.script(Raw(provider.streams[form], content_type=content_type))
        reply = await model.ask(ask_for(), 10)
        assert (reply.text, reply.stop_reason, reply.model, reply.refusal) == (TEXT, "end_turn", "m", None)
        assert (reply.input_tokens, reply.cache_read_tokens, reply.output_tokens) == (20, 7, 8)


@pytest.mark.parametrize(
    ("provider", "form"), [pytest.param(one, form, id=f"{one.name}-{form}") for one in HTTP for form in one.broken]
)
async def test_a_body_without_a_reply_is_a_bad_reply(
    provider: Provider, model: LanguageModel, server: MessagesServer, form: str
) -> None:
    server.script(Raw(provider.broken[form]))
    error = await failure_of(model)
    assert (error.error_type, error.retryable) == ("bad_reply", True)


@pytest.mark.parametrize(
    "outcome",
    [
        Raw(b"", status=307, headers={"location": "http://127.0.0.1:9/"}),
        Raw(b"not gzip", headers={"content-encoding": "gzip"}),
    ],
    ids=["redirect", "compressed"],
)
async def test_no_redirect_is_followed_and_nothing_is_unpacked(
    model: LanguageModel, server: MessagesServer, outcome: Raw
) -> None:
    server.script(outcome)
    assert (await failure_of(model)).error_type == "bad_reply"
    assert server.count == 1


async def test_no_compressed_reply_is_asked_for_and_no_error_is_unpacked(
    model: LanguageModel, server: MessagesServer
) -> None:
    packed, headers = gzip.compress(b"x" * 9_000_000), {"content-encoding": "gzip"}
    server.script(Raw(packed, headers=headers), Raw(packed, status=529, headers=headers))
    reply, overloaded = await failure_of(model), await failure_of(model)
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert (reply.error_type, "compressed" in reply.what) == ("bad_reply", True)
    assert (overloaded.error_type, "xxx" in overloaded.what) == ("overloaded", False)


@pytest.mark.parametrize(
    "body",
    [b"event: ping\ndata: " + b"x" * MOST_BYTES, (b": nothing" * 1_000 + b"\n\n") * (MOST_BYTES // 9_000)],
    ids=["in one line", "in many events"],
)
async def test_a_stream_of_more_bytes_than_any_reply_has_is_too_large(
    model: LanguageModel, server: MessagesServer, body: bytes
) -> None:
    server.script(Raw(body))
    error = await failure_of(model, seconds=60)
    assert (error.error_type, error.retryable, error.request_id) == ("too_large", False, "req_000001")
    assert (await model.ask(ask_for(), 10)).text


async def test_of_an_errors_body_only_the_beginning_is_read(
    model: LanguageModel, server: MessagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    some_bytes = aiohttp.StreamReader.read

    async def counted(reader: aiohttp.StreamReader, n: int = -1) -> bytes:
        read.append(len(chunk := await some_bytes(reader, n)))
        return chunk

    monkeypatch.setattr(aiohttp.StreamReader, "read", counted)
    server.script(Raw(b"no room " * 500_000, status=529, content_type="text/plain"))
    error = await failure_of(model)
    assert (error.error_type, error.retryable) == ("overloaded", True)
    assert "no room" in error.what
    assert MAX_ERROR_BODY < sum(read) < 8 * MAX_ERROR_BODY
    assert (await model.ask(ask_for(), 10)).text


async def test_an_answer_that_trickles_is_a_timeout_over_the_whole_call(
    model: LanguageModel, server: MessagesServer
) -> None:
    server.script(Answer("x" * 100, piece=1, pause=0.05))
    assert (await failure_of(model, seconds=0.3)).error_type == "timeout"


# ---- Errors ----


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Mon, 23 Nov 2026 12:01:30 GMT", 90.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("inf", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None),
    ],
)
async def test_retry_after_is_read_as_seconds(
    model: LanguageModel, server: MessagesServer, header: str, seconds: float | None
) -> None:
    server.script(Failure(429, retry_after=header))
    assert (await failure_of(model)).retry_after == seconds


async def test_a_limit_that_no_waiting_cures_is_not_retryable(model: LanguageModel, server: MessagesServer) -> None:
    server.script(Failure(429, "spend limit reached", headers={"x-should-retry": "false"}))
    error = await failure_of(model)
    assert (error.retryable, error.request_id, error.unbilled) == (False, "req_000001", True)


@pytest.mark.parametrize("status", [408, 504, 524])
async def test_a_gateways_timeout_may_have_been_billed(
    model: LanguageModel, server: MessagesServer, status: int
) -> None:
    server.script(Failure(status))
    assert (await failure_of(model)).unbilled is False


async def test_a_prompt_that_is_not_unicode_text_is_rejected_before_it_is_sent(
    model: LanguageModel, server: MessagesServer
) -> None:
    error = await failure_of(model, "\ud800")
    assert (error.error_type, error.unbilled, server.count) == ("rejected", True, 0)


async def test_a_lack_of_file_handles_is_not_the_providers_fault(
    model: LanguageModel, server: MessagesServer, make: Callable[..., LanguageModel]
) -> None:
    await model.ask(ask_for(), 10)  # all is imported by now
    other = make(server.url)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, before[1]))
    try:
        with pytest.raises(ProcessError, match="Too many open files") as caught:
            await other.ask(ask_for(), 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None
    await other.close()


# ---- Connections ----


async def test_a_port_without_a_listener_is_unreachable(make: Callable[..., LanguageModel]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    model = make(f"http://127.0.0.1:{port}")
    error = await failure_of(model)
    assert (error.error_type, error.unbilled) == ("unreachable", True)
    await model.close()


async def test_a_connection_without_a_response_may_have_been_billed(
    model: LanguageModel, server: MessagesServer
) -> None:
    server.script(DropConnection())
    error = await failure_of(model)
    assert (error.error_type, error.retryable, error.unbilled) == ("unreachable", True, False)
    assert (await model.ask(ask_for(), 10)).text
    assert server.count == 2


@pytest.mark.parametrize("outcome", [DropStream(events=99), Answer("It left.", hold=60)], ids=["cut", "held open"])
async def test_what_becomes_of_the_connection_after_the_last_event_does_not_matter(
    model: LanguageModel, server: MessagesServer, outcome: Outcome
) -> None:
    server.script(outcome, Answer("It left today."))
    assert (await model.ask(ask_for(), 20)).stop_reason == "end_turn"
    assert (await model.ask(ask_for(), 20)).text == "It left today."


async def test_no_call_waits_for_anothers_connection(model: LanguageModel, server: MessagesServer) -> None:
    all_arrived = asyncio.Event()

    def held(_: Mapping[str, object]) -> Slow:
        if server.count == len(calls):
            all_arrived.set()
        return Slow(60)

    server.answer = held
    calls = [asyncio.create_task(model.ask(ask_for(), 60)) for _ in range(150)]
    await asyncio.wait_for(all_arrived.wait(), 30)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_the_environments_proxy_is_used_but_not_for_excepted_hosts(
    server: MessagesServer, make: Callable[..., LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "direct.invalid")
    path = server.path.removesuffix("/chat/completions").removesuffix("/v1/messages")
    via_proxy, direct = make(f"http://api.invalid{path}"), make("http://direct.invalid")
    assert (await via_proxy.ask(ask_for(), 10)).text
    assert server.requests[0].headers["host"] == "api.invalid"
    failed = await failure_of(direct)
    assert (failed.error_type, failed.unbilled, server.count) == ("unreachable", True, 1)
    await via_proxy.close()
    await direct.close()


# ---- Keys ----


@pytest.mark.parametrize("key", ["", " ", f"{KEY}\n", f"{KEY} x", f"{KEY}é"])
def test_a_key_that_cannot_be_one_is_refused_without_being_quoted(make: Callable[..., LanguageModel], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(None, key)
    assert "planted" not in str(caught.value)


def test_a_base_url_without_http_is_refused(make: Callable[..., LanguageModel]) -> None:
    with pytest.raises(ConfigError, match="base URL"):
        make("api.example.com")


async def test_the_key_shows_in_no_repr_log_or_error(
    server: MessagesServer, make: Callable[..., LanguageModel], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    model = make(server.url)
    server.script(
        Answer("fine"),
        Failure(401, f"invalid key: {KEY}"),
        Raw(KEY.encode(), status=500, content_type="text/plain"),
        Raw(b"event: message_start\ndata: " + KEY.encode() + b"\n\n"),
        DropConnection(),
        StreamError(KEY),
    )
    await model.ask(ask_for(), 10)
    texts = [repr(model), str(model), repr(vars(model))]
    for _ in range(5):
        error = await failure_of(model)
        texts += ["".join(traceback.format_exception(error)), repr(error), repr(vars(error))]
    await model.close()
    assert server.count == 6
    assert caplog.records
    for text in [*texts, caplog.text, *(repr(record.__dict__) for record in caplog.records)]:
        assert KEY not in text


@pytest.mark.parametrize(("named", "kept"), [("another", True), ("llama.cpp", False)])
async def test_a_connection_is_kept_unless_the_server_is_known_to_end_it(
    provider: Provider, model: LanguageModel, server: MessagesServer, named: str, kept: bool
) -> None:
    """llama-server says that it keeps connections, and closes them."""
    reply = next(iter(provider.streams.values()))
    server.script(*(Raw(reply, headers={"server": named}) for _ in range(3)))
    for _ in range(3):
        await model.ask(ask_for("Where is it?"), 10)
    closing = [one.headers.get("connection") == "close" for one in server.requests]
    assert closing == [True, not kept, not kept]
