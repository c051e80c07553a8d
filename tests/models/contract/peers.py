"""The providers under contract. A new one is a file with a builder like those here, and a line in PEERS."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from streams.models.providers.cassette import RecordedModel, RecordingModel
from streams.models.providers.claude import ClaudeModel
from streams.models.providers.claude_clouds import Cloud, CloudClaude
from streams.models.providers.local import LocalModel
from streams.models.providers.local_engine import Chunk
from streams.models.providers.openai_chat import OpenAIModel
from streams.models.providers.protocol import LanguageModel, ModelReply, ModelRequest
from tests.harness.fakes import chat_wire, messages_wire
from tests.harness.fakes.books import Billed
from tests.harness.fakes.chat_server import ChatServer
from tests.harness.fakes.messages_outcomes import Answer, DropStream, Failure, Outcome, Slow, StreamError, example_of
from tests.harness.fakes.messages_server import MessagesServer
from tests.models.contract.clouds import AT, cloud

KEY = "sk-planted-0123456789"
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A provider's model and what answers it."""

    model: LanguageModel
    script: Callable[..., None]
    """Lines up the outcomes of the next requests."""
    books: list[Billed]
    """One entry for each request that was answered."""
    server: MessagesServer | None = None
    """The fake behind a provider over HTTP."""


