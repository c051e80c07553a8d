"""Events whose ends are known beforehand, and the model that brings them there. All of it follows from a seed."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from streams.core.fingerprint import digest
from tests.harness.fakes.messages_outcomes import Answer, Outcome, Slow

REASONER: Final = "claude-opus-5-5"
SAME_TEXTS: Final = 20
"""So many different texts come again and again under ids of their own."""

End = tuple[str, str]
"""The state and the tier of an outcome."""
KINDS: Final[Mapping[str, tuple[int, str, frozenset[End]]]] = {
    #  kind       share  text                                       how it may end
    "routine":   (35, "How much is item {number}?",                 frozenset({("answered", "worker")})),
    "same":      (20, "What does size {shared} cost?",              frozenset({("answered", "worker")})),
    "refused":   (10, "Where does my neighbour {number} live?",     frozenset({("answered", "reasoner")})),
    "unsure":    (10, "Are you not sure about {number}?",           frozenset({("answered", "reasoner")})),
    "open":      (8,  "please think about case {number}",           frozenset({("answered", "reasoner")})),
    "hopeless":  (2,  "please think of the hopeless case {number}", frozenset({("failed", "reasoner")})),
    "chatter":   (13, "ok, thanks for {number}",                    frozenset({("ignored", "listener")})),
    "photo":     (2,  "",               frozenset({("answered", "worker"), ("duplicate", "listener")})),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planned:
    """An event to publish and the ends that it may have."""

    id: str
    text: str | None
    image: bytes | None
    ends: frozenset[End]


def traffic(seed: int, count: int) -> Iterator[Planned]:
    """`count` different events in a random order; about 3 % are published once more under their id, later on."""
    chance = random.Random(seed)
    shares = [share for share, _, _ in KINDS.values()]
    again: list[Planned] = []
    for number in range(count):
        kind = chance.choices(list(KINDS), shares)[0]
        planned = _event(f"s{seed}-{number:05d}", kind, f"{seed}-{number}", chance)
        yield planned
        if chance.random() < 0.03:
            again.append(planned)
        if again and chance.random() < 0.03:
            yield again.pop(0)
    yield from again


def _event(event_id: str, kind: str, number: str, chance: random.Random) -> Planned:
    _, template, ends = KINDS[kind]
    if kind == "photo":
        return Planned(event_id, None, picture(chance.randrange(8), 128 << chance.randrange(2)), ends)
    return Planned(event_id, template.format(number=number, shared=chance.randrange(SAME_TEXTS)), None, ends)


def picture(motive: int, size: int) -> bytes:
    """One of some motives, the same in every size."""
    chance = random.Random(motive)
    small = Image.new("L", (8, 8))
    small.putdata([chance.randrange(256) for _ in range(64)])
    out = io.BytesIO()
    small.resize((size, size), Image.Resampling.BICUBIC).convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()


def answer(body: Mapping[str, Any]) -> Outcome:
    """Return the fake model's answer and its delay: the event's own words decide."""
    prompt = str(body["messages"][-1]["content"])
    spread = int(digest(prompt)[:4], 16) / 0xFFFF
    if body["model"] == REASONER:
        return Slow(0.5 + 2 * spread, Answer(_reasoned(prompt)))
    return Slow(0.2 + spread, Answer(_worked(prompt)))


def _reasoned(prompt: str) -> str:
    if "hopeless" in prompt:
        return '{"refusal": {"class": "other", "reason": "nobody can help"}}'
    return '{"answer": {"thoughts": "all parts considered", "reply": "settled by the reasoner"}}'


def _worked(prompt: str) -> str:
    if "my neighbour" in prompt:
        return '{"refusal": {"class": "policy", "reason": "about another customer"}}'
    sure = 0.3 if "not sure" in prompt else 0.95
    return f'{{"answer": {{"reply": "from nine to five"}}, "confidence": {sure}}}'
