"""Raw confidence of a model's answer: a stated number, or its tokens' log-probabilities."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

ROUNDING = 1e-6
"""A log-probability may exceed 0 by this much, through rounding in 32-bit arithmetic."""
TINY = 1e-12
"""A probability may lie outside 0 to 1 by this much, through rounding in 64-bit arithmetic."""

# A JSON scalar, or a string followed by a colon, which is a key.
_SCALAR = re.compile(
    r'"(?:\\.|[^"\\])*"(?P<key>\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\btrue\b|\bfalse\b|\bnull\b', re.S
)


def probability(value: object) -> float | None:
    """Return the value as a float if it is a number from 0 to 1, else None.

    A number outside that range is not clipped: 35 may be a percentage, a mark out of 100 or a slip, and clipped to 1
    it would pass every threshold.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -TINY <= value <= 1 + TINY:
        return None
    return min(1.0, max(0.0, float(value)))


def value_spans(text: str) -> list[tuple[int, int]]:
    """Find the values of a JSON text, as (start, end) in characters, without keys and punctuation."""
    return [match.span() for match in _SCALAR.finditer(text) if match["key"] is None]


def logprob_confidence(tokens: Iterable[tuple[str, float]], *, json_values_only: bool) -> float | None:
    """Return the geometric mean of the tokens' probabilities, 0 to 1; None without tokens or if one has no probability.

    `tokens` are (text, natural-log probability) in order. With `json_values_only` only tokens that overlap a
    JSON value count, because a grammar forces the others, which carry no information about the answer.
    """
    listed = list(tokens)
    spans = value_spans("".join(text for text, _ in listed)) if json_values_only else [(0, 1 << 62)]
    logprobs, start, index = [], 0, 0
    for text, logprob in listed:
        end = start + len(text)
        while index < len(spans) and spans[index][1] <= start:
            index += 1
        if index < len(spans) and spans[index][0] < end and text:
            logprobs.append(logprob)
        start = end
    if not logprobs or not all(map(_is_logprob, logprobs)):
        return None
    return math.exp(min(0.0, sum(logprobs) / len(logprobs)))


def _is_logprob(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value <= ROUNDING