Build = Callable[[Path], AbstractAsyncContextManager[Peer]]


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider, and what of the contract applies to it."""

    name: str
    build: Build
    make: Callable[..., LanguageModel] | None = None
    """Of a provider over HTTP: makes the model with a key for an address."""
    refuses: bool = True
    """It has refusals of its own beside those of the contract."""
    fails: Mapping[str, Outcome] = field(default_factory=dict)
    """Outcomes that must become the error types by which they are named."""
    streams: Mapping[str, bytes] = field(default_factory=dict)
    """Odd but legal forms of one reply: TEXT from "m", 20 input tokens of which 7 were cached, 8 output tokens."""
    broken: Mapping[str, bytes] = field(default_factory=dict)
    """Bodies without a reply."""


TEXT = "The shop opens at nine."


def ask_for(prompt: str = "Where is my order?", **changes: Any) -> ModelRequest:
    """A request, with some fields changed."""
    return ModelRequest(**{"model": "m", "system": "Be brief.", "prompt": prompt, "max_tokens": 100, **changes})


def ids(provider: Provider) -> str:
    """The name of a provider in the ids of tests."""
    return provider.name


# ---- Over HTTP ----


def _ticks() -> Callable[[], float]:
    ticks = count()
    return lambda: float(next(ticks))


def claude(url: str | None, key: str = KEY) -> ClaudeModel:
    return ClaudeModel(key, url, clock=_ticks(), now=lambda: NOW)


def openai(url: str | None, key: str = KEY) -> OpenAIModel:
    return OpenAIModel(key, url, clock=_ticks(), now=lambda: NOW)


def foundry(url: str | None, key: str = KEY) -> CloudClaude:
    inside = url is None or not url.startswith("http") or "/anthropic" in url
    return cloud("foundry", url if inside else f"{url}/anthropic", key)


def _over_http(kind: type[MessagesServer], make: Callable[..., LanguageModel]) -> Build:
    @asynccontextmanager
    async def build(_: Path) -> AsyncIterator[Peer]:
        async with kind() as server:
            model = make(server.url)
            yield Peer(model=model, script=server.script, books=server.books, server=server)
            await model.close()

    return build


def _at(name: Cloud) -> Build:
    @asynccontextmanager
    async def build(directory: Path) -> AsyncIterator[Peer]:
        async with AT[name](directory) as (model, server):
            yield Peer(model=model, script=server.script, books=server.books, server=server)

    return build


# ---- From a recording ----


@dataclass
class Replayed:
    """Records what a provider does, and answers from that recording."""

    inner: LanguageModel
    directory: Path
    asked: int = 0

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        self.asked += 1
        cassette = self.directory / f"{self.asked}.jsonl"
        recording = RecordingModel(_Borrowed(self.inner), cassette)
        try:
            await recording.ask(request, timeout)
        except Exception:  # what it recorded is raised by the replay
            if not cassette.read_bytes():
                raise
        finally:
            await recording.close()
        return await RecordedModel(cassette).ask(request, timeout)

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class _Borrowed:
    """A model that its owner closes."""

    model: LanguageModel

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        return await self.model.ask(request, timeout)

    async def close(self) -> None: ...


@asynccontextmanager
async def _recorded(directory: Path) -> AsyncIterator[Peer]:
    async with MessagesServer() as server:
        model = Replayed(claude(server.url), directory)
        yield Peer(model=model, script=server.script, books=server.books)
        await model.close()


# ---- In process ----


@dataclass
class ScriptedEngine:
    """llama.cpp's part, played by a script."""

    books: list[Billed] = field(default_factory=list)
    outcomes: deque[Outcome] = field(default_factory=deque)
    stopped: threading.Event = field(default_factory=threading.Event)

    def handle_chat_completions(self, body: dict[str, Any], callback: Callable[[Chunk], bool]) -> None:
        """Send the next outcome's chunks; a callback that returns true stops it."""
        outcome = self.outcomes.popleft() if self.outcomes else _by_grammar(body)
        if isinstance(outcome, Slow):
            until = time.monotonic() + outcome.seconds
            while time.monotonic() < until:
                if callback({"id": "c-1", "choices": [{"delta": {"content": ""}, "finish_reason": None}]}):
                    self.stopped.set()
                    return
                time.sleep(0.002)
            outcome = outcome.then or _by_grammar(body)
        for chunk in self._chunks(body, outcome):
            if callback(chunk):
                return

    def _chunks(self, body: Mapping[str, Any], outcome: Outcome) -> Iterator[Chunk]:
        if isinstance(outcome, Failure):
            yield {"error": {"code": outcome.status, "message": outcome.message}}
            return
        answer = outcome if isinstance(outcome, Answer) else Answer(TEXT)
        kept = outcome.events if isinstance(outcome, DropStream | StreamError) else 1_000
        pieces = [answer.text[at : at + answer.piece] for at in range(0, len(answer.text), answer.piece)]
        for piece in pieces[:kept]:
            logprobs = {"content": [{"token": piece, "logprob": -0.1}]}
            yield {
                "id": "c-1",
                "choices": [{"delta": {"content": piece}, "finish_reason": None, "logprobs": logprobs}],
            }
        if isinstance(outcome, StreamError):
            yield {"error": {"code": 500, "message": "scripted failure"}}
        if isinstance(outcome, DropStream | StreamError):
            return
        finish = {"max_tokens": "length"}.get(answer.stop_reason, "stop")
        yield {"id": "c-1", "choices": [{"delta": {"content": None}, "finish_reason": finish}]}
        yield {"id": "c-1", "choices": [], "usage": self._usage(body, answer)}

    def _usage(self, body: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
        read, prompt = answer.cache_read_tokens or 0, messages_wire.tokens(body["messages"])
        fresh = prompt if answer.input_tokens is None else answer.input_tokens
        output = messages_wire.tokens(answer.text) if answer.output_tokens is None else answer.output_tokens
        entry = Billed(model="m", input_tokens=fresh, cache_read_tokens=read, output_tokens=output)
        self.books.append(entry)
        return {
            "prompt_tokens": fresh + read,
            "completion_tokens": output,
            "prompt_tokens_details": {"cached_tokens": read},
        }


def _by_grammar(body: Mapping[str, Any]) -> Answer:
    """A smallest answer that the grammar's schema allows, or a plain sentence without one."""
    if "grammar" not in body:
        return Answer(TEXT)
    schema = json.loads(body["grammar"].partition("%json ")[2])
    return Answer(json.dumps(example_of(schema, schema)))


@asynccontextmanager
async def _local(_: Path) -> AsyncIterator[Peer]:
    engine = ScriptedEngine()
    model = LocalModel(Path("/nowhere/m.gguf"), threads=1, context=64, parallel=4, open_engine=lambda _: engine)
    yield Peer(model=model, script=lambda *outcomes: engine.outcomes.extend(outcomes), books=engine.books)
    await model.close()


# ---- Odd but legal streams ----


def _chat(*choices: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": "c-1", "object": "chat.completion.chunk", "model": "m", "choices": list(choices), **changes}


def _choice(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


CHAT_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 8,
    "total_tokens": 28,
    "prompt_tokens_details": {"cached_tokens": 7},
}
PLAIN = [
    _chat(_choice(role="assistant", content="")),
    _chat(_choice(content=TEXT[:9])),
    _chat(_choice(content=TEXT[9:])),
    _chat(_choice("stop")),
    _chat(usage=CHAT_USAGE),
]
DONE = b"data: [DONE]\n\n"


def chat_body(*chunks: Mapping[str, Any], done: bytes = DONE) -> bytes:
    """The body of a stream of these chunks."""
    return b"".join(map(chat_wire.sse, chunks)) + done


def _completion(**message: Any) -> bytes:
    whole = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return json.dumps({**_chat(whole, object="chat.completion"), "usage": CHAT_USAGE}, indent=1).encode()


OPENAI_STREAMS = {
    "as documented": chat_body(*PLAIN),
    "usage of null in each chunk": chat_body(*({"usage": None, **chunk} for chunk in PLAIN)),
    "usage in the last choice's chunk": chat_body(*PLAIN[:3], {**PLAIN[3], "usage": CHAT_USAGE}),
    "usage in every chunk, growing": chat_body(
        *({**chunk, "usage": {**CHAT_USAGE, "completion_tokens": at, "total_tokens": 20 + at}}
          for at, chunk in enumerate(PLAIN[:4])), PLAIN[4],
    ),
    "no end marker": chat_body(*PLAIN, done=b""),
    "no finish reason": chat_body(*PLAIN[:3], PLAIN[4]),
    "the finish reason with the last text": chat_body(*PLAIN[:2], _chat(_choice("stop", content=TEXT[9:])), PLAIN[4]),
    "a finish reason of nothing before it": chat_body(*PLAIN[:3], _chat(_choice("")), *PLAIN[3:]),
    "null and missing content": chat_body(
        _chat(_choice(role="assistant", content=None)), *PLAIN[1:3], _chat({"index": 0, "finish_reason": "stop"}),
        PLAIN[4],
    ),
    "a null delta": chat_body({**PLAIN[0], "choices": [{"index": 0, "delta": None}]}, *PLAIN[1:]),
    "the role in every chunk": chat_body(
        *(_chat(_choice(role="assistant", content=TEXT[at : at + 5])) for at in range(0, len(TEXT), 5)), *PLAIN[3:]
    ),
    "several choices": chat_body(
        *PLAIN[:2], _chat({"index": 1, "delta": {"content": "another"}, "finish_reason": "length"}), *PLAIN[2:]
    ),
    "no index": chat_body(
        PLAIN[0], *(_chat({"delta": {"content": one}}) for one in (TEXT[:9], TEXT[9:])), *PLAIN[3:]
    ),
    "an empty first chunk with filter results": chat_body(
        _chat(id="", model="", prompt_filter_results=[{"prompt_index": 0}]), *PLAIN
    ),
    "reasoning before the text": chat_body(_chat(_choice(reasoning_content="Let me see.", content=None)), *PLAIN),
    "reasoning under its other name": chat_body(_chat(_choice(reasoning="Let me see.")), *PLAIN),
    "content in parts": chat_body(
        PLAIN[0], _chat(_choice(content=[{"type": "thinking", "thinking": []}, {"type": "text", "text": TEXT}])),
        *PLAIN[3:],
    ),
    "keep-alive comments and a ping": b": OPENROUTER PROCESSING\n\n:\n\nevent: ping\ndata: {}\n\n" + chat_body(*PLAIN),
    "CRLF": chat_body(*PLAIN).replace(b"\n", b"\r\n"),
    "no space after the colon": chat_body(*PLAIN).replace(b"data: ", b"data:"),
    "a chunk after the end": chat_body(*PLAIN) + chat_wire.sse({"event": "stats"}),
    "events named and numbered": chat_body(*PLAIN).replace(b"data: ", b"id: 1\nevent: message\ndata: "),
    "one JSON document": _completion(content=TEXT),
    "an unknown object between": chat_body(*PLAIN[:2], {"type": "of_next_year", "x": 1}, *PLAIN[2:]),
    "tokens counted beside the total": chat_body(
        *PLAIN[:4], _chat(usage={**CHAT_USAGE, "completion_tokens": 3, "total_tokens": 28}),
    ),
}  # fmt: skip
OPENAI_BROKEN = {
    "a page": b"<html>a proxy's page</html>",
    "nothing": b"",
    "only the end": DONE,
    "no JSON": b"data: {not json\n\n",
    "a list": b"data: [1, 2]\n\n",
    "choices of no such kind": chat_body({"choices": [5]}),
    "content of no such kind": chat_body(_chat(_choice(content=7))),
    "a reason of no such kind": chat_body(_chat({"index": 0, "delta": {}, "finish_reason": []})),
    "too many tokens": chat_body(*PLAIN[:4], _chat(usage={"completion_tokens": 10**23})),
    "tokens under 0": chat_body(*PLAIN[:4], _chat(usage={"completion_tokens": -1})),
    "no Unicode": b"data: \xff\xfe\n\n",
    "too deep": b"data: " + b"[" * 100_000 + b"\n\n",
}


def _event(kind: str, **more: Any) -> bytes:
    return messages_wire.sse({"type": kind, **more})


def _messages(*middle: bytes, stop: bytes = _event("message_stop")) -> bytes:
    usage = {"input_tokens": 13, "cache_read_input_tokens": 7, "output_tokens": 1}
    end = _event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 8})
    return b"".join((_event("message_start", message={"model": "m", "usage": usage}), *middle, end, stop))


