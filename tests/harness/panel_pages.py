"""One example of each of the panel's pages, by name."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from functools import partial

from streams.panels.rubric import PICKS, YES_NO, Choice, Question
from streams.ui.panel.fields import FormField
from streams.ui.panel.notices import NoticeKind, notice
from streams.ui.panel.pages import (
    AdjudicationPage,
    CasePage,
    DisagreementRow,
    DisagreementsPage,
    DisputedField,
    DonePage,
    RaterProgress,
    ShownAnswer,
    ShownCase,
    StartPage,
    UnsavedPage,
    adjudication_page,
    case_page,
    disagreements_page,
    done_page,
    notice_page,
    start_page,
    unsaved_page,
)
from streams.ui.panel.readable import excerpt

POINTS = tuple(
    Choice(str(number), words)
    for number, words in enumerate(
        ["Harms the customer", "Needs to be rewritten", "Usable after changes", "Good", "Could not be better"], 1
    )
)
RIGHT = Question(
    name="right", ask="Is the answer right?", type="yes/no", choices=YES_NO, means_right="yes",
    explanation="Right means: the customer can act on it, and nothing in it is false.",
)  # fmt: skip
TONE = Question(name="tone", ask="How well is it written?", type="scale", choices=POINTS)
BETTER = Question(name="better", ask="Which answer would you send?", type="pick", choices=PICKS)
QUESTIONS = (RIGHT, TONE, BETTER)
TITLE = "Answers of the support desk, week 48"
INSTRUCTIONS = (
    "Judge each answer as if you had to send it to the customer yourself.\n\n"
    "The opening hours, the prices and the return policy are on the sheet that you were given. Do not look up anything "
    "else. If an answer leaves out something that the customer needs, it is not right."
)
TALK = """Customer: Hello, I ordered a lamp on Monday (order 48-1032) and it still has not been sent. Can I still change the address?
Agent: I am looking into it. Which address should it go to?
Customer: To my office: 12 Harbour Street, 2nd floor. And could you tell me if I can pick it up instead? I am near your shop until six."""  # noqa: E501
WORKER = (
    "Your order 48-1032 leaves our warehouse tomorrow, so the address can still be changed. I have entered 12 Harbour "
    "Street, 2nd floor. Picking it up is possible at our shop from 9:00 to 17:00, Monday to Friday."
)
REASONER = (
    "Your order 48-1032 leaves our warehouse tomorrow, so the address can still be changed until 20:00 today. I have "
    "entered 12 Harbour Street, 2nd floor. Picking it up today is not possible, because the lamp is in the warehouse "
    "and not in the shop."
)
PAIR = ShownCase(text=TALK, answers=(ShownAnswer(side="A", text=WORKER), ShownAnswer(side="B", text=REASONER)))
INVOICE = ShownCase(
    text="",
    data=json.dumps(
        {
            "subject": "Invoice 2026-1187",
            "received": "2026-11-24",
            "supplier": {"name": "Hafen Logistik GmbH", "country": "DE"},
            "lines": [{"text": "Pallets", "amount": 12}, {"text": "Transport", "amount": 1}],
        }
    ),
    image="/image/example",
    answers=(ShownAnswer(side="A", text=json.dumps({"total": 1180.5, "currency": "EUR", "due": None, "paid": False})),),
)
PROGRESS = RaterProgress(done=12, left=8, seconds=552)
CASE = CasePage(
    title=TITLE, instructions=INSTRUCTIONS, case=PAIR, questions=QUESTIONS, progress=PROGRESS, action="/case",
    csrf="token", next_url="/", can_undo=True,
)  # fmt: skip
DISPUTED = (
    DisputedField(field=FormField(name="q0A", question=RIGHT, side="A"), counts=(("yes", 2), ("no", 1))),
    DisputedField(field=FormField(name="q2", question=BETTER, side=None), counts=(("A", 1), ("B", 1), ("tie", 1))),
)
ADJUDICATION = AdjudicationPage(
    title=TITLE, instructions=INSTRUCTIONS, case=PAIR, disputed=DISPUTED,
    comments=("A promises a pick-up that is not possible.", "Both forget that the change costs nothing."),
    decided=1, left=3, action="/adjudicate", csrf="token", next_url="/", list_url="/",
)  # fmt: skip
_row = partial(DisagreementRow, pair=True)
DISAGREEMENTS = DisagreementsPage(
    title=TITLE,
    rows=(
        _row(link="/a/1", excerpt=excerpt(TALK), disputed=DISPUTED, comments=2, decided=False),
        _row(link="/a/2", excerpt="What does it cost?", disputed=DISPUTED[:1], comments=0, decided=False),
        _row(link="/a/3", excerpt="My parcel is wet.", disputed=DISPUTED[1:], comments=1, decided=True),
    ),
)  # fmt: skip
DONE = DonePage(
    title="All done", text="You have judged every case of this panel that is meant for you.",
    progress=replace(PROGRESS, done=20, left=0, seconds=870), action="/case", csrf="token", can_undo=True,
)  # fmt: skip
START = StartPage(
    title=TITLE, instructions=INSTRUCTIONS, questions=QUESTIONS, action="/case", csrf="token",
    progress=RaterProgress(done=0, left=20, seconds=0),
)  # fmt: skip
UNSAVED = UnsavedPage(action="/case", fields=(("csrf", "token"), ("q0A", "yes"), ("comment", "A note.")))
NOTICES: tuple[NoticeKind, ...] = (
    "link invalid", "link expired", "link revoked", "paused", "nothing now", "not found", "place taken", "erased",
    "bad form", "too large", "unavailable",
)  # fmt: skip
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def example_pages() -> dict[str, str]:
    """Return the HTML of every page by its name."""
    single = replace(CASE, case=INVOICE, verdicts={"q0A": "no", "q1A": "4"}, comment="The currency is missing.")
    undone = replace(single, notice="You have judged this case before. If you send it again, the new judgement counts.")
    pages = {
        "start": start_page(START),
        "pause": start_page(replace(START, progress=PROGRESS, notice="You have paused. Your judgements are saved.")),
        "case": case_page(CASE),
        "case-single": case_page(undone),
        "done": done_page(DONE),
        "unsaved": unsaved_page(UNSAVED),
        "disagreements": disagreements_page(DISAGREEMENTS),
        "no-disagreements": disagreements_page(replace(DISAGREEMENTS, rows=())),
        "adjudication": adjudication_page(ADJUDICATION),
    }
    return pages | {kind.replace(" ", "-"): notice_page(notice(kind).page) for kind in NOTICES}
