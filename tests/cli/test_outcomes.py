"""`escalon outcomes` in a terminal."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from streams.cli import outcomes
from tests.builders import event, outcome

ANSWER = json.dumps({"reply": f"See [bold]{'x' * 90}[/bold] on {'many words ' * 20}\x1b[2J"})


def printed(monkeypatch: pytest.MonkeyPatch, **values: str | None) -> list[str]:
    screen = io.StringIO()
    monkeypatch.setattr(outcomes, "out", Console(file=screen, width=80))
    outcomes.print_outcome(replace(outcome(event("mail-1")), **values))  # type: ignore[arg-type]
    return screen.getvalue().splitlines()


def test_an_outcome_fits_80_columns_and_nothing_of_its_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *more = printed(monkeypatch, answer=ANSWER, intent="question")
    assert first.startswith("mail-1  answered  worker ")
    assert all(len(line) <= 80 and line.startswith("  ") for line in more)
    assert "".join("".join(more).split()) == "".join(ANSWER.split())


def test_an_outcome_without_an_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(printed(monkeypatch, answer=None)) == 1
