"""One event as plain data: texts that are cut and escaped, remarks about missing texts, and bars on one axis."""

from __future__ import annotations

import re
from datetime import timedelta

from streams.adapters.clickhouse_erasure import ERASED
from streams.ui.operator.event_bars import BAR_UNITS, bar_rows
from streams.ui.operator.event_view import MAX_TEXT, call_views, redaction_remark, shown_text
from tests.builders import START, call, event
from tests.harness.traces import EVENT, row, trace


def test_json_is_indented_and_other_text_is_not() -> None:
    shown = shown_text("Answer", '{"a":[1,"ü"]}', as_json=True)
    assert shown is not None
    assert shown.text == '{\n  "a": [\n    1,\n    "ü"\n  ]\n}'
    plain = shown_text("Answer", "12", as_json=True)
    assert plain is not None
    assert plain.text == "12"


def test_a_long_text_is_cut_and_folded_and_says_how_much_is_left_out() -> None:
    shown = shown_text("Text", "x" * (MAX_TEXT + 5))
    assert shown is not None
    assert (len(shown.text), shown.left_out, shown.folded) == (MAX_TEXT, 5, True)


def test_control_characters_are_escaped_and_line_ends_stay() -> None:
    shown = shown_text("Text", "a\r\nb\x1b[2J\u202e")
    assert shown is not None
    assert shown.text == "a\nb\\u001b[2J\\u202e"
    assert shown_text("Text", "") is None


def test_erased_and_redacted_texts_say_so() -> None:
    assert "erased" in redaction_remark({"redaction": ERASED})
    assert "[email]" in redaction_remark({"redaction": "policy-1"})
    assert redaction_remark({"redaction": None}) == redaction_remark(None) == ""


def test_bars_share_one_axis_and_stay_on_it() -> None:
    first = call(EVENT, started_at=START, queue_seconds=2.0, duration_seconds=3.0)
    last = call(EVENT, "think", "reasoner", started_at=START + timedelta(seconds=8), duration_seconds=0.0)
    rows = bar_rows(trace(first, last, outcome=None))
    assert [(one.tier, one.waited, one.took) for one in rows] == [
        ("worker", "2.0 s", "3.0 s"),
        ("reasoner", "0 ms", "0 ms"),
    ]
    for one in rows:
        for x, width in re.findall(r'x="([\d.]+)" y="\d+" width="([\d.]+)"', one.drawing):
            assert 0 <= float(x) <= float(x) + float(width) <= BAR_UNITS
    assert 'x="200.0" y="2" width="300.0"' in rows[0].drawing


def test_a_stored_answer_took_no_time_and_says_where_it_comes_from() -> None:
    stored = call(EVENT, cache_hit=True, duration_seconds=5.0, reused_from="live")
    (view,) = call_views([row(stored)], {})
    assert ("Stored answer", "reused from the run live") in view.facts
    assert bar_rows(trace(stored, outcome=None))[0].took == "stored"


def test_a_listener_says_what_it_found() -> None:
    heard = row(call(event(), "rules", "listener", decision="found"))
    (found, nothing) = (
        call_views([heard], {"rules": {"listener": "rules", "label": label, "confidence": 0.5}})[0]
        for label in ("order", None)
    )
    assert found.why == "Found order with confidence 0.500."
    assert nothing.why == "Found nothing."


def test_a_prompt_with_the_events_text_is_folded_as_the_page_shows_it_already() -> None:
    asked = row(call(EVENT, prompt="<event>\nWhere is it?\n</event>", system_prompt="Answer."))
    folded = {one.name: one.folded for one in call_views([asked], {}, "Where is it?\n")[0].texts}
    assert folded["Prompt"]
    assert not folded["Instructions to the model"]
    assert not any(one.folded for text in ("", "Another?") for one in call_views([asked], {}, text)[0].texts)