def _text(text: str) -> bytes:
    return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


CLAUDE_STREAMS = {  # tests/models/test_claude_streams.py has many more
    "as documented": _messages(_text(TEXT[:9]), _text(TEXT[9:])),
    "an unknown event": _messages(_text(TEXT), _event("of_next_year", x=1)),
    "keep-alive comments and a ping": b": hello\n\n" + _event("ping") + _messages(_text(TEXT)),
    "no end": _messages(_text(TEXT), stop=b""),
    "[DONE]": _messages(_text(TEXT)) + DONE,
}
CLAUDE_BROKEN = {
    "a page": b"<html>a proxy's page</html>",
    "nothing": b"",
    "no JSON": b"event: message_start\ndata: {not json\n\n",
    "a list": b"event: message_start\ndata: [1, 2]\n\n",
    "no message": _event("message_start"),
    "a message of no such kind": _event("message_start", message=5),
    "no Unicode": b"event: message_start\ndata: \xff\xfe\n\n",
    "too deep": b"event: message_start\ndata: " + b"[" * 100_000 + b"\n\n",
}


# ---- The table ----

_STATUSES: dict[str, Outcome] = {
    "bad_request": Failure(400, "what went wrong"),
    "unauthorized": Failure(401, "what went wrong"),
    "not_found": Failure(404, "what went wrong"),
    "rate_limited": Failure(429, "what went wrong"),
    "server_error": Failure(500, "what went wrong"),
    "overloaded": Failure(529, "what went wrong"),
}
_LONG = "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens. what went wrong"
_FILTERED = "The response was filtered due to the prompt triggering our content management policy. what went wrong"
PEERS: tuple[Provider, ...] = (
    Provider(
        name="claude",
        build=_over_http(MessagesServer, claude),
        make=claude,
        fails={
            **_STATUSES,
            "too_large": Failure(413, "what went wrong"),
            "rejected": Failure(400, "messages.0.content: what went wrong"),
        },
        streams=CLAUDE_STREAMS,
        broken=CLAUDE_BROKEN,
    ),
    Provider(name="claude-bedrock", build=_at("bedrock"), fails=_STATUSES),
    Provider(name="claude-vertex", build=_at("vertex"), fails=_STATUSES),
    Provider(
        name="claude-foundry",
        build=_at("foundry"),
        make=foundry,
        fails=_STATUSES,
        streams=CLAUDE_STREAMS,
        broken=CLAUDE_BROKEN,
    ),
    Provider(
        name="openai",
        build=_over_http(ChatServer, openai),
        make=openai,
        fails={**_STATUSES, "too_large": Failure(400, _LONG), "rejected": Failure(400, _FILTERED)},
        streams=OPENAI_STREAMS,
        broken=OPENAI_BROKEN,
    ),
    Provider(
        name="local",
        build=_local,
        refuses=False,
        fails={name: _STATUSES[name] for name in ("bad_request", "server_error")},
    ),
    Provider(name="recorded", build=_recorded, fails=_STATUSES),
)
