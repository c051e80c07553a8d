"""A fake provider's behaviour drawn from a seed: it answers a call, or fails in one of several ways."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.core.reply_contract import MAX_REPLY
from tests.harness.fakes.messages_outcomes import Answer, DropConnection, DropStream, Failure, Outcome, Raw, Slow

SILENCE = 3600.0
CASE = re.compile(r"case (\d+)")
FAILURES: dict[str, Outcome] = {
    "429 with retry-after": Failure(429, retry_after="1"),
    "429": Failure(429),
    "529": Failure(529),
    "500": Failure(500),
    "silence": Slow(SILENCE, DropConnection()),
    "dropped connection": DropConnection(),
    "dropped stream": DropStream(3),
}
EVERY_FAILURE: dict[str, Outcome] = {
    **FAILURES,
    "400": Failure(400),
    "slow body": Answer("x" * 100, piece=1, pause=0.1),
    "nonsense": Raw(b"data: {]\n\n"),
    "deep nonsense": Raw(b"data: " + b"[" * 100_000 + b"\n\n"),
    "no message": Answer("This is no JSON."),
    "too large": Answer("x" * (MAX_REPLY + 1), piece=10_000),
}
"""Some of these persist when a call is retried."""


def reply(model: str, case: str) -> str:
    """The one thing a model says of a case; anything else was invented."""
    return f"{model} on case {case}"


@dataclass(kw_only=True)
class Weather:
    """Decides over each call; an answer function of the fake Messages API."""

    seed: int
    share: float
    """Of the calls that fail outside of outages."""
    latency: float
    """Mean seconds of a call that is answered, spread by a fifth to both sides."""
    outages: tuple[tuple[float, float], ...] = ()
    """From and to, in seconds since the first call: every call fails."""
    clock: Callable[[], float] = time.monotonic
    failures: Mapping[str, Outcome] = field(default_factory=lambda: FAILURES)
    fates: Counter[str] = field(default_factory=Counter)
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The number of answers by model and case."""
    _began: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def __call__(self, body: Mapping[str, Any]) -> Outcome:
        """Return the outcome of a request."""
        with self._lock:
            now = self.clock()
            self._began = now if self._began is None else self._began
            fate = self._fate(now - self._began)
            self.fates[fate] += 1
            latency = self.latency * self._draw.uniform(0.8, 1.2)
        return self.failures[fate] if fate != "answered" else Slow(latency, self._answer(body))

    def _fate(self, elapsed: float) -> str:
        out = any(start <= elapsed < end for start, end in self.outages)
        return self._draw.choice(list(self.failures)) if out or self._draw.random() < self.share else "answered"

    def _answer(self, body: Mapping[str, Any]) -> Answer:
        model = str(body["model"])
        found = CASE.search(str(body["messages"][-1]["content"]))
        case = found[1] if found else "?"
        self.answered[model, case] += 1
        said: dict[str, Any] = {"answer": {"reply": reply(model, case)}, "confidence": 0.95}
        if "opus" in model:
            said = {"answer": {"thoughts": "all considered", "reply": reply(model, case)}}
        return Answer(json.dumps(said))

    @property
    def failed_share(self) -> float:
        """Of all calls so far."""
        return 1 - self.fates["answered"] / max(1, self.fates.total())
