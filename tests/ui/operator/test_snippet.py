"""The part of a text around what was looked for."""

from __future__ import annotations

import pytest

from streams.app.log_redaction import HIDDEN, Hider
from streams.ui.operator.snippet import AFTER, BEFORE, snippet

SECRET = "sk-secret-1234567890"


@pytest.mark.parametrize(
    ("text", "wanted", "shown"),
    [
        ("Which Stove burns? The stove.", "stove", "Which <mark>Stove</mark> burns? The <mark>stove</mark>."),
        ("a <b>tent</b> & more", "<b>", "a <mark>&lt;b&gt;</mark>tent&lt;/b&gt; &amp; more"),
        ("nothing of it\n\x1b[2J", "stove", "nothing of it⏎\\u001b[2J"),
        ("as it is: (.*)", "(.*)", "as it is: <mark>(.*)</mark>"),
        ("whole", "", "whole"),
        (f"key {SECRET} end", "key", f"<mark>key</mark> {HIDDEN} end"),
        (f"key {SECRET} end", SECRET[:12], f"key {HIDDEN} end"),
    ],
)
def test_what_was_looked_for_is_marked_and_the_text_stays_text(text: str, wanted: str, shown: str) -> None:
    assert str(snippet(text, wanted, Hider([SECRET]))) == shown


def test_a_long_text_is_cut_around_the_match_but_never_within_a_secret() -> None:
    text = f"{'x' * 500}{SECRET}{'y' * (BEFORE - 5)}stove{'z' * 500}"
    shown = str(snippet(text, "stove", Hider([SECRET])))
    assert shown.startswith("…")
    assert shown.endswith("z" * AFTER + "…")
    assert SECRET[-5:] not in shown
