"""The cost in the audit is that of the provider's books, in every combination of what changes a price.

A case is one choice of each axis; a further axis is a line in AXES, whose choices change the case.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.blobs import BlobStore
from streams.core.messages import Event
from tests.builders import event
from tests.harness.confidence import FakeBudget
from tests.harness.drawn_images import photo
from tests.harness.fakes.books import total
from tests.harness.fakes.chat_server import ChatServer
from tests.harness.fakes.messages_outcomes import Answer
from tests.harness.fakes.messages_server import MessagesServer
from tests.harness.over_http import ALONE, for_openai, house, with_options

PRICES = """as_of = 2026-11-01
[models]
claude-haiku-4-5 = { input = 1.01, output = 5.03, cache_read = 0.11, cache_write = 1.27 }
claude-opus-4-8 = { input = 5, output = 25, cache_read = 0.5, cache_write = 6.25 }
"""
"""Rates of which no sum of a few is another one."""


@dataclass(frozen=True)
class Case:
    """A provider's answer to an event."""

    answer: Answer
    event: Event


Change = Callable[[Case], Case]


def answered(**fields: Any) -> Change:
    return lambda case: dataclasses.replace(case, answer=dataclasses.replace(case.answer, **fields))


def with_photo(of: Event) -> Event:
    return dataclasses.replace(of, image=hashlib.sha256(photo()).hexdigest())


REFUSED: Mapping[str, Any] = {"stop_reason": "refusal", "stop_details": {"explanation": "No."}}
AXES: Mapping[str, Mapping[str, Change]] = {
    "read": {"nothing": answered(cache_read_tokens=0), "some": answered(cache_read_tokens=701)},
    "written": {"nothing": answered(cache_write_tokens=0), "some": answered(cache_write_tokens=307)},
    "reasoning": {"none": answered(), "some": answered(thinking="Let me see. " * 5)},
    "image": {"none": answered(), "photo": lambda case: dataclasses.replace(case, event=with_photo(case.event))},
    "end": {
        "answer": answered(),
        "cut": answered(stop_reason="max_tokens"),
        "refusal before output": answered(text="", **REFUSED),
        "refusal after output": answered(text="First you", **REFUSED),
    },
}
SEES = ALONE.replace('inputs = ["text"]', 'inputs = ["text", "image"]')
PROVIDERS: Mapping[str, tuple[type[MessagesServer], str]] = {
    "claude": (MessagesServer, SEES.replace('provider = "claude"', 'provider = "claude"\nimages = true')),
    "openai": (ChatServer, for_openai(SEES, "images = true")),
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_every_combination_costs_what_the_books_say(tmp_path: Path, provider: str) -> None:
    (tmp_path / "own.toml").write_text(PRICES)
    server, desk = PROVIDERS[provider]
    text = with_options(f'prices = "own.toml"\n{desk}', workers_answer='cache = "off"')
    cases = list(itertools.product(*AXES.values()))
    BlobStore(f"file://{tmp_path / 'blobs'}").put(photo())
    said, budget = json.dumps({"answer": {"reply": "from nine to five"}}), FakeBudget(Decimal(100))
    async with house(tmp_path, lambda _: Answer(said), text, budget=budget, server=server) as here:
        for number, names in enumerate(cases):
            case = Case(Answer(said), event(f"e{number}", f"when do you open, {number}?"))
            for axis, name in zip(AXES.values(), names, strict=True):
                case = axis[name](case)
            here.provider.server.script(case.answer)
            await here.take(case.event)
        calls, books = [one for one in here.calls if one.tier == "worker"], here.provider.server.books
        assert len(calls) == len(books) == len(cases) == 64
        for names, call, billed in zip(cases, calls, books, strict=True):
            assert call.cost_usd is not None, names
            assert Fraction(call.cost_usd) == billed.dollars(here.pipeline.prices), names
        assert Fraction(sum(budget.spent.values())) == total(books, here.pipeline.prices)
        free = [names for names, billed in zip(cases, books, strict=True) if billed.free]
        assert len(free) == (8 if provider == "claude" else 0), "before any output, thinking included"
