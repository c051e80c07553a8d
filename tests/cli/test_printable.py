"""Text of an event or a model is shown as text: it cannot control a terminal, and JSON keeps it exactly."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from streams.cli.console import print_json, table
from streams.cli.printable import Harmless
from streams.core.harmless import harmless, unseen

EVIL = "a\x1b]0;title\x07 \x1b[2J\x1b[31mred \x9b31m [bold]b[/bold] \u202egnirts \x08\x7f\u2028end"


def printed(*things: Any, **options: Any) -> str:
    """Return the bytes for a terminal, with Rich's own colours."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=200)
    console.push_render_hook(Harmless())
    console.print(*things, **options)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def steering(text: str) -> set[str]:
    """Return the control characters that are left without Rich's own colours."""
    for own in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m"):
        text = text.replace(own, "")
    return {char for char in text if unseen(char) and char != "\n"}


@pytest.mark.parametrize(
    "thing",
    [
        Text(EVIL),
        Text(EVIL, "bold"),
        table([EVIL], [[EVIL]], "a table"),
        table(["n"], [[EVIL.encode()]]),
        Tree(Text(EVIL)),
    ],
)
def test_nothing_that_is_printed_steers_the_terminal(thing: Any) -> None:
    said = printed(thing)
    assert steering(said) == set()
    assert "\\u001b]0;title" in said
    assert "\x1b[2J" not in said


def test_a_plain_string_is_harmless_with_and_without_a_style() -> None:
    for options in ({}, {"style": "red"}, {"soft_wrap": True}):
        assert steering(printed(EVIL, markup=False, highlight=False, **options)) == set()


def test_what_rich_colours_is_still_coloured_and_lines_stay_lines() -> None:
    assert printed("one\ntwo", style="red", highlight=False) == "\x1b[31mone\x1b[0m\n\x1b[31mtwo\x1b[0m\n"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_is_harmless_and_says_what_was_there(text: str) -> None:
    written = harmless(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(written) == {"text": text}
    assert not any(unseen(char) for char in written)


def test_a_command_s_json_is_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"answer": EVIL})
    said = capsys.readouterr().out
    assert not any(unseen(char) for char in said if char != "\n")
    assert json.loads(said) == {"answer": EVIL}
