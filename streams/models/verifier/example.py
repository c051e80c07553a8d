"""One case for the verifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """A task and the worker's answer to it, which is None before there is one.

    `answer` is JSON text or plain text. `sources` are other confidences in the answer by name, such as verbalized,
    logprob or self_consistency, each a number.
    """

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    answer: str | None = None
    sources: Mapping[str, float] = field(default_factory=dict)
