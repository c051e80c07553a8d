"""Raw confidence from what a model gave: its tokens' log-probabilities."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

# A JSON scalar, or a string followed by a colon, which is a key and no value.
_SCALAR = re.compile(
    r'"(?:\\.|[^"\\])*"(?P<key>\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\btrue\b|\bfalse\b|\bnull\b', re.S
)


def value_spans(text: str) -> list[tuple[int, int]]:
    """Where the values of a JSON text stand, as (start, end) in characters; keys and punctuation are left out."""
    return [match.span() for match in _SCALAR.finditer(text) if match["key"] is None]


def logprob_confidence(tokens: Iterable[tuple[str, float]], *, json_values_only: bool) -> float | None:
    """The geometric mean of the tokens' probabilities, 0 to 1; None without tokens or when one is no number.

    `tokens` are (text, natural-log probability) in order. With `json_values_only` only tokens that overlap a
    JSON value count, because a grammar forces the rest and says nothing about the answer.
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
    if not logprobs:
        return None
    mean = sum(logprobs) / len(logprobs)
    return None if math.isnan(mean) else math.exp(min(0.0, mean))
