"""Covers dead_letters.py and dead_letter_view.py: arguments that are refused, and foreign content on a terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.cli.dead_letter_view import print_letter, print_list
from streams.core.messages import DeadLetter, Header
from tests.builders import LETTER_STATUS, START
from tests.harness.commands import in_shop

NOWHERE = ClickHouseConfig(url="http://127.0.0.1:1")
SOME = "0" * 32
EVIL = "\x1b[2J\x9b31m\u202e\x07evil"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry",), "say which dead letters"),
        (("retry", SOME, "--all"), "say which dead letters"),
        (("retry", SOME, "--reason", "defect"), "say which dead letters"),
        (("retry", SOME, "--from", "verdicts"), "Write --from events, or leave it out"),
        (("list", "--state", "lost"), "Use one of open, retried, dropped"),
        (("list", "--since", "soon"), "not a time"),
        (("drop", SOME, "--reason", " "), "a reason must have 1 to 1000 characters"),
        (("drop", SOME, "--reason", "x" * 1001), "a reason must have 1 to 1000 characters"),
        (("drop", SOME), "Missing option '--reason'"),
    ],
)
def test_what_is_not_said_clearly_is_refused_before_any_server_is_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    with in_shop(tmp_path, NOWHERE, monkeypatch, capsys) as escalon:
        done = escalon("dead-letters", *arguments)
    assert done.code == 2
    assert said in done.err.replace("│ ", "").replace(" │", "")


def letter(payload: bytes) -> DeadLetter:
    return DeadLetter(
        dead_letter_id=SOME, run="live", topic="events", partition=0, offset=0, key=EVIL.encode(),
        headers=(Header(key=EVIL, value=EVIL.encode()), Header(key="raw", value=b"\xff")), payload=payload,
        payload_size=len(payload), payload_sha256="", reason="r", detail="", error_class="E", event_id="e",
        event_time=START,
    )  # fmt: skip


@pytest.mark.parametrize("payload", [EVIL.encode(), b"\xff\x1b[2J", b"[bold]text[/bold] \n two", b""])
def test_nothing_a_stranger_has_sent_steers_the_terminal(capsys: pytest.CaptureFixture[str], payload: bytes) -> None:
    bad = replace(LETTER_STATUS, detail=EVIL, event_id=EVIL, reason=EVIL, topic=EVIL, error_class=EVIL, why=EVIL)
    print_letter(replace(bad, acted_at=START, state="dropped", operator=EVIL), letter(payload), payload, False)
    print_list([bad], "", False, more=True)
    said = capsys.readouterr().out
    assert not set(said) & set("\x1b\x9b\u202e\x07")
    assert "evil" in said


def test_text_is_shown_as_text_and_other_bytes_with_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    print_letter(LETTER_STATUS, letter(b"one\ntwo"), b"[b]one[/b]\ntwo", False)
    assert "[b]one[/b]\ntwo" in capsys.readouterr().out
    print_letter(LETTER_STATUS, letter(b""), bytes(range(17)), False)
    shown = capsys.readouterr().out
    assert "00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................" in shown
    assert "00000010  10" in shown
    print_letter(LETTER_STATUS, None, None, False)
    assert "The original bytes are gone" in capsys.readouterr().out
