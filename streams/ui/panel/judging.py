"""A person in a panel, and what they say about a case, as messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from streams.core.messages import Judgement, PanelCase, PanelRater
from streams.panels.assignment import Assigner
from streams.panels.board import VerdictKey


@dataclass(frozen=True, slots=True)
class PanelSession:
    """A person in a panel, by the token of a link that works."""

    token: str
    person: PanelRater
    ordinal: int
    """Place among the panel's people, from 0: every second one sees the sides swapped."""
    assigner: Assigner

    @property
    def judge(self) -> str:
        """The person's name."""
        return self.person.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A judgement of one case as it was sent: the verdicts, or the reason for skipping."""

    verdicts: Mapping[VerdictKey, str] = field(default_factory=dict)
    comment: str = ""
    kind: Literal["rating", "skip", "adjudication"] = "rating"


def judgements_of(session: PanelSession, case: PanelCase, said: Said, now: datetime) -> Iterator[Judgement]:
    """Yield the messages of a judgement: one for each verdict, or one for a skip."""
    held = session.assigner.board.latest.get(session.judge)
    began = held.reserved_at if held is not None and held.case_id == case.case_id else None
    seconds = (now - began).total_seconds() if began is not None else None
    calls = {answer.option: answer.call_id for answer in case.answers}
    verdicts = {("", ""): ""} if said.kind == "skip" else said.verdicts
    for (question, option), verdict in verdicts.items():
        yield Judgement(
            event_id=case.event_id,
            run=case.run,
            call_id=calls.get(option, ""),
            judge=session.judge,
            question=question,
            verdict=verdict,
            comment=said.comment,
            judged_at=now,
            panel=case.panel,
            case_id=case.case_id,
            option=option,
            rubric=session.assigner.panel.rubric_id,
            kind=said.kind,
            left=left_option(session, case) if len(case.answers) > 1 else "",
            seconds=seconds,
        )


def left_option(session: PanelSession, case: PanelCase) -> str:
    """Return the option that a person sees on the left; empty if the case has one answer."""
    others = [answer.option for answer in case.answers if answer.option != case.left]
    return others[0] if case.left and session.ordinal % 2 else case.left
