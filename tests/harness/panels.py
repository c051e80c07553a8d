"""Builders of panels: each gives a valid message, of which a test names only what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from streams.core.messages import Judgement, Panel, PanelAnswer, PanelCase, PanelRater, PanelStratum, Tier
from streams.panels.evidence import PanelEvidence, evidence_of
from tests.builders import START

RUBRIC = """
title = "Answers of the desk"
instructions = "Judge the answer as a customer would."

[[question]]
name = "right"
ask = "Is the answer right?"
type = "yes/no"
means_right = "yes"

[[question]]
name = "tone"
ask = "How polite is the answer?"
type = "scale"
points = ["rude", "neutral", "kind"]

[[question]]
name = "better"
ask = "Which answer is better?"
type = "pick"
"""
ERRORS_ONLY = """
title = "Errors"
[[question]]
name = "right"
ask = "Is it right?"
type = "yes/no"
means_right = "yes"
"""
PICK_ONLY = """
title = "Which is better"
[[question]]
name = "better"
ask = "Which answer is better?"
type = "pick"
"""
OPTIONS = ("worker", "reasoner")
NAME = "week-48"


def stratum(handler: str = "answer", tasks: int = 10, **more: Any) -> PanelStratum:
    """Tasks of one handler, all of them with weight 1 and prediction 0.1."""
    tier: Tier = "reasoner" if handler == "think" else "worker"
    usual: dict[str, Any] = {"weight": float(tasks), "prediction": 0.1 * tasks}
    return PanelStratum(tier=tier, handler=handler, tasks=tasks, **usual | more)


def panel(*strata: PanelStratum, **more: Any) -> Panel:
    """A panel of anna and ben about the delivered answers, two raters a case."""
    people = tuple(PanelRater(name=name, links_from=START) for name in ("anna", "ben"))
    usual: dict[str, Any] = {
        "panel": NAME, "run": "live", "options": ("outcome",), "rubric": RUBRIC, "rubric_id": "r", "raters_per_case": 2,
        "cases": 4, "seed": 7, "since": START, "until": START + timedelta(days=7), "pipeline": "p", "people": people,
        "created_at": START + timedelta(days=7), "updated_at": START + timedelta(days=7),
    }  # fmt: skip
    return Panel(population=strata or (stratum(),), **usual | more)


def answer(option: str = "outcome", *, delivered: bool = True, **more: Any) -> PanelAnswer:
    """An answer of a case: the reasoner's if the option is `reasoner`, else the worker's."""
    tier: Tier = "reasoner" if option == "reasoner" else "worker"
    handler = "think" if tier == "reasoner" else "answer"
    usual: dict[str, Any] = {"run": "live", "tier": tier, "handler": handler, "call_id": f"call-{option}"}
    return PanelAnswer(option=option, delivered=delivered, **usual | more)


def case(position: int, *answers: PanelAnswer, **more: Any) -> PanelCase:
    """The case at a place of the draw; by default with the delivered answer alone."""
    shown = answers or (answer(),)
    usual: dict[str, Any] = {
        "panel": NAME, "case_id": f"c{position}", "event_id": f"e{position}", "run": "live", "event_time": START,
        "task": f"t{position}", "left": shown[0].option if len(shown) > 1 else "",
        "weight": 1.0, "probability": 0.4, "judge_probability": 0.8,
        "prediction": 0.1, "content_digest": "d", "created_at": START + timedelta(days=7),
    }  # fmt: skip
    return PanelCase(answers=shown, position=position, **usual | more)


def pair(position: int, worker: str = "answer", **more: float) -> PanelCase:
    """A case with the answers of a worker and of the reasoner."""
    return case(position, answer("worker", delivered=False, handler=worker), answer("reasoner"), **more)


def said(case_id: str, judge: str, verdict: str, question: str = "right", **more: Any) -> Judgement:
    """A person's judgement about the delivered answer, or about the pair if the question is `better`."""
    option = "" if question in ("better", "") else "outcome"
    usual: dict[str, Any] = {
        "event_id": f"e{case_id[1:]}", "call_id": "", "panel": NAME, "case_id": case_id, "option": option,
        "rubric": "r", "judged_at": START + timedelta(days=8), "left": "", "seconds": 30.0,
    }  # fmt: skip
    return Judgement(judge=judge, question=question, verdict=verdict, **usual | more)


def skipped(case_id: str, judge: str, **more: Any) -> Judgement:
    """A judge's skip of a case."""
    return said(case_id, judge, "", "", kind="skip", comment="cannot tell", **more)


def evidence(of: Panel, cases: Sequence[PanelCase], *judgements: Judgement) -> PanelEvidence:
    """The evidence of a panel."""
    return evidence_of(of, cases, judgements)
