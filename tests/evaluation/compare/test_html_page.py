from __future__ import annotations

import base64
import re
from collections import Counter
from decimal import Decimal
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

from streams.evaluation.cases import EVER
from streams.evaluation.compare.audit_reader import HandlerCalls, Overlap, Runs
from streams.evaluation.compare.compare import summed_up
from streams.evaluation.compare.comparison import CompareSettings, RunComparison
from streams.evaluation.compare.diff import EventEnd, EventPair, judge
from streams.evaluation.compare.html_page import page
from streams.evaluation.compare.plots import plots
from streams.evaluation.compare.tally import MAX_SLICES, OTHERS, TO_LABEL, Tally

EVIL = """</script><script>alert("x")</script><img src=x onerror='alert(1)'>"&'"""
VOID = {"meta", "br", "input", "link", "img", "hr"}


class Reader(HTMLParser):
    """The tags and attributes of a page, and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] == "script" else self.texts).append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def end(**more: Any) -> EventEnd:
    usual: dict[str, Any] = {"state": "answered", "tier": "worker", "handler": "h", "intent": "order", "answer": "1"}
    return EventEnd(**usual | {"usd": Decimal("0.001"), "seconds": 1.0} | more)


def pair(number: int, text: str = "hello", **more: Any) -> EventPair:
    ends = {"a": end(), "b": end(answer="2", usd=Decimal("0.002"), seconds=0.5)}
    return EventPair(event_id=f"e{number}", text=text, **ends | more)


def compared(pairs: list[EventPair], a: str = "live", b: str = "cheaper", examples: int = 200) -> RunComparison:
    counted = Tally(examples)
    for one in pairs:
        counted.add(judge(one, {}))
    overlap = Overlap(both=len(pairs), only_a=0, only_b=0, ids_only_a=(), ids_only_b=())
    calls = [
        HandlerCalls(
            run=run, tier="worker", handler="h", calls=2, paid=1, cached=0, reused=1, usd=Decimal(1), unpriced=0
        )
        for run in (a, b)
    ]
    return summed_up(
        counted, overlap, calls, {}, Runs(a=a, b=b, since=EVER), CompareSettings(rules={}, examples=examples)
    )


def test_text_of_events_and_names_is_shown_and_never_run() -> None:
    evil = end(handler=EVIL, intent=EVIL, answer=EVIL, reasons=(EVIL,), refusals=(EVIL,), escalated_for=EVIL)
    made = compared([pair(1, EVIL, a=evil, label=EVIL), pair(2)], a=EVIL, b=f"{EVIL}2")
    harmless, reader = read(page(compared([pair(1, label="9"), pair(2)]))), read(page(made))
    assert reader.tags["script"] == 1
    assert reader.tags["img"] == 0
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert reader.scripts == harmless.scripts
    assert "".join(reader.texts).count(EVIL) >= 10


def test_the_page_loads_nothing_and_runs_its_own_script_alone() -> None:
    text = page(compared([pair(n) for n in range(3)]))
    reader = read(text)
    assert not [value for name, value in reader.attributes if name in ("src", "srcset", "action", "formaction")]
    assert all((value or "").startswith("#") for name, value in reader.attributes if name in ("href", "xlink:href"))
    assert not re.search(r"@import|url\((?!#)", text)
    (policy,) = [
        value or "" for name, value in reader.attributes if name == "content" and "default-src" in (value or "")
    ]
    digest = base64.b64encode(sha256("".join(reader.scripts).encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_ids_are_unique_and_every_control_has_a_label() -> None:
    reader = read(page(compared([pair(n, label="1") for n in range(50)])))
    ids = Counter(value for name, value in reader.attributes if name == "id")
    assert [name for name, count in ids.items() if count > 1] == []
    assert {value for name, value in reader.attributes if name == "for"} <= set(ids)
    assert reader.tags["label"] == reader.tags["input"] + reader.tags["select"]


def test_all_calls_of_a_handler_are_shown_beside_those_that_were_paid_for() -> None:
    text = page(compared([pair(1)]))
    assert '<th scope="col" class="n">all</th><th scope="col" class="n">paid for</th>' in text
    assert '<td>A</td><td class="n">2</td><td class="n">1</td><td class="n">0</td><td class="n">1</td>' in text


def test_plots_take_the_ink_of_the_page() -> None:
    drawn = plots(compared([pair(n) for n in range(30)]))
    assert set(drawn) == {"endings", "money", "difference", "seconds"}
    for svg in drawn.values():
        assert svg.startswith('<svg aria-hidden="true"')
        assert "currentColor" in svg
        assert "#333333" not in svg
        assert "<text" not in svg


def test_the_size_of_a_page_is_bounded() -> None:
    long = "x" * 500_000
    many = [pair(n, long, a=end(answer=f'"{long}{n}"', reasons=(long,)), label=long) for n in range(30)]
    text = page(compared(many, examples=20))
    assert len(text) < 250_000 + 20 * 7_500
    assert text.count("data-changes=") == 20


def test_a_comparison_without_changes_has_a_page() -> None:
    same = pair(1, b=end())
    text = page(compared([same]))
    assert "0 events" in text
    assert "too few to rule out" in text


def test_characters_that_steer_are_left_out() -> None:
    text = page(compared([pair(1, "a\x1bb\x00c\u202ed")]))
    assert "a b c d" in text
    assert not set("\x1b\x00\u202e") & set(text)


# ---- What is held while counting ----


def test_the_most_important_flips_are_kept_in_any_order() -> None:
    state = [pair(n, b=end(state="failed", answer=None)) for n in range(5)]
    handler = [pair(n, b=end(handler="other")) for n in range(5, 2000)]
    told = [pair(n, label="1") for n in range(2000, 2003)]
    made = compared([*handler, *state, *told], examples=8)
    assert [one.pair.event_id for one in made.flips] == ["e2000", "e2001", "e2002", "e0", "e1", "e2", "e3", "e4"]
    assert made.flipped == 2003


def test_what_to_label_next_is_a_fair_sample_that_does_not_depend_on_the_order() -> None:
    many = [pair(n) for n in range(3000)]
    one, other = compared(many), compared(many[::-1])
    assert one.to_label == other.to_label
    assert len(set(one.to_label)) == TO_LABEL
    later = sum(int(name[1:]) >= 1500 for name in one.to_label)
    assert 70 <= later <= 130


def test_intents_beyond_the_limit_are_counted_together() -> None:
    made = compared([pair(n, a=end(intent=f"i{n}")) for n in range(MAX_SLICES + 50)])
    assert len(made.by_intent) == MAX_SLICES + 1
    assert (made.by_intent[0].name, made.by_intent[0].events) == (OTHERS, 50)


def test_intervals_of_slices_hold_together() -> None:
    many = [pair(n, a=end(intent=f"i{n % 5}"), b=end(answer="1" if n % 2 else "2")) for n in range(500)]
    (one, *_) = compared(many).by_intent
    alone = compared([each for each in many if each.a.intent == "i0"]).by_intent[0]
    assert one.low is not None
    assert alone.low is not None
    assert (one.events, alone.events) == (100, 100)
    assert one.low < alone.low
