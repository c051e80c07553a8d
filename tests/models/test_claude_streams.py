"""Streams as gateways send them: real shapes, mutated, over HTTP through the SDK.

For every stream: the text is that of the text blocks in the order of their indices, a count
is never under the largest seen and None where none was given, and a stream that broke off is never an answer.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.errors import ModelError
from streams.core.reply_contract import Contract
from streams.models.providers.claude import ClaudeModel
from streams.models.providers.claude_events import events_of
from streams.models.providers.protocol import ModelReply, ModelRequest
from tests.harness.fakes.messages_server import MessagesServer, Raw

Events = list[dict[str, Any]]
REQUEST = ModelRequest(model="claude-haiku-5-5", system="", prompt="When does the shop open?", max_tokens=99)
USAGE = {"input_tokens": 20, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 5, "output_tokens": 1}
TEXT = "The shop opens at nine."


@dataclass
class Provider:
    """A model and the server it asks, on one loop."""

    server: MessagesServer = field(default_factory=MessagesServer)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def __enter__(self) -> Provider:
        self.runner.run(self.server.start())
        self.model = self.runner.run(self._made())
        return self

    async def _made(self) -> ClaudeModel:
        return ClaudeModel("sk-ant-key", self.server.url)

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.model.close())
        self.runner.run(self.server.stop())
        self.runner.close()

    def reply(self, body: bytes, content_type: str = "text/event-stream") -> ModelReply:
        self.server.script(Raw(body, content_type=content_type))
        return self.runner.run(self.model.ask(REQUEST, 5))

    def read(self, body: bytes) -> ModelReply | ModelError:
        try:
            return self.reply(body)
        except ModelError as error:
            return error

    def failure(self, body: bytes) -> ModelError:
        read = self.read(body)
        assert isinstance(read, ModelError)
        return read


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


# ---- Shapes ----


def block(index: int, kind: str, pieces: Sequence[str], first: str = "") -> Events:
    """The events of one block; `first` is the part that its start holds."""
    deltas = {"thinking": "thinking_delta", "text": "text_delta"}
    return [
        {"type": "content_block_start", "index": index, "content_block": {"type": kind, kind: first}},
        *(
            {"type": "content_block_delta", "index": index, "delta": {"type": deltas[kind], kind: piece}}
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": index},
    ]


def message(**changes: Any) -> dict[str, Any]:
    fields = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5", "content": []}
    return {**fields, "stop_reason": None, "stop_details": None, "usage": dict(USAGE), **changes}


def start(**changes: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": message(**changes)}


def end(usage: Any = None, **delta: Any) -> dict[str, Any]:
    """A message_delta; without `usage` it has none."""
    event = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_details": None, **delta}}
    return event if usage is None else {**event, "usage": usage}


STOP = {"type": "message_stop"}
PLAIN: Events = [start(), {"type": "ping"}, *block(0, "text", [TEXT[:9], TEXT[9:]]), end({"output_tokens": 8}), STOP]


def wire(events: Sequence[dict[str, Any]], line_end: str = "\n", *, named: bool = True) -> bytes:
    lines: list[str] = []
    for event in events:
        lines += [f"event: {event['type']}"] if named else []
        lines += [f"data: {json.dumps(event)}", ""]
    return "".join(line + line_end for line in lines).encode()


def replaced(old: dict[str, Any], *new: dict[str, Any]) -> Events:
    at = PLAIN.index(old)
    return [*PLAIN[:at], *new, *PLAIN[at + 1 :]]


UNKNOWN_BLOCK: Events = [
    {"type": "content_block_start", "index": 1, "content_block": {"type": "of_next_year", "text": "not the answer"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "of_next_year_delta", "words": "no"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"a": 1}}},
]
SHAPES: dict[str, Events] = {
    "as documented": PLAIN,
    "text in the block's start": [start(), *block(0, "text", [TEXT[9:]], first=TEXT[:9]), end({"output_tokens": 8})],
    "all text in the block's start": [start(), *block(0, "text", [], first=TEXT), end({"output_tokens": 8}), STOP],
    "text in the message's start": [start(content=[{"type": "text", "text": TEXT}]), end({"output_tokens": 8}), STOP],
    "two text blocks": [
        start(), *block(0, "text", [TEXT[:9]]), *block(1, "text", [TEXT[9:]]), end({"output_tokens": 8}), STOP,
    ],
    "blocks interleaved": [
        start(),
        block(1, "text", [])[0],
        block(0, "text", [])[0],
        block(1, "text", [TEXT[9:15]])[1],
        block(0, "text", [TEXT[:9]])[1],
        block(1, "text", [TEXT[15:]])[1],
        end({"output_tokens": 8}),
        STOP,
    ],
    "blocks at one index": [
        start(), *block(0, "thinking", ["hm"]), *block(0, "text", [TEXT]), end({"output_tokens": 8}), STOP,
    ],
    "a block's start twice": replaced(PLAIN[2], PLAIN[2], PLAIN[2]),
    "a full block's start twice": [start(), *block(0, "text", [], TEXT)[:1] * 2, end({"output_tokens": 8}), STOP],
    "no block's start": [event for event in PLAIN if event["type"] != "content_block_start"],
    "no block's stop": [event for event in PLAIN if event["type"] != "content_block_stop"],
    "no message_stop": PLAIN[:-1],
    "no index": [{key: value for key, value in event.items() if key != "index"} for event in PLAIN],
    "empty deltas": [start(), *block(0, "text", ["", TEXT[:4], "", TEXT[4:], ""]), end({"output_tokens": 8}), STOP],
    "a null text": [start(), *block(0, "text", [None, TEXT], None), end({"output_tokens": 8}), STOP],  # type: ignore[list-item, arg-type]
    "an unknown block": [*PLAIN[:-2], *UNKNOWN_BLOCK, *PLAIN[-2:]],
    "an unknown event": [PLAIN[0], {"type": "of_next_year", "delta": "no", "usage": 7, "text": {}}, *PLAIN[1:]],
    "an unknown block with a strange text": [
        *PLAIN[:-2],
        {"type": "content_block_start", "index": 1, "content_block": {"type": "of_next_year", "text": {"a": 1}}},
        *PLAIN[-2:],
    ],
    "facts beside the message": [
        {"type": "message_start", "message": {"id": "msg_1"}, "model": "claude-haiku-5-5", "usage": USAGE}, *PLAIN[1:],
    ],
    "the model at the end": [start(model=None), *PLAIN[1:-1], {**STOP, "message": {"model": "claude-haiku-5-5"}}],
    "the message's start twice": [PLAIN[0], *PLAIN],
    "the message's start once more later": [*PLAIN[:4], PLAIN[0], *PLAIN[4:]],
    "stop reason in the first of two deltas": replaced(PLAIN[-2], PLAIN[-2], end(stop_reason=None)),
    "stop reason in the second of two deltas": replaced(
        PLAIN[-2], end({"output_tokens": 8}, stop_reason=None), end()
    ),
    "stop reason in the stop": replaced(
        PLAIN[-2], end({"output_tokens": 8}, stop_reason=None), {**STOP, "stop_reason": "end_turn"}
    )[:-1],
    "a null delta and usage": replaced(PLAIN[-2], {"type": "message_delta", "delta": None, "usage": None}, PLAIN[-2]),
    "usage in the stop": replaced(PLAIN[-2], end(), {**STOP, "usage": {"output_tokens": 8}})[:-1],
    "usage of nulls after the counts": replaced(PLAIN[-2], PLAIN[-2], end(dict.fromkeys(USAGE))),
    "a smaller count later": replaced(PLAIN[-2], PLAIN[-2], end({**USAGE, "input_tokens": 0, "output_tokens": 0})),
    "counts that grow": replaced(PLAIN[-2], end({"output_tokens": 3}, stop_reason=None), PLAIN[-2]),
    "all counts at the end": [
        start(usage=None), *PLAIN[1:-2], end({**USAGE, "output_tokens": 8}), STOP,
    ],
    "text in the block's stop": [
        start(),
        block(0, "text", [])[0],
        {"type": "content_block_stop", "index": 0, "content_block": {"type": "text", "text": TEXT}},
        end({"output_tokens": 8}),
        STOP,
    ],
    "text in the message's stop": [
        start(), end({"output_tokens": 8}), {**STOP, "message": message(content=[{"type": "text", "text": TEXT}])},
    ],
    "the whole text once more in each stop": [
        *PLAIN[:5],
        {"type": "content_block_stop", "index": 0, "content_block": {"type": "text", "text": TEXT}},
        end({"output_tokens": 8}),
        {**STOP, "message": message(content=[{"type": "text", "text": TEXT}])},
    ],
    "text in the block of the thinking": [
        start(), *block(0, "thinking", ["hm"])[:2], *block(0, "text", [TEXT])[1:], end({"output_tokens": 8}), STOP,
    ],
    "text after the stop reason": [*PLAIN[:3], PLAIN[3], PLAIN[-2], *PLAIN[4:-2], STOP],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_of_the_same_reply_is_the_same_reply(provider: Provider, shape: str) -> None:
    reply = provider.reply(wire(SHAPES[shape]))
    assert (reply.text, reply.stop_reason, reply.model, reply.response_id) == (
        TEXT,
        "end_turn",
        "claude-haiku-5-5",
        "msg_1",
    )
    assert (reply.input_tokens, reply.cache_read_tokens, reply.cache_write_tokens) == (32, 7, 5)
    assert reply.output_tokens == 8
    assert reply.first_token_seconds is not None


WIRES: dict[str, Callable[[Events], bytes]] = {
    "CRLF": lambda events: wire(events, "\r\n"),
    "CR": lambda events: wire(events, "\r"),
    "no event lines": lambda events: wire(events, named=False),
    "a byte order mark": lambda events: b"\xef\xbb\xbf" + wire(events),
    "comments, ids and retries": lambda events: b": hello\n\nid: 1\nretry: 10\n\n" + wire(events) + b": bye\n\n",
    "no space after the colon": lambda events: wire(events).replace(b": {", b":{").replace(b"event: ", b"event:"),
    "every event named message": lambda events: b"".join(
        b"event: message\n" + wire([event], named=False) for event in events
    ),
    "types in the names alone": lambda events: b"".join(
        f"event: {event['type']}\ndata: {json.dumps({k: v for k, v in event.items() if k != 'type'})}\n\n".encode()
        for event in events
    ),
    "data over several lines": lambda events: b"".join(
        f"event: {event['type']}\n".encode()
        + b"".join(b"data: " + line.encode() + b"\n" for line in json.dumps(event, indent=1).splitlines())
        + b"\n"
        for event in events
    ),
    "[DONE]": lambda events: wire(events) + b"data: [DONE]\n\n",
    "[DONE] in place of the stop": lambda events: wire(events[:-1]) + b"data: [DONE]\n\n",
    "no empty line at the end": lambda events: wire(events).rstrip(b"\n"),
    "a foreign event that is not JSON": lambda events: b"event: heartbeat\ndata: still here\n\n" + wire(events),
    "one JSON message": lambda _: json.dumps(
        message(content=[{"type": "text", "text": TEXT}], stop_reason="end_turn", usage=USAGE | {"output_tokens": 8}),
        indent=1,
    ).encode(),
}


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", "application/octet-stream"])
@pytest.mark.parametrize("form", WIRES)
def test_a_form_of_the_same_stream_is_the_same_reply(provider: Provider, form: str, content_type: str) -> None:
    reply = provider.reply(WIRES[form](PLAIN), content_type)
    assert (reply.text, reply.stop_reason, reply.model) == (TEXT, "end_turn", "claude-haiku-5-5")
    assert (reply.input_tokens, reply.output_tokens, reply.response_id) == (32, 8, "msg_1")


# ---- What is not known ----


@pytest.mark.parametrize("named", ["", None])
def test_a_model_that_is_not_named_is_unknown(provider: Provider, named: str | None) -> None:
    reply = provider.reply(wire([start(model=named, id=named), *PLAIN[1:]]))
    assert (reply.text, reply.model, reply.response_id) == (TEXT, None, None)


def test_a_missing_count_is_unknown(provider: Provider) -> None:
    reply = provider.reply(wire([start(usage={"input_tokens": 20}), *PLAIN[1:-2], end(), STOP]))
    assert (reply.input_tokens, reply.output_tokens) == (20, None)
    assert (reply.cache_read_tokens, reply.cache_write_tokens, reply.thinking_tokens) == (None, None, None)


def test_the_output_that_a_stream_counts_before_it_writes_is_not_its_total(provider: Provider) -> None:
    assert provider.reply(wire([start(), *PLAIN[1:-2], end(), STOP])).output_tokens is None


def test_thinking_is_counted_and_no_part_of_the_text(provider: Provider) -> None:
    thinking = block(0, "thinking", ["hm", "so"])
    signature = {"type": "signature_delta", "signature": "s"}
    thinking.insert(2, {"type": "content_block_delta", "index": 0, "delta": signature})
    usage = {"output_tokens": 90, "output_tokens_details": {"thinking_tokens": 82}}
    reply = provider.reply(wire([start(), *thinking, *block(1, "text", [TEXT]), end(usage), STOP]))
    assert (reply.text, reply.output_tokens, reply.thinking_tokens) == (TEXT, 90, 82)


# ---- Ends ----


@pytest.mark.parametrize("kept", range(len(PLAIN) - 2))
@pytest.mark.parametrize("after", [[], [STOP]], ids=["nothing", "message_stop"])
def test_a_stream_without_a_stop_reason_broke_off(provider: Provider, kept: int, after: Events) -> None:
    error = provider.failure(wire([*PLAIN[:kept], *after]))
    assert (error.error_type, error.retryable) == ("unreachable" if kept else "bad_reply", True)


def test_a_stop_reason_before_the_text_does_not_end_it(provider: Provider) -> None:
    cut = [start(stop_reason="end_turn"), *PLAIN[1:4]]
    assert provider.failure(wire(cut)).error_type == "unreachable"
    assert provider.reply(wire([*cut, *PLAIN[4:-2], STOP])).text == TEXT


def test_a_bad_end_is_not_made_good_by_a_later_one(provider: Provider) -> None:
    reply = provider.reply(wire(replaced(PLAIN[-2], end(stop_reason="max_tokens"), PLAIN[-2])))
    assert reply.stop_reason == "max_tokens"


@pytest.mark.parametrize(
    "ends",
    [
        [end(stop_reason="refusal", stop_details={"explanation": "That could do harm."}), STOP],
        [end(stop_reason="refusal"), {**STOP, "stop_details": {"category": "That could do harm."}}],
        [end(stop_reason="refusal"), end(stop_reason=None, stop_details={"explanation": "That could do harm."}), STOP],
        [{"type": "message_delta", "stop_reason": "refusal", "stop_details": {"explanation": "That could do harm."}}],
    ],
)
def test_the_words_of_a_refusal_are_found_wherever_they_stand(provider: Provider, ends: Events) -> None:
    reply = provider.reply(wire([*PLAIN[:-2], *ends]))
    assert (reply.stop_reason, reply.refusal) == ("refusal", "That could do harm.")


ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("at", range(len(PLAIN)))
def test_an_error_before_the_end_is_an_error_after_any_text(provider: Provider, at: int, named: bool) -> None:
    error = provider.failure(wire([*PLAIN[:at], ERROR, *PLAIN[at:]], named=named))
    assert (error.error_type, error.retryable) == ("overloaded", True)


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"error": {"type": "overloaded_error", "message": "no"}}\n\n',
        b"event: error\ndata: upstream died\n\n",
        b'{"type": "error", "error": {"type": "overloaded_error", "message": "no"}}',
    ],
)
def test_an_error_in_another_form_is_one_as_well(provider: Provider, body: bytes) -> None:
    assert provider.failure(body).error_type in ("overloaded", "server_error")


def test_two_messages_in_one_stream_are_not_a_reply(provider: Provider) -> None:
    assert provider.failure(wire([*PLAIN[:4], start(id="msg_2"), *PLAIN[2:]])).error_type == "bad_reply"


def test_events_that_are_not_json_are_a_bad_reply(provider: Provider) -> None:
    for noise in (b"data: {half\n\n", b"event: content_block_delta\ndata: x\n\n", b"data: keep\n\n"):
        assert provider.failure(wire(PLAIN[:3]) + noise + wire(PLAIN[3:])).error_type == "bad_reply"


# ---- Mutated ----

texts = st.lists(st.text(max_size=6), max_size=4)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Events, str, dict[str, int | None]]:
    """A whole reply in a random shape, its text, and the largest of each count that it says."""
    pieces = draw(st.lists(texts, min_size=1, max_size=4))
    blocks = [
        block(index, "text", texts_of[1:], first=texts_of[0] if texts_of else "")
        for index, texts_of in enumerate(pieces)
    ]
    if draw(st.booleans()):
        blocks.append(block(len(blocks), "thinking", draw(texts)))
    if draw(st.booleans()):
        blocks.append([{**event, "index": len(blocks)} for event in UNKNOWN_BLOCK])
    body = _mixed(draw, [copy.deepcopy(one) for one in blocks])
    body = [event for event in body if event["type"] != "content_block_stop" or draw(st.booleans())]
    counts = st.dictionaries(st.sampled_from(sorted(USAGE)), st.none() | st.integers(0, 99))
    usages = draw(st.lists(st.none() | counts, min_size=3, max_size=3))
    ends = [end(stop_reason=None), end()] if draw(st.booleans()) else [end(), end(stop_reason=None)]
    for event, usage in zip(ends, usages[1:], strict=True):
        event["usage"] = usage
    made = [start(usage=usages[0]), *body, *ends, *([STOP] if draw(st.booleans()) else [])]
    for _ in range(draw(st.integers(0, 3))):
        made.insert(draw(st.integers(1, len(made))), {"type": draw(st.sampled_from(["ping", "of_next_year"]))})
    seen = {name: [one[name] for one in usages if one and one.get(name) is not None] for name in USAGE}
    return made, "".join("".join(one) for one in pieces), {name: max(of, default=None) for name, of in seen.items()}  # type: ignore[type-var]


def _mixed(draw: st.DrawFn, blocks: list[Events]) -> Events:
    """The blocks' events, each block's in order."""
    mixed: Events = []
    while blocks := [one for one in blocks if one]:
        mixed.append(blocks[draw(st.integers(0, len(blocks) - 1))].pop(0))
    return mixed


@settings(max_examples=100, deadline=None)
@given(streams(), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_mutated_stream_is_read_whole(
    made: tuple[Events, str, dict[str, int | None]], line_end: str, named: bool
) -> None:
    events, text, most = made
    reply = _PROVIDERS[0].reply(wire(events, line_end, named=named))
    assert (reply.text, reply.stop_reason) == (text, "end_turn")
    assert (reply.cache_read_tokens, reply.cache_write_tokens) == (
        most["cache_read_input_tokens"],
        most["cache_creation_input_tokens"],
    )
    assert reply.output_tokens in (most["output_tokens"], None)
    assert not (reply.output_tokens == 0 and text)
    uncached = most["input_tokens"]
    total = (uncached or 0) + (reply.cache_read_tokens or 0) + (reply.cache_write_tokens or 0)
    assert reply.input_tokens == (None if uncached is None else total or None), "no request is without tokens"


@settings(max_examples=100, deadline=None)
@given(streams(), st.data())
def test_a_stream_that_is_cut_anywhere_is_whole_or_no_reply(
    made: tuple[Events, str, dict[str, int | None]], data: st.DataObject
) -> None:
    events, text, _ = made
    body = wire(events)
    read = _PROVIDERS[0].read(body[: data.draw(st.integers(0, len(body)))])
    if isinstance(read, ModelError):
        assert (read.error_type in ("unreachable", "bad_reply"), read.retryable) == (True, True)
    else:
        assert read.text == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(streams(), st.data())
def test_any_stream_is_a_reply_or_a_model_error(
    made: tuple[Events, str, dict[str, int | None]], data: st.DataObject
) -> None:
    events, _, _ = copy.deepcopy(made)
    for _ in range(data.draw(st.integers(1, 4))):
        inner: Any = data.draw(st.sampled_from(events))
        while isinstance(inner, dict) and inner:
            key = data.draw(st.sampled_from(sorted(inner)))
            if not isinstance(inner[key], dict) or data.draw(st.booleans()):
                inner[key] = data.draw(json_values)
                break
            inner = inner[key]
    body = b"".join(wire([event], named=False) for event in events)
    read = _PROVIDERS[0].read(body)
    if isinstance(read, ModelError):
        assert read.error_type in ("unreachable", "bad_reply", "server_error", "too_large")
    else:
        assert read.text.encode().decode() == read.text
        assert all(count is None or count >= 0 for count in (read.input_tokens, read.output_tokens))


async def _in_chunks(body: bytes, cuts: Sequence[int]) -> AsyncIterator[bytes]:
    edges = [0, *sorted(cuts), len(body)]
    for begin, stop in pairwise(edges):
        yield body[begin:stop]


@given(streams(), st.lists(st.integers(0, 2000), max_size=30), st.sampled_from(["\n", "\r\n", "\r"]))
def test_where_a_body_is_cut_into_chunks_makes_no_difference(
    made: tuple[Events, str, dict[str, int | None]], cuts: list[int], line_end: str
) -> None:
    body = wire(made[0], line_end).replace(rb"\u", "é".encode() + rb"\u")

    async def read(cuts: Sequence[int]) -> list[Any]:
        return [event async for event in events_of(_in_chunks(body, cuts))]

    assert asyncio.run(read([min(cut, len(body)) for cut in cuts])) == asyncio.run(read([]))


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_stop_reason_but_the_good_ones_makes_an_answer(reason: str) -> None:
    read = _PROVIDERS[0].read(wire([*PLAIN[:-2], end({"output_tokens": 8}, stop_reason=reason), STOP]))
    if isinstance(read, ModelReply):
        reading = Contract().read(read.text, read.stop_reason, read.refusal)
        assert (reading.status == "answered") == (reason in ("end_turn", "stop_sequence"))


_PROVIDERS: list[Provider] = []
"""The module's, for tests that hypothesis runs many times."""


@pytest.fixture(scope="module", autouse=True)
def _shared(provider: Provider) -> Iterator[None]:
    _PROVIDERS.append(provider)
    yield
    _PROVIDERS.clear()
