"""W3C Trace Context, and span ids that are the same when a message is handled again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streams.core.fingerprint import digest

SAMPLED = 0x01
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})")
_SPAN = re.compile(r"(?!0{16})[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace, and the sampled flag of the trace."""

    trace_id: str
    """32 hexadecimal digits, not all zero."""
    span_id: str
    """16 hexadecimal digits, not all zero."""
    sampled: bool

    def header(self) -> str:
        """Return the value of a `traceparent` header."""
        return f"00-{self.trace_id}-{self.span_id}-{SAMPLED if self.sampled else 0:02x}"


def read_traceparent(text: str | None) -> TraceContext | None:
    """Return the context of a `traceparent` header; None without one, or if it is not valid."""
    found = _TRACEPARENT.fullmatch(text or "")
    if found is None:
        return None
    trace_id, span_id, flags = found.groups()
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & SAMPLED))


def span_of_call(call_id: str) -> str:
    """Return the span id of a model call: the first 16 digits of the call's id."""
    start = call_id[:16]
    return start if _SPAN.fullmatch(start) else digest("span", call_id)[:16]


def span_of_handling(trace_id: str, topic: str, partition: int, offset: int) -> str:
    """Return the span id of handling a message, the same for every delivery."""
    return digest("handling", trace_id, topic, partition, offset)[:16]


def is_sampled(trace_id: str, percent: int) -> bool:
    """True for `percent` of all trace ids, always the same ones.

    The last 64 bits of the id are compared with the share, as in OpenTelemetry's TraceIdRatioBased sampler.
    """
    return int(trace_id[16:], 16) * 100 < percent << 64
