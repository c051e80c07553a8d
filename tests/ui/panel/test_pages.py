from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from streams.panels.rubric import Choice, Question
from streams.ui.panel.pages import (
    ShownAnswer,
    ShownCase,
    adjudication_page,
    case_page,
    disagreements_page,
    done_page,
    minutes,
    start_page,
    unsaved_page,
)
from tests.harness.panel_pages import (
    ADJUDICATION,
    CASE,
    DISAGREEMENTS,
    DONE,
    PAIR,
    QUESTIONS,
    START,
    UNSAVED,
    example_pages,
)

HOSTILE = """'"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}</textarea></title>"""
ESCAPED = "&#39;&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"
HOSTILE_CASE = ShownCase(
    text=HOSTILE,
    data=json.dumps({HOSTILE: HOSTILE, "messages": [{"role": HOSTILE, "content": HOSTILE}]}),
    image="/image/" + HOSTILE,
    answers=(ShownAnswer(side="A", text=HOSTILE), ShownAnswer(side="B", text=json.dumps({HOSTILE: HOSTILE}))),
)
HOSTILE_QUESTIONS = (
    Question(name=HOSTILE, ask=HOSTILE, type="scale", choices=(Choice("1", HOSTILE),), explanation=HOSTILE),
)
PAGES = example_pages()


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def hostile_pages() -> dict[str, str]:
    words: dict[str, Any] = {"title": HOSTILE, "csrf": HOSTILE, "action": HOSTILE}
    disputed = tuple(
        replace(one, field=replace(one.field, question=HOSTILE_QUESTIONS[0], name=HOSTILE), counts=(("1", 2),))
        for one in ADJUDICATION.disputed
    )
    row = replace(DISAGREEMENTS.rows[0], excerpt=HOSTILE, link=HOSTILE, disputed=disputed)
    asked: dict[str, Any] = {"questions": HOSTILE_QUESTIONS, "instructions": HOSTILE}
    return {
        "start": start_page(replace(START, notice=HOSTILE, **words, **asked)),
        "case": case_page(
            replace(
                CASE, case=HOSTILE_CASE, comment=HOSTILE, notice=HOSTILE, next_url=HOSTILE,
                hidden=((HOSTILE, HOSTILE),), verdicts={"q0A": HOSTILE}, **words, **asked,
            )
        ),
        "done": done_page(replace(DONE, text=HOSTILE, **words)),
        "unsaved": unsaved_page(replace(UNSAVED, action=HOSTILE, fields=((HOSTILE, HOSTILE),))),
        "disagreements": disagreements_page(replace(DISAGREEMENTS, title=HOSTILE, rows=(row,))),
        "adjudication": adjudication_page(
            replace(
                ADJUDICATION, case=HOSTILE_CASE, comments=(HOSTILE,), comment=HOSTILE, disputed=disputed,
                next_url=HOSTILE, list_url=HOSTILE, instructions=HOSTILE, **words,
            )
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", hostile_pages())
def test_hostile_text_is_text_everywhere(name: str) -> None:
    page = hostile_pages()[name]
    assert ESCAPED in page
    assert "{{ 7 * 7 }}" in page
    scripts = [attributes for tag, attributes in Elements(page).found if tag == "script"]
    assert scripts == [{"src": "/static/panel.js", "defer": None}]
    assert not [tag for tag, attributes in Elements(page).found if any(key.startswith("on") for key in attributes)]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_inline_script_or_style_and_no_foreign_address(name: str) -> None:
    elements = Elements(PAGES[name]).found
    assert not [tag for tag, attributes in elements if tag == "style" or "style" in attributes]
    assert all(attributes.get("src") for tag, attributes in elements if tag == "script")
    addresses = [value for _, all_ in elements for key, value in all_.items() if key in ("src", "href", "action")]
    assert addresses
    assert all(str(address).startswith("/") and not str(address).startswith("//") for address in addresses)


@pytest.mark.parametrize("name", PAGES)
def test_every_form_carries_its_token_and_its_order(name: str) -> None:
    forms = PAGES[name].split("<form ")[1:]
    for form in forms:
        assert 'name="csrf" value="token"' in form
        assert 'name="do"' in form or name == "unsaved"


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_unique_and_every_label_has_a_control(name: str) -> None:
    elements = Elements(PAGES[name]).found
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["for"] for tag, attributes in elements if tag == "label" and "for" in attributes} <= set(ids)


def test_a_case_page_asks_each_question_about_each_answer_and_compares_once() -> None:
    names = re.findall(r'type="radio" name="(q\w+)"', case_page(CASE))
    assert list(dict.fromkeys(names)) == ["q0A", "q0B", "q1A", "q1B", "q2"]


def test_a_case_with_one_answer_has_no_sides_and_no_comparison() -> None:
    page = case_page(replace(CASE, case=replace(PAIR, answers=PAIR.answers[:1])))
    assert "Answer B" not in page
    assert 'id="differences"' not in page
    assert 'name="q2"' not in page


def test_earlier_verdicts_and_the_comment_are_filled_in_after_an_undo() -> None:
    page = case_page(replace(CASE, verdicts={"q0A": "no", "q1B": "3"}, comment="Look again."))
    chosen = re.findall(r'name="(\w+)" value="([^"]+)" data-key="\w" required checked', page)
    assert chosen == [("q0A", "no"), ("q1B", "3")]
    assert ">Look again.</textarea>" in page


def test_undo_is_offered_only_if_there_is_a_judgement_to_undo() -> None:
    assert 'value="undo"' in case_page(CASE)
    assert 'value="undo"' not in case_page(replace(CASE, can_undo=False))


def test_the_same_case_with_swapped_answers_differs_in_nothing_but_their_words() -> None:
    """So nothing else in the page can depend on the side on which an answer is."""
    first, second = (ShownAnswer(side="A", text="alpha"), ShownAnswer(side="B", text="omega"))
    swapped = (replace(first, text="omega"), replace(second, text="alpha"))
    page, other = (case_page(replace(CASE, case=replace(PAIR, answers=both))) for both in ((first, second), swapped))
    exchanged = page.replace("alpha", "\0").replace("omega", "alpha").replace("\0", "omega")
    assert exchanged == other


def test_an_adjudicator_sees_how_many_raters_chose_what() -> None:
    assert "2 of 3" in adjudication_page(ADJUDICATION)


def test_decided_disagreements_are_listed_apart() -> None:
    page = disagreements_page(DISAGREEMENTS)
    assert page.index("2 to decide") < page.index("1 decided") < page.index("My parcel is wet.")


def test_the_introduction_has_all_questions_with_their_points() -> None:
    page = start_page(START)
    assert all(question.ask in page for question in QUESTIONS)
    assert "Needs to be rewritten" in page


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (42.4, "42 s"), (60, "1 min"), (552, "9 min"), (3700, "1 h 2 min")]
)
def test_a_duration_is_said_in_minutes(seconds: float, words: str) -> None:
    assert minutes(seconds) == words


def test_the_list_of_disagreements_names_the_side_only_where_there_are_two_answers() -> None:
    row = DISAGREEMENTS.rows[0]
    pair, single = (disagreements_page(replace(DISAGREEMENTS, rows=(replace(row, pair=two),))) for two in (True, False))
    assert "side small" in pair
    assert "side small" not in single
