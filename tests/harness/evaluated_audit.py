"""A small audit for `escalon evaluate`, whose figures can be worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from streams.core.messages import Call, Event, Finding, Label, Verdict
from streams.pipeline.load import Pipeline
from tests.builders import call, event, label, reply, thought, verdict
from tests.harness import panels
from tests.harness.shop import PIPELINE, shop

ANSWERED, HEARD = "answered", "heard"
ANN, CRM = "people:ann", "system:crm"
WITH_IMAGES = PIPELINE.replace("[routes]", '[listeners.seen]\nkind = "image-duplicate"\n\n[routes]')


def pipeline(directory: Path) -> Pipeline:
    """The shop with a listener that looks for duplicates."""
    return shop(directory, WITH_IMAGES)


# ---- Workers and reasoners ----


def of(name: str, text: str = "") -> Event:
    """An event of the run `answered`: w1 is of the first hour, w2 of the second, and so on."""
    return event(name, text or f"my order {name}", run=ANSWERED, hour=float(name[1:]))


def worked(one: Event, **more: Any) -> Call:
    """The worker's call, which answers 7 unless it is given another end."""
    usual: dict[str, Any] = {"response": reply({"number": "7"}), "confidence": 0.9}
    return call(one, **usual | more)


def accepted(name: str, *, explored: str = "", text: str = "", **more: Any) -> Iterator[Any]:
    """An accepted answer, about which the reasoner was asked with a chance of 0.5: what it said, if it was asked."""
    one = of(name, text)
    yield verdict(one)
    yield worked(one, propensity=0.5, explored=bool(explored), **more)
    if explored:
        yield thought(one, {"number": explored}, decision="explored")


def escalated(name: str, said: str, **more: Any) -> Iterator[Any]:
    """An answer of which the worker was not sure, and what the reasoner answered."""
    one = of(name)
    yield verdict(one)
    yield worked(one, **{"confidence": 0.5, "decision": "escalated"} | more)
    yield thought(one, {"number": said, "note": "by the worker's rule, the number alone counts"})


def truth(name: str, number: str, source: str = ANN) -> Label:
    return label(of(name), {"number": number}, source=source)


def answered() -> Iterator[Any]:
    """The rows of the run `answered`.

    The worker answers w1 to w7 with 7. w1 to w5 are accepted, of which w1 and w2 are explored, and w5 has the text of
    w1. w6 and w7 are escalated. It refuses w8, w9, and breaks its schema on w10. r11 is routed to the reasoner.
    """
    yield from accepted("w1", explored="7")
    yield from accepted("w2", explored="8")
    yield from accepted("w3")
    yield from accepted("w4")
    yield from accepted("w5", text="my order w1", cache_hit=True, cost_usd=Decimal(0), saved_usd=Decimal("0.001"))
    yield from escalated("w6", "8")
    yield from escalated("w7", "6")
    refusal: dict[str, Any] = {
        "status": "refused", "refusal_class": "policy", "response": None, "confidence": None, "decision": "escalated",
    }  # fmt: skip
    yield from escalated("w8", "9", **refusal)
    yield from (verdict(of("w9")), worked(of("w9"), **refusal))
    yield thought(of("w9"), {"number": "0"}, status="refused", refusal_class="policy", decision="failed")
    yield from escalated("w10", "5", status="invalid", response="{", confidence=None)
    yield verdict(of("r11"), "think", action="reason", intents=("hard",))
    yield thought(of("r11"), {"number": "1"})
    numbers = {"w1": "7", "w2": "8", "w3": "7", "w5": "8", "w6": "8", "w7": "7", "w8": "9", "r11": "2"}
    yield from (truth(name, number) for name, number in numbers.items())
    yield truth("w3", "8", CRM)
    yield label(of("w7"), {"number": "6"}, hours=0.5, source=ANN)  # corrected later


# ---- Listeners ----


def heard(
    name: str, intent: str | None, *, hour: float, rules: str | None = "", seen: str | None = None,
    original: str | None = None, **more: Any,
) -> Verdict:  # fmt: skip
    """A verdict with what the listeners found: `rules` the intent unless it is given, and `seen` if it is an image."""
    one = event(name, more.pop("text", ""), run=HEARD, hour=hour, **more)
    first = intent if rules == "" else rules
    found = [Finding(listener="rules", label=first, confidence=0.8 if first else None, call_id="c")]
    if one.image is not None:
        sure = 1.0 if seen else None
        found.append(Finding(listener="seen", label=seen, confidence=sure, duplicate_of=original, call_id="d"))
    ended = "duplicate" if intent == "duplicate" else "work" if intent else "ignore"
    return verdict(
        one, "answer" if ended == "work" else "", action=ended, intents=(intent or "unsure",), findings=tuple(found),
        duplicate_of=original,
    )  # fmt: skip


def repeated(name: str, hour: float, image: str) -> Verdict:
    return heard(name, "duplicate", hour=hour, rules="photo", seen="duplicate", original="i1", image=image)


def listened() -> Iterator[Any]:
    """The rows of the run `heard`.

    a4 has the text of a1. i2 and i6 have the image of i1, and so has i7, with other words; i2 to i4 were found to
    repeat i1.
    """
    yield heard("a1", "order", hour=1, text="one order")
    yield heard("a2", "order", hour=2, text="another order")
    yield heard("a3", None, hour=3, text="a third one")
    yield heard("a4", "order", hour=4, text="one order")
    yield heard("a5", None, hour=5, text="hello")
    yield heard("i1", "photo", hour=6, image="x")
    yield repeated("i2", 7, "x")
    yield repeated("i3", 8, "y")
    yield repeated("i4", 9, "z")
    yield heard("i5", "photo", hour=10, image="q")
    yield heard("i6", "photo", hour=11, image="x")
    yield heard("i7", "photo", hour=12, image="x", text="please look again")
    names = {
        "a1": "order", "a2": "refund", "a3": "order", "a4": "refund", "i1": "photo", "i2": "duplicate",
        "i3": "receipt", "i4": "photo", "i5": "duplicate",
    }  # fmt: skip
    for name, intent in names.items():
        one = event(name, run=HEARD)
        yield replace(label(one, intent, aspect="intent", source=ANN), label=intent)


# ---- A panel ----


def judged() -> Iterator[Any]:
    """A panel of one rater, who finds the worker's answer to w2 right and w3's wrong, of four answers of the worker."""
    made = panels.panel(panels.stratum(tasks=4), run=ANSWERED, cases=2, raters_per_case=1)
    yield made
    for place, (name, right) in enumerate({"w2": "yes", "w3": "no"}.items(), 1):
        answer = panels.answer(run=ANSWERED, call_id=worked(of(name)).call_id)
        about = {"event_id": name, "run": ANSWERED}
        yield panels.case(place, answer, probability=0.5, **about)
        yield panels.said(f"c{place}", "anna", right, call_id=answer.call_id, **about)
        yield panels.said(f"c{place}", "anna", "2", "tone", call_id=answer.call_id, **about)
    yield panels.said("", "bob", "no", call_id="elsewhere", panel="", event_id="w4", run=ANSWERED)


def everything() -> list[Any]:
    """All rows, delivered twice."""
    rows = [*answered(), *listened(), *judged()]
    return [*rows, *rows]
