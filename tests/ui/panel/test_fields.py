from __future__ import annotations

from streams.panels.rubric import PICKS
from streams.ui.panel.fields import form_fields, key_of, read_verdicts
from tests.harness.panel_pages import BETTER, QUESTIONS, RIGHT


def test_two_answers_are_asked_about_one_by_one_and_then_compared() -> None:
    assert [one.name for one in form_fields(QUESTIONS, ["A", "B"])] == ["q0A", "q0B", "q1A", "q1B", "q2"]


def test_a_single_answer_is_not_compared() -> None:
    assert [one.name for one in form_fields(QUESTIONS, ["A"])] == ["q0A", "q1A"]


def test_only_choices_of_the_question_are_read() -> None:
    fields = form_fields([RIGHT, BETTER], ["A", "B"])
    form = {"q0A": "yes", "q0B": "perhaps", "q1": "both bad", "q9": "yes"}
    assert read_verdicts(form, fields) == {"q0A": "yes", "q1": "both bad"}


def test_every_choice_has_a_key_of_its_own() -> None:
    assert [key_of("pick", choice.key) for choice in PICKS] == ["a", "b", "t", "x"]
    assert key_of("scale", "4") == "4"
    assert (key_of("yes/no", "yes"), key_of("yes/no", "no")) == ("y", "n")
