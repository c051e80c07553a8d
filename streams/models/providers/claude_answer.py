"""Builds one reply of Claude from its events.

Fields are accepted anywhere, because gateways move, repeat and empty them: a null or a missing field says nothing, a
repeated one adds nothing, a total never falls, and a good end does not follow a bad one. The SDK's own accumulation
does not serve: in it a later null erases the stop reason and a smaller count replaces a larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.core.reply_contract import GOOD_ENDS, MAX_REPLY
from streams.models.providers.event_stream import as_name, as_object, as_text, as_tokens
from streams.models.providers.failures import failure, reply_too_large
from streams.models.providers.protocol import ModelReply

MOST_BLOCKS = 10_000
"""Blocks of one reply; a larger index is invalid."""

_INPUT_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_OUTPUT = "output_tokens"
_THINKING = "thinking_tokens"
_LASTING = "ephemeral_1h_input_tokens"
_ENDS = ("message", "message_delta", "message_stop")
_BLOCKS = ("content_block_start", "content_block_delta", "content_block_stop")
_KINDS = frozenset({"message_start", *_BLOCKS, *_ENDS})
_ABOUT_MESSAGE = frozenset({"model", "stop_reason", "stop_details", "usage"})
_TEXT = ("text", "")
"""Kinds of a block that hold the reply's text; a block without a kind is one of them."""


