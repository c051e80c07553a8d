"""Where something stands in a trace, as W3C Trace Context says it, and span ids that a repetition makes again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streams.core.fingerprint import digest

SAMPLED = 0x01
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})")
_SPAN = re.compile(r"(?!0{16})[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span of one trace, and whether whoever began the trace wants it recorded."""

    trace_id: str
    """32 hexadecimal digits, not all zero."""
    span_id: str
    """16 hexadecimal digits, not all zero."""
    sampled: bool

    def header(self) -> str:
        """The value of a `traceparent` header."""
        return f"00-{self.trace_id}-{self.span_id}-{SAMPLED if self.sampled else 0:02x}"


def read_traceparent(text: str | None) -> TraceContext | None:
    """The context in a `traceparent` header; None when there is none, or it breaks the rules of W3C."""
    found = _TRACEPARENT.fullmatch(text or "")
    if found is None:
        return None
    trace_id, span_id, flags = found.groups()
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & SAMPLED))


def span_of_call(call_id: str) -> str:
    """The span id of a model call: the beginning of its own id."""
    start = call_id[:16]
    return start if _SPAN.fullmatch(start) else digest("span", call_id)[:16]


def span_of_handling(trace_id: str, topic: str, partition: int, offset: int) -> str:
    """The span id of handling one message, the same however often it is delivered."""
    return digest("handling", trace_id, topic, partition, offset)[:16]


def is_sampled(trace_id: str, percent: int) -> bool:
    """Whether a trace is among the share that is recorded; each trace id always has the same answer.

    It compares the id's last 64 bits with the share, as OpenTelemetry's TraceIdRatioBased sampler does.
    """
    return int(trace_id[16:], 16) * 100 < percent << 64