@dataclass
class ClaudeAnswer:
    """Takes the events of one reply in order; `reply` is the result. `clock` gives monotonic seconds."""

    clock: Callable[[], float]
    request_id: str | None = None
    complete: bool = False
    """True after the message's end; later events are ignored."""
    began: bool = False
    """True after the first part of the message."""
    _ended: bool = False
    _id: str | None = None
    _model: str | None = None
    _blocks: dict[int, list[_Block]] = field(default_factory=dict)
    _latest: int = 0
    _size: int = 0
    _stop_reason: str | None = None
    _refusal: str | None = None
    _first_token_seconds: float | None = None
    _counts: dict[str, int] = field(default_factory=dict)
    _output_at_end: bool = False
    _lasting_cache: bool = False
    """True if tokens were written to the one-hour cache, for which no shipped price list has a rate."""

    def __post_init__(self) -> None:
        self._started = self.clock()

    def take(self, event: Mapping[str, Any]) -> None:
        """Add one event; an unknown kind is ignored. Raises ValueError for a malformed one."""
        try:
            self._take(event)
        except (AttributeError, TypeError) as error:
            raise ValueError("malformed event") from error

    def _take(self, event: Mapping[str, Any]) -> None:
        if (kind := event["type"]) not in _KINDS:
            return
        message, delta = as_object(event.get("message")), as_object(event.get("delta"))
        if kind == "message":
            message = event
        match kind:
            case "message_start" | "message":
                self.began |= len(event) > 1
                self._begin(message)
            case "message_delta" | "message_stop":
                self._begin(message)
            case "content_block_start":
                following = max(self._blocks, default=-1) + 1
                self._open(self._index(event, following), as_object(event.get("content_block")))
            case "content_block_delta":
                self._add(self._index(event, self._latest), delta)
            case "content_block_stop":
                self._close(self._index(event, self._latest), as_object(event.get("content_block")))
        ends = kind in _ENDS
        for part in (event, message, delta):
            if not _ABOUT_MESSAGE.isdisjoint(part):
                self._model = as_name(part.get("model")) or self._model
                self._end(part, ends=ends)
                self._count(as_object(part.get("usage")), final=ends)
        self.complete |= kind in ("message", "message_stop")

    def _begin(self, message: Mapping[str, Any]) -> None:
        new = as_name(message.get("id"))
        if self._id and new and new != self._id and self._blocks:
            raise failure("bad_reply", "Claude's stream holds the parts of two messages.", self.request_id)
        self._id = self._id or new
        if not self._size:
            for index, block in enumerate(message.get("content") or ()):
                self._open(index, as_object(block))

    def _index(self, event: Mapping[str, Any], without: int) -> int:
        """Return the event's index, or `without` where it has none."""
        index = event.get("index")
        index = without if index is None else index
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index <= MOST_BLOCKS:
            raise TypeError("no index")
        self._latest = index
        return index

    def _open(self, index: int, block: Mapping[str, Any]) -> None:
        start = _Block(as_name(block.get("type")) or "")
        start.start = as_text(block.get("text")) if start.kind in _TEXT else ""
        here = self._blocks.setdefault(index, [])
        if here and here[-1].untouched and here[-1].is_like(start):
            return  # the same start once more
        here.append(start)
        self._write(start, start.start)

    def _add(self, index: int, delta: Mapping[str, Any]) -> None:
        here = self._blocks.setdefault(index, [_Block("")])
        here[-1].untouched = False
        self._saw_token()
        kind = delta.get("type")
        # Some gateways send the text's deltas in the block of the thinking before it.
        if kind == "text_delta" or (kind in ("text", None) and here[-1].kind in _TEXT):
            self._write(here[-1], as_text(delta.get("text")))

    def _close(self, index: int, block: Mapping[str, Any]) -> None:
        here = self._blocks.get(index, [])
        if here:
            here[-1].untouched = False
        if block and not any(one.texts for one in here):
            self._open(index, block)

    def _write(self, block: _Block, text: str) -> None:
        if not text:
            return
        self._saw_token()
        block.texts.append(text)
        self._size += len(text)
        if self._size > MAX_REPLY:
            raise reply_too_large("Claude", f"{MAX_REPLY} characters", self.request_id)

    def _saw_token(self) -> None:
        if self._first_token_seconds is None:
            self._first_token_seconds = self.clock() - self._started

    def _end(self, part: Mapping[str, Any], *, ends: bool) -> None:
        if reason := as_name(part.get("stop_reason")):
            self._ended |= ends
            if reason not in GOOD_ENDS or self._stop_reason in (None, *GOOD_ENDS):
                self._stop_reason = reason
        if details := as_object(part.get("stop_details")):
            said = as_text(details.get("explanation")) or as_text(details.get("category"))
            self._refusal = said or self._refusal

    def _count(self, usage: Mapping[str, Any], *, final: bool) -> None:
        """Add counts, which are totals so far. An output count before the end of the message is a placeholder."""
        details = as_object(usage.get("output_tokens_details"))
        given = {name: usage.get(name) for name in (*_INPUT_COUNTS, _OUTPUT)} | {_THINKING: details.get(_THINKING)}
        lasting = as_object(usage.get("cache_creation")).get(_LASTING)
        self._lasting_cache |= lasting is not None and as_tokens(lasting) > 0
        for name, value in given.items():
            if value is not None:
                self._counts[name] = max(as_tokens(value), self._counts.get(name, 0))
        self._output_at_end |= final and usage.get(_OUTPUT) is not None

    def reply(self) -> ModelReply:
        """Return the whole reply. Raises ModelError if there was none or it broke off."""
        if not self.began:
            raise failure("bad_reply", "Claude's reply holds no message.", self.request_id)
        if self._stop_reason is None or not (self.complete or self._ended):
            raise failure("unreachable", "Claude's stream broke off before its end.", self.request_id)
        refused = self._stop_reason == "refusal"
        uncached, read, written = (self._counts.get(name) for name in _INPUT_COUNTS)
        total = None if uncached is None else uncached + (read or 0) + (written or 0)
        output = self._counts.get(_OUTPUT) if self._output_at_end else None
        return ModelReply(
            text="".join(block.text for index in sorted(self._blocks) for block in self._blocks[index]),
            model=self._model,
            stop_reason=self._stop_reason,
            # Every request and every text has tokens: a 0 is a gateway's placeholder, and not free.
            input_tokens=total or None,
            output_tokens=None if output == 0 and self.has_output() else output,
            cache_read_tokens=read,
            cache_write_tokens=None if self._lasting_cache else written,
            thinking_tokens=self._counts.get(_THINKING),
            first_token_seconds=self._first_token_seconds,
            # Anthropic's release notes of June 2026: a refusal before any output is counted and not billed.
            unbilled=refused and not self.has_output(),
            request_id=self.request_id,
            response_id=self._id,
            refusal=(self._refusal or "no explanation given") if refused else None,
        )

    def has_output(self) -> bool:
        """True if the model wrote anything, thinking included."""
        kinds = (block.kind for blocks in self._blocks.values() for block in blocks)
        return self._first_token_seconds is not None or any(kind not in _TEXT for kind in kinds)


@dataclass
class _Block:
    """One content block: its kind, its initial text and its deltas."""

    kind: str
    start: str = ""
    texts: list[str] = field(default_factory=list)
    untouched: bool = True

    def is_like(self, other: _Block) -> bool:
        return (self.kind, self.start) == (other.kind, other.start)

    @property
    def text(self) -> str:
        return "".join(self.texts)
